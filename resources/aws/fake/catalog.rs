//! What AWS itself offers: zones, instance types, images, managed policies. A part of the real lists, with real names.

use super::world::{Refusal, Turn, refuse};
use crate::api::{Item, Tags};
use cloudtik_core::value::{Attrs, Value};
use sha2::{Digest, Sha256};

/// The root disk of every image here.
pub(super) const ROOT_GIB: i64 = 8;

/// Zones by the letter, in the regions that answer.
const REGIONS: &[(&str, &str)] = &[
    ("us-east-1", "abcdef"),
    ("us-east-2", "abc"),
    ("us-west-1", "ac"),
    ("us-west-2", "abcd"),
    ("ca-central-1", "abd"),
    ("eu-west-1", "abc"),
    ("eu-central-1", "abc"),
    ("ap-southeast-1", "abc"),
    ("ap-northeast-1", "acd"),
];

pub(super) fn is_region(name: &str) -> bool {
    REGIONS.iter().any(|(region, _)| *region == name)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct InstanceType {
    pub name: &'static str,
    pub cpus: i64,
    pub memory: i64,
    pub gpus: i64,
    pub gpu: &'static str,
    pub architecture: &'static str,
}

/// Source: EC2 instance types guide (read 2026-11-25).
const TYPES: &[InstanceType] = &[
    plain("t2.micro", 1, 1_024),
    plain("t3.micro", 2, 1_024),
    plain("t3.medium", 2, 4_096),
    plain("t3.large", 2, 8_192),
    plain("m5.large", 2, 8_192),
    plain("m5.xlarge", 4, 16_384),
    plain("m5.2xlarge", 8, 32_768),
    plain("m5.4xlarge", 16, 65_536),
    plain("m6i.large", 2, 8_192),
    plain("m6i.xlarge", 4, 16_384),
    plain("m6i.2xlarge", 8, 32_768),
    plain("m7i.xlarge", 4, 16_384),
    plain("c5.xlarge", 4, 8_192),
    plain("c5.2xlarge", 8, 16_384),
    plain("r5.xlarge", 4, 32_768),
    plain("r5.2xlarge", 8, 65_536),
    plain("i3.xlarge", 4, 31_232),
    InstanceType { gpus: 1, gpu: "T4", ..plain("g4dn.xlarge", 4, 16_384) },
    InstanceType { gpus: 1, gpu: "V100", ..plain("p3.2xlarge", 8, 62_464) },
    InstanceType { gpus: 8, gpu: "A100", ..plain("p4d.24xlarge", 96, 1_179_648) },
    InstanceType { architecture: "arm64", ..plain("t4g.medium", 2, 4_096) },
    InstanceType { architecture: "arm64", ..plain("m6g.xlarge", 4, 16_384) },
];

const fn plain(name: &'static str, cpus: i64, memory: i64) -> InstanceType {
    InstanceType { name, cpus, memory, gpus: 0, gpu: "", architecture: "x86_64" }
}

#[derive(Clone, Debug)]
pub(super) struct Image {
    pub owner: String,
    pub alias: Option<&'static str>,
    pub name: String,
    pub created: String,
    pub architecture: String,
}

/// Owner, alias, name, creation date, architecture.
const IMAGES: &[(&str, Option<&str>, &str, &str, &str)] = &[
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240401",
        "2024-04-01T05:10:00.000Z",
        "x86_64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250610",
        "2025-06-10T04:41:00.000Z",
        "x86_64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20250610",
        "2025-06-10T04:52:00.000Z",
        "arm64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20250901",
        "2025-09-01T03:30:00.000Z",
        "x86_64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20251015",
        "2025-10-15T03:30:00.000Z",
        "x86_64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20251015",
        "2025-10-15T03:33:00.000Z",
        "arm64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20251101",
        "2025-11-01T02:30:00.000Z",
        "x86_64",
    ),
    (
        "099720109477",
        None,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20251101",
        "2025-11-01T02:34:00.000Z",
        "arm64",
    ),
    (
        "137112412989",
        Some("amazon"),
        "al2023-ami-2023.9.20251020.0-kernel-6.1-x86_64",
        "2025-10-20T21:00:00.000Z",
        "x86_64",
    ),
    (
        "898082745236",
        Some("amazon"),
        "Deep Learning Base AMI with Single CUDA (Ubuntu 20.04) 20250501",
        "2025-05-01T12:00:00.000Z",
        "x86_64",
    ),
    (
        "898082745236",
        Some("amazon"),
        "Deep Learning Base AMI (Ubuntu 20.04) Version 20250410",
        "2025-04-10T12:00:00.000Z",
        "x86_64",
    ),
    (
        "898082745236",
        Some("amazon"),
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20251010",
        "2025-10-10T12:00:00.000Z",
        "x86_64",
    ),
];

