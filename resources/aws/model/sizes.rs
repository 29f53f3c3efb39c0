//! What machines offer: a table of Amazon's own, and what node types say themselves.

use cloudtik_core::{diagnostic::Diagnostic, document::NodeType};
use std::{collections::BTreeMap, sync::LazyLock};

/// What one instance type offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub cpus: u32,
    pub memory_mib: u64,
    /// Graphics cards of NVIDIA.
    pub gpus: u32,
}

/// Made by `data/make_types.py` from Amazon's catalogue; x86_64 only, as the default images are.
static TYPES: LazyLock<BTreeMap<&str, Size>> =
    LazyLock::new(|| include_str!("../data/instance-types.txt").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<(&'static str, Size)> {
    let mut words = line.split(' ');
    let (name, cpus, memory, gpus) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some((name, Size { cpus: cpus.parse().ok()?, memory_mib: memory.parse().ok()?, gpus: gpus.parse().ok()? }))
}

/// What the table says of a type.
pub(crate) fn of(instance_type: &str) -> Option<Size> {
    TYPES.get(instance_type).copied()
}

/// CPUs and MiB of a node type: its `resources`, else those of its instance type.
pub(crate) fn size(node: &NodeType) -> Result<(u32, u64), Box<Diagnostic>> {
    let written = node.config.get("InstanceType");
    let name = written.and_then(|tree| tree.as_text());
    let known = name.and_then(of);
    let cpus = node.cpus.or(known.map(|size| size.cpus));
    let memory = node.memory_mib.or(known.map(|size| size.memory_mib));
    cpus.zip(memory).ok_or_else(|| {
        let place = written.map_or(&node.origin, |tree| &tree.origin);
        let detail = match name {
            Some(name) => format!("`{name}` is not in this version's table of instance types"),
            None => format!("`{}` has no InstanceType", node.name),
        };
        let problem = Diagnostic::error("unknown-size", "what a machine offers is not known").at(place).detail(detail);
        Box::new(problem.hint(format!("say it in `{}`: `resources: {{CPU: 4, memory: 16Gi}}`", node.name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        assert_eq!(TYPES.len(), include_str!("../data/instance-types.txt").lines().count());
    }

    #[test]
    fn types_of_the_shipped_templates_are_known() {
        for family in ["m5", "r5", "m6i", "r6i"] {
            for size in ["xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"] {
                assert!(of(&format!("{family}.{size}")).is_some_and(|s| s.gpus == 0), "{family}.{size}");
            }
        }
        for gpu in ["g4dn.xlarge", "g4dn.metal", "p3.2xlarge", "p3.16xlarge", "p3dn.24xlarge", "p4d.24xlarge"] {
            assert!(of(gpu).is_some_and(|s| s.gpus > 0), "{gpu}");
        }
        assert_eq!(of("m5.2xlarge"), Some(Size { cpus: 8, memory_mib: 32_768, gpus: 0 }));
    }
}
