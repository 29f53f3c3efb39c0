//! Values with a notation of their own: sizes, network ranges, ports, names.
//!
//! The walker calls [`check`] by the name in `x-check`; the typed reading calls the same functions, so both agree.

use cloudtik_core::{Tree, TreeValue};
use serde_json::Value as Json;
use std::net::IpAddr;

const MIB: u64 = 1 << 20;

/// What is wrong with a value, without its place.
#[derive(Debug)]
pub(crate) struct Fault {
    pub id: &'static str,
    pub summary: &'static str,
    pub detail: String,
    pub hint: String,
}

fn fault(id: &'static str, summary: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault { id, summary, detail: detail.into(), hint: hint.into() }
}

/// The closer look named `check` at a value whose type is right already.
pub(crate) fn check(check: &str, tree: &Tree) -> Result<(), Fault> {
    let value = match &tree.value {
        TreeValue::Int(i) => Json::from(*i),
        TreeValue::Text(text) => Json::from(&**text),
        _ => return Ok(()),
    };
    match check {
        "size" => size(&value).map(drop),
        "ports" => ports(&value).map(drop),
        "port" => port(&value).map(drop),
        "cidr" => cidr(tree.as_text().unwrap_or_default()).map(drop),
        "name" => name(tree.as_text().unwrap_or_default()),
        _ => Ok(()),
    }
}

/// Bytes. `4G`, `512m`, `4096M`, `1.5 GiB`; units are powers of 1024. A number alone is bytes, and at least one MiB.
pub(crate) fn size(value: &Json) -> Result<u64, Fault> {
    if let Some(bytes) = value.as_i64() {
        return match u64::try_from(bytes) {
            Ok(bytes) if bytes >= MIB => Ok(bytes),
            _ => Err(fault(
                "size-without-unit",
                "a size without a unit",
                format!("`{bytes}` is {bytes} bytes, less than one MiB"),
                format!("write the unit: `{0}G` or `{0}M`", bytes.max(1)),
            )),
        };
    }
    let text = value.as_str().unwrap_or_default();
    let wrong = || {
        fault("bad-size", "not a size", format!("`{text}` is not a number with a unit"), "write it like `4G` or `512M`")
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_start_matches(' ').to_ascii_lowercase();
    if text.len() - digits.len() - unit.len() > 1 {
        return Err(wrong());
    }
    let power = match unit.as_str() {
        "k" | "kb" | "ki" | "kib" => 1,
        "m" | "mb" | "mi" | "mib" => 2,
        "g" | "gb" | "gi" | "gib" => 3,
        "t" | "tb" | "ti" | "tib" => 4,
        "" if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(fault(
                "size-without-unit",
                "a size without a unit",
                format!("`{text}` does not say of what"),
                format!("write the unit: `{text}G` or `{text}M`"),
            ));
        }
        _ => return Err(wrong()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number: f64 = digits.parse().ok().filter(|_| plain(whole) && plain(fraction)).ok_or_else(wrong)?;
    let bytes = number * 1024f64.powi(power);
    if !(MIB as f64..=(1u64 << 53) as f64).contains(&bytes) {
        return Err(fault(
            "bad-size",
            "a size out of range",
            format!("`{text}` is not between 1 MiB and 8 PiB"),
            "check the unit: K, M, G and T are powers of 1024",
        ));
    }
    Ok(bytes as u64)
}

/// The first and the last port: of `8080`, `"8080"` or `"8000-8010"`.
pub(crate) fn ports(value: &Json) -> Result<(u16, u16), Fault> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let (from, to) = text.split_once('-').filter(|_| !text.starts_with('-')).unwrap_or((&text, &text));
    let range = one_port(from).zip(one_port(to));
    range.filter(|(from, to)| from <= to).ok_or_else(|| {
        fault(
            "bad-port",
            "not a port or a range of ports",
            format!("`{text}` is not a port from 1 to 65535, nor two of them in order"),
            "write `8080` or \"8000-8010\"",
        )
    })
}

/// One port, as a number or as its digits.
pub(crate) fn port(value: &Json) -> Result<u16, Fault> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    one_port(&text).ok_or_else(|| {
        fault("bad-port", "not a port", format!("`{text}` is not a number from 1 to 65535"), "write it like `22`")
    })
}

