//! Host keys: which a machine may show, and what is said when it shows another.
//!
//! Pinned keys are the only trust there is: no files of known hosts, no certificates, no asking. So a revoked or changed
//! key can never be let in by a rule that matches too much.

use cloudtik_core::failure::{Failure, FailureKind};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use std::borrow::Cow;

/// How a hint names the `connection` of a machine whose address in the documents is not known where it is written.
pub const SOME_CONNECTION: &str = "connection.<node>";

/// `algorithm base64`, without a comment.
pub fn line(key: &PublicKey) -> String {
    let mut bare = key.clone();
    bare.set_comment("");
    bare.to_openssh().unwrap_or_default().trim_end().to_owned()
}

/// Reads `algorithm base64 [comment]`, the form of a `.pub` file.
pub fn parse(text: &str) -> Result<PublicKey, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(FailureKind::Invalid, "read a pinned host key", format!("`{text}`: {why}"))
            .hint("a host key is one line, as `ssh-keyscan` prints it after the host's name")
    };
    let mut key = PublicKey::from_openssh(text).map_err(|e| wrong(&e))?;
    key.set_comment("");
    Ok(key)
}

/// `ssh-ed25519 SHA256:…`.
pub fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

pub fn is_among(key: &PublicKey, pinned: &[PublicKey]) -> bool {
    pinned.iter().any(|pin| pin.key_data() == key.key_data())
}

/// What to ask a server for, so that one with several keys shows one that is pinned.
pub fn algorithms(pinned: &[PublicKey]) -> Cow<'static, [Algorithm]> {
    let of_key = |key: &PublicKey| match key.algorithm() {
        Algorithm::Rsa { .. } => {
            vec![Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }]
        }
        other => vec![other],
    };
    let mut all: Vec<Algorithm> = Vec::new();
    for algorithm in pinned.iter().flat_map(of_key) {
        if !all.contains(&algorithm) {
            all.push(algorithm);
        }
    }
    if all.is_empty() { russh::Preferred::DEFAULT.key } else { Cow::Owned(all) }
}

/// A machine that shows a key other than its own. `shown` is what it showed, or what it could show.
pub fn changed(operation: String, shown: &str, pinned: &[PublicKey]) -> Failure {
    let known: Vec<String> = pinned.iter().map(fingerprint).collect();
    let message = format!("its host key is {shown}, and {} is pinned; nothing was sent to it", known.join(", "));
    Failure::new(FailureKind::Denied, operation, message).hint(format!(
        "either another machine answers at this address, or this one was made anew; if you know that it was: \
         `cloudtik apply --replace {SOME_CONNECTION}` with the documents learns the new key",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_no_part_of_a_key() {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let key = parse(&format!("{KEY} root@somewhere")).unwrap();
        assert_eq!(line(&key), KEY);
        assert!(is_among(&key, &[parse(KEY).unwrap()]));
        assert!(parse("ssh-ed25519 nonsense").is_err());
    }
}
