//! Names of objects.
//!
//! Heads are apart from pieces, so that a list of all scopes is as long as there are scopes. Names of documents stay as they are
//! where every service takes them; every other byte becomes `_xx`.

use cloudtik_core::Scope;

pub(crate) const HEADS: &str = "heads";
const HEAD: &str = ".json";

/// The key of a scope's head.
pub(crate) fn head(scope: &Scope) -> String {
    format!("{HEADS}/{}{HEAD}", folder(scope))
}

/// Where all pieces of a scope are, of whatever lineage.
pub(crate) fn pieces(scope: &Scope) -> String {
    format!("pieces/{}", folder(scope))
}

/// The key of a piece.
pub(crate) fn piece(scope: &Scope, lineage: &str, name: &str) -> String {
    format!("{}/{lineage}/{name}", pieces(scope))
}

/// The name of a piece with these entries, put by the owner with this fence.
pub(crate) fn piece_name(kind: &str, (from, to): (u64, u64), fence: u64, id: &str) -> String {
    format!("{kind}-{from:012}-{to:012}-{fence}-{id}.json")
}

/// The fence in the key of a piece.
pub(crate) fn fence(key: &str) -> Option<u64> {
    key.rsplit('/').next()?.split('-').nth(3)?.parse().ok()
}

/// The scope whose head has this key; `None` for a key that is not ours.
pub(crate) fn scope(key: &str) -> Option<Scope> {
    let parts: Vec<&str> = key.strip_prefix(HEADS)?.strip_prefix('/')?.strip_suffix(HEAD)?.split('/').collect();
    let scope = match parts.as_slice() {
        ["workspace", w] => Scope::workspace(&name(w)?),
        ["cluster", w, n] => Scope::cluster(&name(w)?, &name(n)?),
        ["storage", w, n] => Scope::storage(&name(w)?, &name(n)?),
        ["database", w, n] => Scope::database(&name(w)?, &name(n)?),
        _ => return None,
    };
    (head(&scope) == key).then_some(scope)
}

fn folder(scope: &Scope) -> String {
    let workspace = part(scope.workspace_name());
    match scope.document() {
        (kind, _) if matches!(scope, Scope::Workspace { .. }) => format!("{kind}/{workspace}"),
        (kind, name) => format!("{kind}/{workspace}/{}", part(name)),
    }
}

fn part(name: &str) -> String {
    let last = name.len().saturating_sub(1);
    let encode = |(i, byte): (usize, u8)| match byte {
        b'-' => "-".to_owned(),
        b'.' if i != 0 && i != last => ".".to_owned(),
        byte if byte.is_ascii_alphanumeric() => (byte as char).to_string(),
        byte => format!("_{byte:02x}"),
    };
    name.bytes().enumerate().map(encode).collect()
}

/// The inverse of [`part`].
fn name(part: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        (rest, _) = match first {
            b'_' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                (&tail[2..], bytes.push(u8::from_str_radix(digits, 16).ok()?))
            }
            byte => (tail, bytes.push(byte)),
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_readable_and_come_back() {
        for (scope, key) in [
            (Scope::workspace("lake"), "heads/workspace/lake.json"),
            (Scope::cluster("a.b-c", "x_1"), "heads/cluster/a.b-c/x_5f1.json"),
            (Scope::storage("..", "ü/"), "heads/storage/_2e_2e/_c3_bc_2f.json"),
            (Scope::database("a.", ".b"), "heads/database/a_2e/_2eb.json"),
        ] {
            assert_eq!(head(&scope), key);
            assert_eq!(super::scope(key), Some(scope));
        }
        for key in
            ["heads/cluster/a.json", "heads/workspace/a_62.json", "heads/workspace/_2.json", "pieces/workspace/a"]
        {
            assert_eq!(super::scope(key), None, "{key}");
        }
    }
}
