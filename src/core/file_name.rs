//! Names of documents as names of files: unchanged where that is safe, every other byte as `%xx`, so that no name can leave its
//! folder and two names never share a file.

/// The name of a file for a document's name.
pub fn encode(name: &str) -> String {
    let plain = |byte: u8, first: bool| byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || byte == b'.' && !first;
    let encode = |(i, byte): (usize, u8)| match plain(byte, i == 0) {
        true => (byte as char).to_string(),
        false => format!("%{byte:02x}"),
    };
    name.bytes().enumerate().map(encode).collect()
}

/// The inverse of [`encode`]; `None` for a file that is not ours.
pub fn decode(file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = file.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => (u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok()?, &tail[2..]),
            plain => (plain, tail),
        };
        (rest, _) = (after, bytes.push(byte));
    }
    let name = String::from_utf8(bytes).ok()?;
    (!name.is_empty() && encode(&name) == file).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_readable_and_never_leave_their_folder() {
        for (name, file) in [
            ("etl-1.2_a", "etl-1.2_a"),
            ("..", "%2e."),
            (".hidden", "%2ehidden"),
            ("a/../../b", "a%2f..%2f..%2fb"),
            ("ü 100%", "%c3%bc%20100%25"),
            ("a\0b", "a%00b"),
        ] {
            assert_eq!(encode(name), file);
            assert_eq!(decode(file).as_deref(), Some(name));
        }
        for foreign in ["", ".git", "%2E.", "%zz", "%2", "lost+found", "%61"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }
}
