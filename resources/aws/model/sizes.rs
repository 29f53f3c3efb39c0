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
    /// As images say it: `x86_64` or `arm64`.
    pub architecture: &'static str,
}

/// Made by `data/make_types.py` from Amazon's catalogue.
static TYPES: LazyLock<BTreeMap<&str, Size>> =
    LazyLock::new(|| include_str!("../data/instance-types.txt").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<(&'static str, Size)> {
    let mut words = line.split(' ');
    let (name, cpus, memory, gpus) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (cpus, memory_mib, gpus) = (cpus.parse().ok()?, memory.parse().ok()?, gpus.parse().ok()?);
    Some((name, Size { cpus, memory_mib, gpus, architecture: words.next()? }))
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

    /// As Amazon names its own processors: a `g` behind the generation (EC2 user guide, naming of instance types), and `a1`.
    #[test]
    fn what_runs_on_arm_is_named_so() {
        let by_name = |name: &str| {
            let family = name.split('.').next().unwrap_or_default();
            family == "a1" || family.trim_start_matches(|c: char| !c.is_ascii_digit()).contains('g')
        };
        for (name, size) in TYPES.iter() {
            assert_eq!(size.architecture, if by_name(name) { "arm64" } else { "x86_64" }, "{name}");
        }
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
        assert_eq!(of("m5.2xlarge"), Some(Size { cpus: 8, memory_mib: 32_768, gpus: 0, architecture: "x86_64" }));
    }
}
