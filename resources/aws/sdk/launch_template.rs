//! Launch templates, whose data is read in the form that RunInstances takes.
//!
//! The SDK has a type of its own for each part of the data. The answer itself has the names of the service, and
//! `data/launch-template-data.json` says which element is which key.

use super::{
    Sdk,
    ec2_items::pairs,
    item::{int, item, text},
    malformed,
};
use crate::{
    api::{ApiError, Item},
    schema::{Member, Table},
};
use aws_sdk_ec2::types::{Filter as Ec2Filter, LaunchTemplate};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use cloudtik_core::value::{Attrs, Value};
use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/launch-template-data.json")).expect("checked by a test")
});

impl Sdk {
    pub(super) async fn launch_templates(&self, filters: Option<Vec<Ec2Filter>>) -> Result<Vec<Item>, ApiError> {
        let ask = |from| {
            let call = self.ec2.describe_launch_templates().set_filters(filters.clone());
            call.max_results(self.page(200)).set_next_token(from).send()
        };
        let pages = self.pages("DescribeLaunchTemplates", |page| page.next_token(), ask).await?;
        let mut items = Vec::new();
        for template in pages.iter().flat_map(|page| page.launch_templates()) {
            items.push(self.launch_template(template).await?);
        }
        Ok(items)
    }

    async fn launch_template(&self, template: &LaunchTemplate) -> Result<Item, ApiError> {
        const ACTION: &str = "DescribeLaunchTemplateVersions";
        let id = template.launch_template_id().unwrap_or_default();
        let body = Body::default();
        let ask = || {
            let call = self.ec2.describe_launch_template_versions().launch_template_id(id).versions("$Default");
            call.customize().interceptor(body.clone()).send()
        };
        self.read(ACTION, ask).await?;
        let data = data(&body.text()).map_err(|e| malformed(ACTION, e.to_string()))?;
        let fields = [
            ("name", text(template.launch_template_name())),
            ("latest", int(template.latest_version_number())),
            ("default", int(template.default_version_number())),
            ("data", Value::Map(data)),
        ];
        Ok(item(Some(id), pairs(template.tags()), fields))
    }
}

/// Keeps the body of an answer. It may hold user data, so it is not shown.
#[derive(Clone, Default)]
struct Body(Arc<Mutex<Vec<u8>>>);

impl Body {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

impl Intercept for Body {
    fn name(&self) -> &'static str {
        "body"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
        Ok(())
    }
}

/// The data of the only version in an answer.
fn data(xml: &str) -> Result<Attrs, XmlDecodeError> {
    let mut document = Document::new(xml);
    let mut root = document.root_element()?;
    while let Some(mut set) = root.next_tag() {
        if set.start_el().local() != "launchTemplateVersionSet" {
            continue;
        }
        while let Some(mut version) = set.next_tag() {
            while let Some(data) = version.next_tag() {
                if data.start_el().local() == "launchTemplateData" {
                    return structure(data, &TABLE.root);
                }
            }
        }
    }
    Ok(Attrs::new())
}

/// Elements that the table does not have are left out: this version of the program knows no use for them.
fn structure(mut element: ScopedDecoder<'_, '_>, name: &str) -> Result<Attrs, XmlDecodeError> {
    let mut attrs = Attrs::new();
    while let Some(mut part) = element.next_tag() {
        let Some((key, member)) = member(name, part.start_el().local()) else { continue };
        let value = if member.list {
            let mut items = Vec::new();
            while let Some(item) = part.next_tag() {
                items.push(value(item, &member.of)?);
            }
            Value::List(items)
        } else {
            value(part, &member.of)?
        };
        attrs.insert(key.clone(), value);
    }
    Ok(attrs)
}

fn member(structure: &str, element: &str) -> Option<(&'static String, &'static Member)> {
    let is = |key: &str, member: &Member| match &member.wire {
        Some(wire) => wire == element,
        None => {
            let (mut key, mut element) = (key.chars(), element.chars());
            key.next().map(|c| c.to_ascii_lowercase()) == element.next() && key.as_str() == element.as_str()
        }
    };
    TABLE.structures.get(structure)?.iter().find(|(key, member)| is(key, member))
}

fn value(mut element: ScopedDecoder<'_, '_>, of: &str) -> Result<Value, XmlDecodeError> {
    if TABLE.structures.contains_key(of) {
        return structure(element, of).map(Value::Map);
    }
    let text = try_data(&mut element)?;
    let text = text.as_ref();
    Ok(match of {
        "integer" => text.parse().map_or_else(|_| Value::text(text), Value::Int),
        "number" => text.parse().map_or_else(|_| Value::text(text), Value::Float),
        "boolean" => Value::Bool(text == "true"),
        _ => Value::text(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_table_is_in_the_table() {
        let plain = ["string", "integer", "number", "boolean", "timestamp"];
        for (name, members) in &TABLE.structures {
            for (key, member) in members {
                let of = member.of.as_str();
                let known = plain.contains(&of) || TABLE.structures.contains_key(of) || TABLE.enums.contains_key(of);
                assert!(known, "{name}.{key}: {of}");
            }
        }
    }

    #[test]
    fn elements_become_keys() {
        let xml = "<DescribeLaunchTemplateVersionsResponse><requestId>r</requestId><launchTemplateVersionSet><item>\
            <versionNumber>2</versionNumber><launchTemplateData><imageId>ami-1</imageId><newOne><x>1</x></newOne>\
            <networkInterfaceSet><item><deviceIndex>0</deviceIndex><groupSet><groupId>sg-1</groupId></groupSet></item>\
            </networkInterfaceSet><cpuOptions><coreCount>2</coreCount></cpuOptions><securityGroupIdSet/>\
            </launchTemplateData></item></launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>";
        let wanted = serde_json::json!({
            "ImageId": "ami-1", "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1"]}],
            "CpuOptions": {"CoreCount": 2}, "SecurityGroupIds": [],
        });
        assert_eq!(Value::Map(data(xml).unwrap()), Value::from(wanted));
    }
}
