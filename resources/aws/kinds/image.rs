//! `image`: what machines start from. The newest one is looked up once and then kept, so that machines do not change because
//! somebody published another; only when upgrades are asked for is a newer one seen.

use super::{
    Kind,
    find::{self, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing},
    provider::{At, Options},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Presence, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};

pub(crate) struct Image;

#[async_trait]
impl Kind for Image {
    fn schema(&self) -> KindSchema {
        let read = Durations { create: 800, ready: 0, update: 800, delete: 0 };
        KindSchema::new("image").replace_on(&["region", "owner", "name", "architecture"]).takes(read)
    }

    async fn observe(&self, options: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let mut observed = find::as_recorded(subjects);
        if options.upgrade_image {
            let declared = subjects.iter().zip(&mut observed).filter(|(subject, _)| !subject.declared.is_empty());
            for (subject, seen) in declared {
                if let Presence::Present { id, outputs, healthy, .. } = &mut seen.presence {
                    let image = newest(api, &subject.declared).await?.filter(|image| image.id != *id);
                    if let Some(image) = image {
                        *healthy = Health::Outdated(format!("{} ({}) is newer", image.id, image.text("name")));
                        outputs.extend(describe(&image));
                    }
                }
            }
        }
        Ok(observed)
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let image = newest(&*at.api, &at.call.attributes).await.map_err(|e| at.fail(&e))?.ok_or_else(|| {
            let what = format!("region {} has no image `{}`", at.api.region(), at.attribute("name").display());
            Failure::new(FailureKind::Environment, &at.operation, what).hint("name one: `ImageId` in `node_config`")
        })?;
        Ok(Outcome { id: image.id.clone(), outputs: describe(&image) })
    }

    /// Takes the image that the plan was made with.
    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let promised = at.call.promised.clone();
        match promised.get("id").and_then(Value::as_text).map(String::from) {
            Some(id) => Ok(Outcome { id, outputs: promised }),
            None => self.create(at).await,
        }
    }

    async fn delete(&self, _: &At<'_>) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &At<'_>) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}

fn describe(image: &Item) -> Attrs {
    let part = |name| Value::text(image.text(name));
    attrs([("id", image.id.as_str().into()), ("title", part("name")), ("created", part("created"))])
}

/// The image that was published last among those that pass the attributes' filters.
async fn newest(api: &dyn Api, attributes: &Attrs) -> Result<Option<Item>, ApiError> {
    let text = |name: &str| attributes.get(name).and_then(Value::as_text).unwrap_or_default();
    let filters = [
        Filter::is("name", text("name")),
        Filter::is("architecture", text("architecture")),
        Filter::is("virtualization-type", "hvm"),
        Filter::is("root-device-type", "ebs"),
        Filter::is("is-public", "true"),
        Filter::is("state", "available"),
    ];
    let images = api.list(&Listing::Images { owners: vec![text("owner").into()] }, &filters).await?;
    // Equal dates are told apart, so that two looks see the same image.
    Ok(images.into_iter().max_by(|a, b| (a.text("created"), &a.id).cmp(&(b.text("created"), &b.id))))
}
