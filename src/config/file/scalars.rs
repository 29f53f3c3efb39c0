//! Values with a notation of their own. `formats` checks them; the schema here says the same to editors.

use crate::formats;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// A workspace's or cluster's name.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Name(pub String);

/// `provider.type`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct ProviderType(pub String);

/// A network range.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Cidr(pub String);

/// An amount of memory in bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct Size(pub u64);

/// A port or a range of ports, both ends included.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct Ports(pub u16, pub u16);

/// A port, as a number or as its digits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct SshPort(pub u16);

impl TryFrom<serde_json::Value> for Size {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        formats::size(&value).map(Size).map_err(|fault| fault.detail)
    }
}

impl TryFrom<serde_json::Value> for Ports {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        formats::ports(&value).map(|(from, to)| Ports(from, to)).map_err(|fault| fault.detail)
    }
}

impl TryFrom<serde_json::Value> for SshPort {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        formats::port(&value).map(SshPort).map_err(|fault| fault.detail)
    }
}

macro_rules! schema {
    ($type:ident, $($json:tt)+) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($json)+)
            }
        }
    };
}

schema!(Name, { "type": "string", "pattern": "^[a-z0-9-]+$", "x-check": "name" });
schema!(ProviderType, { "type": "string", "enum": crate::names::PROVIDERS, "x-id": "unknown-provider" });
schema!(Cidr, { "type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$", "x-check": "cidr" });
schema!(Size, {
    "type": ["integer", "string"],
    "minimum": 1_048_576,
    "pattern": "^[0-9]+([.][0-9]+)? ?[kKmMgGtT]i?[bB]?$",
    "x-check": "size",
});
schema!(Ports, {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 65535,
    "pattern": "^[0-9]{1,5}( *- *[0-9]{1,5})?$",
    "x-check": "ports",
});
schema!(SshPort, {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 65535,
    "pattern": "^[0-9]{1,5}$",
    "x-check": "port",
});
