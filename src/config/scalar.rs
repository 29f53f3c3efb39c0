//! What a plain scalar means.
//!
//! Documents mean what PyYAML (YAML 1.1) makes of them, since that is what the existing ones were written for. The YAML
//! 1.2 core schema is here only to tell where it would read the same text otherwise.
//!
//! Sources: yaml.org/type (1.1 int, float, bool, null, timestamp) as narrowed by PyYAML 6 `resolver.py`; YAML 1.2.2 §10.3.2.

/// A plain scalar's meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that 64 bits cannot hold.
    HugeInt,
    Float(f64),
    /// A date or a time; kept as text, because nothing in a document is a date.
    Date,
    Text,
}

/// The reading of PyYAML.
pub(crate) fn yaml11(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Scalar::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        _ => float11(text).or_else(|| int11(text)).unwrap_or(if is_date(text) { Scalar::Date } else { Scalar::Text }),
    }
}

/// The reading of the YAML 1.2 core schema.
pub(crate) fn yaml12(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        _ => int12(text).or_else(|| float12(text)).unwrap_or(Scalar::Text),
    }
}

/// Whether both readings are the same value; NaN equals itself here, and a date is not text.
pub(crate) fn same(a: Scalar, b: Scalar) -> bool {
    match (a, b) {
        (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

/// A spelling that both versions read as this number. Not for infinities and NaN.
pub(crate) fn float_text(value: f64) -> String {
    let text = format!("{value:?}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn every(text: &str, test: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(test)
}

fn digits(text: &str) -> bool {
    every(text, |b| b.is_ascii_digit())
}

/// `[0-9][0-9_]*`
fn grouped(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit) && every(text, |b| b.is_ascii_digit() || b == b'_')
}

fn int(negative: bool, digits: &str, radix: u32) -> Option<Scalar> {
    let bare: String = digits.chars().filter(|c| *c != '_').collect();
    if bare.is_empty() {
        return None;
    }
    Some(match i128::from_str_radix(&bare, radix) {
        Ok(value) => i64::try_from(if negative { -value } else { value }).map_or(Scalar::HugeInt, Scalar::Int),
        Err(_) => Scalar::HugeInt,
    })
}

fn int11(text: &str) -> Option<Scalar> {
    let (negative, body) = signed(text);
    if let Some(binary) = body.strip_prefix("0b") {
        return every(binary, |b| matches!(b, b'0' | b'1' | b'_')).then(|| int(negative, binary, 2))?;
    }
    if let Some(hex) = body.strip_prefix("0x") {
        return every(hex, |b| b.is_ascii_hexdigit() || b == b'_').then(|| int(negative, hex, 16))?;
    }
    if body == "0" {
        return Some(Scalar::Int(0));
    }
    if let Some(octal) = body.strip_prefix('0') {
        let fits = every(octal, |b| matches!(b, b'0'..=b'7' | b'_'));
        return fits.then(|| int(negative, octal, 8).unwrap_or(Scalar::Int(0)));
    }
    if grouped(body) {
        return int(negative, body, 10);
    }
    let (first, rest) = body.split_once(':')?;
    let sixties = sexagesimal(first, rest).filter(|_| grouped(first))?;
    Some(i64::try_from(if negative { -sixties } else { sixties }).map_or(Scalar::HugeInt, Scalar::Int))
}

/// `first` followed by groups of `[0-5]?[0-9]`, as a number in base 60.
fn sexagesimal(first: &str, rest: &str) -> Option<i128> {
    let mut total: i128 = first.replace('_', "").parse().ok()?;
    for group in rest.split(':') {
        let value: i128 = (group.len() <= 2 && digits(group)).then(|| group.parse().ok())??;
        if value >= 60 {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(value)?;
    }
    Some(total)
}

fn float11(text: &str) -> Option<Scalar> {
    let (negative, body) = signed(text);
    let sign = if negative { -1.0 } else { 1.0 };
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Some(Scalar::Float(sign * f64::INFINITY));
    }
    let (whole, fraction) = body.split_once('.')?;
    if let Some((first, rest)) = whole.split_once(':') {
        let fits = grouped(first) && (fraction.is_empty() || every(fraction, |b| b.is_ascii_digit() || b == b'_'));
        let part: f64 = format!("0.{}", fraction.replace('_', "")).parse().unwrap_or(0.0);
        return fits.then(|| Some(Scalar::Float(sign * (sexagesimal(first, rest)? as f64 + part))))?;
    }
    let (fraction, exponent) = match fraction.find(['e', 'E']) {
        Some(at) => (&fraction[..at], Some(&fraction[at + 1..])),
        None => (fraction, None),
    };
    let exponent_fits = exponent.is_none_or(|e| e.starts_with(['+', '-']) && digits(&e[1..]));
    let mantissa_fits = if whole.is_empty() {
        grouped(fraction) && body.len() == text.len()
    } else {
        grouped(whole) && (fraction.is_empty() || every(fraction, |b| b.is_ascii_digit() || b == b'_'))
    };
    (exponent_fits && mantissa_fits)
        .then(|| body.replace('_', "").parse().ok().map(|f: f64| Scalar::Float(sign * f)))?
}

/// `YYYY-MM-DD`, or a date with a time after `T` or blanks.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    if year.len() != 4 || !digits(year) || !digits(month) || month.len() > 2 {
        return false;
    }
    let day_end = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at(day_end);
    if time.is_empty() {
        return month.len() == 2 && day.len() == 2;
    }
    let clock = match time.strip_prefix(['T', 't']) {
        Some(clock) => clock,
        None if time.starts_with([' ', '\t']) => time.trim_start_matches([' ', '\t']),
        None => return false,
    };
    (1..=2).contains(&day.len()) && is_clock(clock)
}

/// `HH:MM:SS[.fraction][zone]`
fn is_clock(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let (Some(hour), Some(minute), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (Some(second), tail) = (rest.get(..2), rest.get(2..).unwrap_or_default()) else { return false };
    if !(digits(hour) && hour.len() <= 2 && digits(minute) && minute.len() == 2 && digits(second)) {
        return false;
    }
    let zone = match tail.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => tail,
    };
    let zone = zone.trim_start_matches([' ', '\t']);
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return matches!(zone, "" | "Z") };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    digits(hours) && hours.len() <= 2 && digits(minutes) && minutes.len() == 2
}

