//! The images that nodes start from when their `node_config` names none.

use super::{node_config::NodeConfig, sizes};
use cloudtik_core::value::{Attrs, Value};

/// A default image: the newest one that is called so.
pub(crate) struct DefaultImage {
    /// `image.<name>`.
    pub name: &'static str,
    /// For people.
    pub what: &'static str,
    owner: &'static str,
    pattern: &'static str,
    architecture: &'static str,
}

/// The newest long-term release. The Python tool takes 20.04, whose standard support ended in 2025 and whose Python 3.8 is too
/// old for Spark 4. Source: owner 099720109477 is Canonical (Ubuntu on AWS, "Finding images", read 2026-11-25).
const UBUNTU: DefaultImage = DefaultImage {
    name: "ubuntu",
    what: "Ubuntu 24.04",
    owner: "099720109477",
    pattern: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*",
    architecture: "x86_64",
};

const UBUNTU_ARM: DefaultImage = DefaultImage {
    name: "ubuntu-arm64",
    what: "Ubuntu 24.04 for ARM",
    pattern: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-*",
    architecture: "arm64",
    ..UBUNTU
};

/// For machines with graphics cards, with drivers for all of them: the Python tool's choice.
const DEEP_LEARNING: DefaultImage = DefaultImage {
    name: "deep-learning",
    what: "the AWS Deep Learning Base AMI",
    owner: "amazon",
    pattern: "AWS Deep Learning Base AMI GPU CUDA 11 (Ubuntu 20.04)*",
    architecture: "x86_64",
};

/// The same for Amazon's own processors. Source: release notes of the AWS Deep Learning AMIs (read 2026-11-26).
const DEEP_LEARNING_ARM: DefaultImage = DefaultImage {
    name: "deep-learning-arm64",
    what: "the AWS Deep Learning ARM64 Base AMI",
    owner: "amazon",
    pattern: "Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*",
    architecture: "arm64",
};

/// The image of a node type that names none itself. A launch template that is named brings its own.
pub(crate) fn default_for(config: &NodeConfig) -> Option<&'static DefaultImage> {
    if config.image.is_some() || config.template.is_some() {
        return None;
    }
    let size = config.instance_type.as_deref().and_then(sizes::of);
    Some(match size.map(|size| (size.architecture, size.gpus)) {
        Some(("arm64", 0)) => &UBUNTU_ARM,
        Some(("arm64", _)) => &DEEP_LEARNING_ARM,
        Some((_, 0)) | None => &UBUNTU,
        Some(_) => &DEEP_LEARNING,
    })
}

impl DefaultImage {
    pub fn attributes(&self, region: &str) -> Attrs {
        let attributes =
            [("region", region), ("owner", self.owner), ("name", self.pattern), ("architecture", self.architecture)];
        attributes.map(|(key, value)| (key.to_owned(), Value::text(value))).into()
    }
}
