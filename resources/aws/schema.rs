//! The shape of RunInstances: what a `node_config` may hold.
//!
//! The table is Amazon's own service model (`data/run-instances.json`, made by `data/make.py`), so every key of the service
//! works without code for it. Instance types are left open: DescribeInstanceTypes knows them.

use cloudtik_core::{
    diagnostic::Diagnostic,
    origin::{Entry, Tree, TreeValue},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::LazyLock};

#[derive(Deserialize)]
pub(crate) struct Table {
    pub root: String,
    pub structures: BTreeMap<String, BTreeMap<String, Member>>,
    pub enums: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
pub(crate) struct Member {
    /// A structure, an enumeration, or `string`, `integer`, `number`, `boolean`, `timestamp`.
    #[serde(rename = "type")]
    pub of: String,
    #[serde(default)]
    pub list: bool,
    /// The name in the query, where it is another; of an answer the element's, where it does more than begin small.
    #[cfg_attr(not(any(feature = "sdk", test)), allow(dead_code, reason = "nothing is sent"))]
    pub wire: Option<String>,
    #[serde(default)]
    required: bool,
    deprecated: Option<String>,
}

pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table: Table = serde_json::from_str(include_str!("data/run-instances.json")).expect("checked by a test");
    // CloudTik's own keys beside the service's.
    let own = |of: &str, list| Member { of: of.into(), list, wire: None, required: false, deprecated: None };
    if let Some(root) = table.structures.get_mut(&table.root) {
        root.insert("SubnetIds".into(), own("string", true));
    }
    table
});

/// Keys of the service that this program decides; CloudTik overwrites them too.
const DECIDED: [&str; 4] = ["MinCount", "MaxCount", "ClientToken", "DryRun"];

/// Reports what is wrong with a `node_config`: keys that RunInstances does not have, values of the wrong type or outside of
/// an enumeration, missing parts.
pub(crate) fn check(config: &Tree, problems: &mut Vec<Diagnostic>) {
    Check { problems }.structure(config, &TABLE.root, "node_config");
}

struct Check<'a> {
    problems: &'a mut Vec<Diagnostic>,
}

impl Check<'_> {
    fn structure(&mut self, tree: &Tree, name: &str, path: &str) {
        let Some(members) = TABLE.structures.get(name) else { return };
        let TreeValue::Map(entries) = &tree.value else { return self.wrong_type(tree, path, "a map") };
        for entry in entries {
            match members.get(&*entry.key) {
                Some(member) => self.member(entry, member, &format!("{path}.{}", entry.key)),
                None => self.unknown(entry, members, path),
            }
        }
        for (key, _) in members.iter().filter(|(key, m)| m.required && !DECIDED.contains(&key.as_str())) {
            if tree.get(key).is_none() {
                let detail = format!("`{path}` needs `{key}`");
                let problem = Diagnostic::error("missing-key", "a required key is missing").at(&tree.origin);
                self.problems.push(problem.detail(detail).hint(format!("add `{key}`")));
            }
        }
    }

    fn member(&mut self, entry: &Entry, member: &Member, path: &str) {
        if path.matches('.').count() == 1 && DECIDED.contains(&&*entry.key) {
            let problem = Diagnostic::warning("no-effect", "a key without effect").at(&entry.key_origin);
            self.problems
                .push(problem.detail(format!("`{path}` is decided when nodes are launched")).hint("remove it"));
        }
        if let Some(why) = &member.deprecated {
            let problem = Diagnostic::warning("deprecated-key", "a key that AWS has withdrawn").at(&entry.key_origin);
            self.problems.push(problem.detail(format!("`{path}`: {}", why.trim_end_matches('.'))).hint("remove it"));
        }
        if !member.list {
            return self.value(&entry.value, &member.of, path);
        }
        let TreeValue::List(items) = &entry.value.value else { return self.wrong_type(&entry.value, path, "a list") };
        for (at, item) in items.iter().enumerate() {
            self.value(item, &member.of, &format!("{path}.{at}"));
        }
    }

    fn value(&mut self, tree: &Tree, of: &str, path: &str) {
        if TABLE.structures.contains_key(of) {
            return self.structure(tree, of, path);
        }
        match (of, &tree.value) {
            ("integer", TreeValue::Int(_)) | ("boolean", TreeValue::Bool(_)) => {}
            ("number", TreeValue::Int(_) | TreeValue::Float(_)) => {}
            ("integer", _) => self.wrong_type(tree, path, "a whole number"),
            ("number", _) => self.wrong_type(tree, path, "a number"),
            ("boolean", _) => self.wrong_type(tree, path, "true or false"),
            (_, TreeValue::Text(text)) => self.text(tree, text, of, path),
            _ => self.wrong_type(tree, path, "text"),
        }
    }

    fn text(&mut self, tree: &Tree, text: &str, of: &str, path: &str) {
        let Some(words) = TABLE.enums.get(of).filter(|words| !words.iter().any(|w| w == text)) else { return };
        let problem = Diagnostic::error("unknown-value", "a value that AWS does not know")
            .at(&tree.origin)
            .detail(format!("`{path}` cannot be `{text}`"));
        self.problems.push(problem.hint(hint(text, words.iter().map(String::as_str))));
    }

    fn unknown(&mut self, entry: &Entry, members: &BTreeMap<String, Member>, path: &str) {
        let problem = Diagnostic::error("unknown-key", "unknown key")
            .at(&entry.key_origin)
            .detail(format!("`{}` is not a key of `{path}`", entry.key));
        self.problems.push(problem.hint(hint(&entry.key, members.keys().map(String::as_str))));
    }

    fn wrong_type(&mut self, tree: &Tree, path: &str, wanted: &str) {
        let raw = tree.raw.as_deref().unwrap_or_default();
        let (found, hint) = match &tree.value {
            TreeValue::Null => ("empty".into(), Some("give it a value, or remove the key".into())),
            TreeValue::Bool(b) => (format!("the boolean {b}"), Some(format!("quote it: \"{raw}\""))),
            TreeValue::Int(_) | TreeValue::Float(_) => {
                (format!("the number {raw}"), Some(format!("quote it: \"{raw}\"")))
            }
            TreeValue::Text(text) => {
                let unquoted = match wanted {
                    "a whole number" => text.parse::<i64>().is_ok(),
                    "true or false" => matches!(&**text, "true" | "false"),
                    _ => false,
                };
                ("text".into(), unquoted.then(|| format!("write it without quotes: {text}")))
            }
            TreeValue::List(_) => ("a list".into(), None),
            TreeValue::Map(_) => ("a map".into(), (wanted == "a list").then(|| "put `- ` before it".into())),
        };
        let hint = match wanted {
            "text" => hint,
            "a list" if !raw.is_empty() => Some(format!("write a list of one: [{raw}]")),
            _ => hint.filter(|h| !h.starts_with("quote")),
        };
        let problem = Diagnostic::error("wrong-type", "a value of the wrong type").at(&tree.origin);
        let mut problem = problem.detail(format!("`{path}` must be {wanted}; it is {found}"));
        problem.hints.extend(hint);
        self.problems.push(problem);
    }
}