fn int12(text: &str) -> Option<Scalar> {
    if let Some(octal) = text.strip_prefix("0o") {
        return every(octal, |b| matches!(b, b'0'..=b'7')).then(|| int(false, octal, 8))?;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return every(hex, |b| b.is_ascii_hexdigit()).then(|| int(false, hex, 16))?;
    }
    let (negative, body) = signed(text);
    digits(body).then(|| int(negative, body, 10))?
}

fn float12(text: &str) -> Option<Scalar> {
    let (negative, body) = signed(text);
    let sign = if negative { -1.0 } else { 1.0 };
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Some(Scalar::Float(sign * f64::INFINITY));
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    (mantissa_fits && exponent_fits).then(|| body.parse().ok().map(|f: f64| Scalar::Float(sign * f)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use Scalar::*;

    /// Text, PyYAML's value, and YAML 1.2's where it differs. The second column was taken from PyYAML 6.
    #[rustfmt::skip]
    const TABLE: &[(&str, Scalar, Option<Scalar>)] = &[
        ("", Null, None), ("~", Null, None), ("null", Null, None), ("nULL", Text, None),
        ("true", Bool(true), None), ("False", Bool(false), None), ("tRUE", Text, None),
        ("yes", Bool(true), Some(Text)), ("No", Bool(false), Some(Text)), ("on", Bool(true), Some(Text)),
        ("OFF", Bool(false), Some(Text)), ("y", Text, None), ("n", Text, None), ("oN", Text, None),
        ("0", Int(0), None), ("-0", Int(0), None), ("+12", Int(12), None), ("-7", Int(-7), None),
        ("0755", Int(493), Some(Int(755))), ("014", Int(12), Some(Int(14))), ("08", Text, Some(Int(8))),
        ("00", Int(0), None), ("0o14", Text, Some(Int(12))), ("0b101", Int(5), Some(Text)),
        ("0x1F", Int(31), None), ("-0x1F", Int(-31), Some(Text)), ("0x_1", Int(1), Some(Text)), ("0x", Text, None),
        ("1_000", Int(1000), Some(Text)), ("_1", Text, None), ("1__0_", Int(10), Some(Text)),
        ("190:20:30", Int(685_230), Some(Text)), ("8080:80", Text, None), ("22:22", Int(1342), Some(Text)),
        ("-1:30", Int(-90), Some(Text)), ("1:60", Text, None), ("01:30", Text, None), ("1:30.5", Float(90.5), Some(Text)),
        ("9223372036854775807", Int(i64::MAX), None), ("9223372036854775808", HugeInt, None),
        ("-9223372036854775808", Int(i64::MIN), None),
        ("1.5", Float(1.5), None), ("3.10", Float(3.1), None), ("1.", Float(1.0), None), (".5", Float(0.5), None),
        ("+.5", Text, Some(Float(0.5))), ("1e3", Text, Some(Float(1000.0))), ("1.0e3", Text, Some(Float(1000.0))),
        ("1.0e+3", Float(1000.0), None), ("6.8523015e+5", Float(685_230.15), None),
        ("685_230.15", Float(685_230.15), Some(Text)), ("1.2.3", Text, None), (".", Text, None), ("-", Text, None),
        (".inf", Float(f64::INFINITY), None), ("-.INF", Float(f64::NEG_INFINITY), None), ("inf", Text, None),
        ("2001-12-14", Date, Some(Text)), ("2001-1-1", Text, None), ("2001-12-14t21:59:43.10-05:00", Date, Some(Text)),
        ("2001-12-14 21:59:43.10 -5", Date, Some(Text)), ("2001-12-14 21:59:43Z", Date, Some(Text)),
        ("2001-12-14 21:59", Text, None), ("12e03", Text, Some(Float(12000.0))), ("4G", Text, None), ("1,000", Text, None),
        ("é", Text, None), ("1:é", Text, None), ("0.é", Text, None), ("2001-12-14 aé:10:10", Text, None),
    ];

    #[test]
    fn a_spelled_number_reads_back_equal_in_both_versions() {
        for value in [0.0, -1.5, 1e3, 1e30, -2.5e-9, f64::MAX, f64::MIN_POSITIVE] {
            let text = float_text(value);
            assert!(same(yaml11(&text), Float(value)) && same(yaml12(&text), Float(value)), "{text}");
        }
    }

    #[test]
    fn plain_scalars_mean_what_pyyaml_makes_of_them() {
        for (text, wanted, other) in TABLE {
            assert!(same(yaml11(text), *wanted), "{text:?} in 1.1: {:?}", yaml11(text));
            let wanted = other.unwrap_or(*wanted);
            assert!(same(yaml12(text), wanted), "{text:?} in 1.2: {:?}", yaml12(text));
        }
    }
}
