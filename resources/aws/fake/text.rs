//! Forms that the services use in text: patterns, base64, dates.

use std::time::Duration;

/// Whether `text` fits a filter's value, where `*` stands for any characters and `?` for one.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where to go on when what follows the last star does not fit.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let six = (bits >> (18 - 6 * at) & 63) as usize;
            text.push(if at <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    text
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for digit in digits.bytes() {
        bits = bits << 6 | u32::try_from(ALPHABET.iter().position(|a| *a == digit)?).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 255) as u8);
        }
    }
    Some(bytes)
}

/// A time of the world as RFC 3339: worlds begin with the year 2026.
pub(super) fn date(time: Duration) -> String {
    let seconds = time.as_secs();
    let (mut day, mut month) = (seconds / 86_400, 0);
    let months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= months[month % 12] {
        day -= months[month % 12];
        month += 1;
    }
    let (year, month, day) = (2026 + month / 12, month % 12 + 1, day + 1);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_filters() {
        for (pattern, text, fit) in [
            ("ubuntu/*-server-*", "ubuntu/images/focal-server-1", true),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
    }

    #[test]
    fn base64_reads_back() {
        for text in ["", "a", "ab", "abc", "abcd", "#!/bin/sh\n"] {
            assert_eq!(from_base64(&base64(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(base64(b"ab"), "YWI=");
        for text in ["a", "YWI", "Y*I=", "===="] {
            assert!(from_base64(text).is_none(), "{text}");
        }
        assert_eq!(date(Duration::from_secs(31 * 86_400 + 3_661)), "2026-02-01T01:01:01Z");
    }
}