impl Image {
    /// An image has another id in every region.
    pub fn id(&self, region: &str) -> String {
        let digest = Sha256::digest(format!("{region}/{}", self.name));
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("ami-0{}", &digits[..16])
    }

    pub fn root_device(&self) -> &'static str {
        if self.alias.is_some() && self.name.starts_with("al") { "/dev/xvda" } else { "/dev/sda1" }
    }

    pub fn item(&self, region: &str) -> Item {
        let fields = [
            ("name", Value::text(&self.name)),
            ("created", Value::text(&self.created)),
            ("state", "available".into()),
            ("architecture", Value::text(&self.architecture)),
            ("root_device", self.root_device().into()),
            ("@owner", Value::text(&self.owner)),
            ("@alias", self.alias.into()),
            ("@root_type", "ebs".into()),
            ("@virtualization", "hvm".into()),
            ("@type", "machine".into()),
            ("@public", true.into()),
        ];
        item(self.id(region), fields)
    }
}

fn item<const N: usize>(id: String, fields: [(&str, Value); N]) -> Item {
    let fields = fields.into_iter().filter(|(_, value)| !matches!(value, Value::Unset));
    Item { id, tags: Tags::new(), fields: fields.map(|(k, v)| (k.to_owned(), v)).collect::<Attrs>() }
}

/// Source: AWS managed policy reference (read 2026-11-25).
const POLICIES: &[&str] = &[
    "AdministratorAccess",
    "AmazonEC2FullAccess",
    "AmazonEC2ReadOnlyAccess",
    "AmazonRDSFullAccess",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "AmazonSSMManagedInstanceCore",
    "AmazonVPCFullAccess",
    "CloudWatchAgentServerPolicy",
    "IAMFullAccess",
    "PowerUserAccess",
    "SecretsManagerReadWrite",
];

pub(super) fn is_managed(arn: &str) -> bool {
    arn.strip_prefix("arn:aws:iam::aws:policy/").is_some_and(|name| POLICIES.contains(&name))
}

impl Turn<'_> {
    pub fn zone_names(&self) -> Vec<String> {
        let letters = REGIONS.iter().find(|(region, _)| *region == self.place.region).map_or("", |(_, zones)| zones);
        letters.chars().map(|letter| format!("{}{letter}", self.place.region)).collect()
    }

    /// Zones of the region, and a local zone that this account has opted in to.
    pub fn zone_items(&self) -> Vec<Item> {
        let zone = |name: String, kind: &str, opted: &str| {
            let fields = [
                ("state", "available".into()),
                ("@type", kind.into()),
                ("@opted", opted.into()),
                ("@region", Value::text(&self.place.region)),
            ];
            item(name, fields)
        };
        let local =
            (self.place.region == "us-west-2").then(|| zone("us-west-2-lax-1a".into(), "local-zone", "opted-in"));
        let zones = self.zone_names().into_iter().map(|name| zone(name, "availability-zone", "opt-in-not-required"));
        local.into_iter().chain(zones).collect()
    }

    pub fn images(&self) -> impl Iterator<Item = Image> {
        let listed = IMAGES.iter().map(|(owner, alias, name, created, architecture)| Image {
            owner: (*owner).into(),
            alias: *alias,
            name: (*name).into(),
            created: (*created).into(),
            architecture: (*architecture).into(),
        });
        listed.chain(self.published.iter().cloned())
    }

    pub fn image_items(&self, owners: &[String]) -> Vec<Item> {
        let own = |owner: &str| if owner == "self" { self.place.account.clone() } else { owner.to_owned() };
        let owners: Vec<String> = owners.iter().map(|owner| own(owner)).collect();
        let wanted = |image: &Image| {
            owners.is_empty() || owners.iter().any(|o| *o == image.owner || image.alias == Some(o.as_str()))
        };
        self.images().filter(wanted).map(|image| image.item(&self.place.region)).collect()
    }

    pub fn type_items(&self) -> Vec<Item> {
        let shown = |kind: &InstanceType| {
            let fields = [
                ("cpus", Value::Int(kind.cpus)),
                ("memory_mib", Value::Int(kind.memory)),
                ("gpus", Value::Int(kind.gpus)),
                ("gpu_name", if kind.gpus > 0 { kind.gpu.into() } else { Value::Unset }),
                ("architectures", Value::list([kind.architecture])),
            ];
            item(kind.name.into(), fields)
        };
        TYPES.iter().map(shown).collect()
    }

    pub fn instance_type(&self, name: &str) -> Option<InstanceType> {
        TYPES.iter().find(|kind| kind.name == name).copied()
    }

    pub fn known_type(&self, name: &str) -> Result<InstanceType, Refusal> {
        let unknown = || refuse("InvalidParameterValue", format!("Invalid value '{name}' for InstanceType."));
        self.instance_type(name).ok_or_else(unknown)
    }
}