/// More words than these are no help.
const SHOWN: usize = 16;

fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let lower = word.to_lowercase();
    let near = known
        .clone()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= k.len().min(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None if known.clone().count() <= SHOWN => {
            format!("known here: {}", known.map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "))
        }
        None => "the EC2 API reference, RunInstances, has the list".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::origin::Origin;
    use serde_json::{Value as Json, json};
    use std::sync::Arc;

    fn tree(json: &Json) -> Tree {
        let origin = Origin { file: "cluster.yaml".into(), line: 1, column: 1, length: 0 };
        let value = match json {
            Json::Null => TreeValue::Null,
            Json::Bool(b) => TreeValue::Bool(*b),
            Json::Number(n) => n.as_i64().map_or(TreeValue::Float(0.5), TreeValue::Int),
            Json::String(text) => TreeValue::Text(text.as_str().into()),
            Json::Array(items) => TreeValue::List(items.iter().map(|i| Arc::new(tree(i))).collect()),
            Json::Object(map) => {
                let entry = |(key, value): (&String, &Json)| Entry {
                    key: key.as_str().into(),
                    key_origin: origin.clone(),
                    value: Arc::new(tree(value)),
                };
                TreeValue::Map(map.iter().map(entry).collect())
            }
        };
        let raw = json.is_number().then(|| json.to_string().into());
        Tree { value, origin, raw }
    }

    fn problems(config: Json) -> Vec<String> {
        let mut problems = Vec::new();
        check(&tree(&config), &mut problems);
        problems.into_iter().map(|p| format!("{}: {} ({})", p.id, p.detail, p.hints.join("; "))).collect()
    }

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
    fn what_the_service_takes_is_right() {
        let config = json!({
            "InstanceType": "m7i.9xlarge", "ImageId": "ami-1", "KeyName": "k", "SubnetIds": ["subnet-1"],
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 200, "VolumeType": "gp3"}}],
            "IamInstanceProfile": {"Name": "p"}, "InstanceMarketOptions": {"MarketType": "spot"},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
            "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 1}, "EbsOptimized": true,
        });
        assert_eq!(problems(config), [""; 0]);
    }

    #[test]
    fn what_it_does_not_take_is_told_with_a_way_out() {
        let cases = [
            (
                json!({"InstanceTyp": "m5.large"}),
                "unknown-key: `InstanceTyp` is not a key of `node_config` (did you mean `InstanceType`?)",
            ),
            (
                json!({"Placement": {"HostID": "h"}}),
                "unknown-key: `HostID` is not a key of `node_config.Placement` (did you mean `HostId`?)",
            ),
            (
                json!({"BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp33"}}]}),
                "unknown-value: `node_config.BlockDeviceMappings.0.Ebs.VolumeType` cannot be `gp33` (did you mean `gp3`?)",
            ),
            (
                json!({"BlockDeviceMappings": [{"Ebs": {"VolumeSize": "200"}}]}),
                "wrong-type: `node_config.BlockDeviceMappings.0.Ebs.VolumeSize` must be a whole number; it is text \
                 (write it without quotes: 200)",
            ),
            (
                json!({"LaunchTemplate": {"LaunchTemplateName": "t", "Version": 3}}),
                "wrong-type: `node_config.LaunchTemplate.Version` must be text; it is the number 3 (quote it: \"3\")",
            ),
            (
                json!({"SecurityGroupIds": 5}),
                "wrong-type: `node_config.SecurityGroupIds` must be a list; it is the number 5 (write a list of one: [5])",
            ),
            (
                json!({"CreditSpecification": {}}),
                "missing-key: `node_config.CreditSpecification` needs `CpuCredits` (add `CpuCredits`)",
            ),
            (
                json!({"MaxCount": 3}),
                "no-effect: `node_config.MaxCount` is decided when nodes are launched (remove it)",
            ),
        ];
        for (config, said) in cases {
            assert_eq!(problems(config), [said]);
        }
    }
}