fn one_port(text: &str) -> Option<u16> {
    let text = text.trim_matches(' ');
    let plain = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|port| *port > 0)
}

/// Address and prefix length. The address must be the network's own.
pub(crate) fn cidr(text: &str) -> Result<(IpAddr, u8), Fault> {
    let wrong = |detail: String, hint: String| fault("bad-cidr", "not a network range", detail, hint);
    let Some((address, prefix)) = text.split_once('/') else {
        let hint = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => format!("for this one address write `{text}/32`"),
            Ok(IpAddr::V6(_)) => format!("for this one address write `{text}/128`"),
            Err(_) => "write it like `10.0.0.0/16`".into(),
        };
        return Err(wrong(format!("`{text}` has no `/` with a prefix length"), hint));
    };
    let example = || "write it like `10.0.0.0/16`".to_string();
    let ip: IpAddr = address.parse().map_err(|_| wrong(format!("`{address}` is not an address"), example()))?;
    let bits: u8 = if ip.is_ipv4() { 32 } else { 128 };
    let length = Some(prefix).filter(|p| p.bytes().all(|b| b.is_ascii_digit())).and_then(|p| p.parse::<u8>().ok());
    let Some(length) = length.filter(|length| *length <= bits) else {
        return Err(wrong(format!("`/{prefix}` is not a prefix length from 0 to {bits}"), example()));
    };
    let network = network(ip, length);
    if network != ip {
        let hint = format!("write `{network}/{length}`");
        return Err(wrong(format!("`{address}` is a host inside `{network}/{length}`"), hint));
    }
    Ok((ip, length))
}

fn network(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

fn name(text: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(());
    }
    let mended: String =
        text.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).skip_while(|c| *c == '-').collect();
    let hint = if mended.is_empty() { "write it like `my-cluster`".into() } else { format!("write `{mended}`") };
    Err(fault(
        "bad-name",
        "not a name",
        format!("`{text}` holds more than lower-case letters, digits and hyphens"),
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_powers_of_1024_and_need_a_unit() {
        let gib = 1u64 << 30;
        for (written, bytes) in [
            (json!("4G"), 4 * gib),
            (json!("512m"), gib / 2),
            (json!("4096M"), 4 * gib),
            (json!("1.5 GiB"), gib + gib / 2),
            (json!("2Gi"), 2 * gib),
            (json!(gib), gib),
        ] {
            assert_eq!(size(&written).expect("a size"), bytes, "{written}");
        }
        for (written, id) in [
            (json!(4), "size-without-unit"),
            (json!("4"), "size-without-unit"),
            (json!(-4), "size-without-unit"),
            (json!("four"), "bad-size"),
            (json!("4GG"), "bad-size"),
            (json!("4  G"), "bad-size"),
            (json!(".5G"), "bad-size"),
            (json!("1e3G"), "bad-size"),
            (json!("10k"), "bad-size"),
            (json!("99999999999T"), "bad-size"),
            (json!("4é"), "bad-size"),
            (json!(""), "bad-size"),
        ] {
            assert_eq!(size(&written).expect_err("no size").id, id, "{written}");
        }
    }

    #[test]
    fn a_range_is_the_network_itself() {
        assert!(cidr("10.0.0.0/16").is_ok() && cidr("0.0.0.0/0").is_ok() && cidr("::/0").is_ok());
        assert_eq!(cidr("10.0.0.7/16").expect_err("a host").hint, "write `10.0.0.0/16`");
        assert_eq!(cidr("10.0.0.7").expect_err("no prefix").hint, "for this one address write `10.0.0.7/32`");
        for wrong in ["10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/", "10.0.0.0/+8", "/8", ""] {
            assert!(cidr(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_stand_alone_or_in_order() {
        assert_eq!(ports(&json!(80)).expect("a port"), (80, 80));
        assert_eq!(ports(&json!("8000-8010")).expect("a range"), (8000, 8010));
        for wrong in [json!(0), json!(65536), json!(-1), json!("9-8"), json!("a"), json!("1-2-3"), json!("-")] {
            assert!(ports(&wrong).is_err(), "{wrong}");
        }
    }
}
