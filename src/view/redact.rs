//! Keeps secrets out of everything written: replaces every secret value of the run, plain and encoded.
//!
//! Encodings known: those of [`encodings`] (JSON escapes, shell quotes, URL percent-encoding, hexadecimal), base64 (standard and
//! URL alphabet, at any alignment), and single lines of values that have several. Values shorter than [`SHORTEST`] cannot be told from ordinary text and are left alone.

use cloudtik_core::secret::{encodings, sounds_secret, unescaped};
use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

/// In bytes. A shorter needle would blank out ordinary words.
const SHORTEST: usize = 4;

/// What stands in a secret's place.
pub(crate) const SHOWN: &str = "(sensitive)";

/// Knows the secret values of the run.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside a longer one leaves nothing of either.
    needles: RwLock<Vec<Vec<u8>>>,
    /// Secret values of the environment, by variable.
    variables: Vec<(String, String)>,
}

impl Redactor {
    pub(crate) fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let redactor = Redactor::default();
        secrets.into_iter().for_each(|s| redactor.add(s.as_ref()));
        redactor
    }

    /// Knows the variables whose names say that they hold a secret, and passwords in the addresses of proxies: commands on
    /// nodes and vendor SDKs may echo them.
    pub(crate) fn of_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut found = Vec::new();
        for (name, value) in variables {
            if sounds_secret(&name) && value.len() >= 8 && !is_path(&value) {
                found.push((name, value));
            } else if let Some(password) =
                name.to_ascii_lowercase().strip_suffix("_proxy").and_then(|_| password(&value))
            {
                let plain = String::from_utf8_lossy(&unescaped(password)).into_owned();
                found.extend([(name.clone(), password.to_owned()), (name, plain)]);
            }
        }
        let redactor = Redactor::new(found.iter().map(|(_, value)| value));
        Redactor { variables: found, ..redactor }
    }

    /// What the environment holds in secrets, each with its variable.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (&**name, &**value))
    }

    /// From now on hides this value too.
    pub fn add(&self, secret: &str) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        needles.extend(forms(secret).into_iter().map(String::into_bytes).filter(|n| n.len() >= SHORTEST));
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
    }

    /// Learns the values of keys that say that they hold a secret, line by line: a document that is too broken to be
    /// understood is quoted all the same.
    pub fn learn(&self, document: &str) {
        for (key, value) in document.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim().trim_matches(['"', '\'']);
            if sounds_secret(key) && value.len() >= 8 && !is_path(value) && !value.starts_with("${") {
                self.add(value);
            }
        }
    }

    /// The text with every known secret replaced by `(sensitive)`.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let needles = self.needles.read().unwrap_or_else(PoisonError::into_inner);
        if needles.is_empty() {
            return Cow::Borrowed(text);
        }
        let (out, _) = replace(&needles, text.as_bytes(), true);
        match String::from_utf8(out) {
            Ok(out) if out == text => Cow::Borrowed(text),
            Ok(out) => Cow::Owned(out),
            // Needles are whole texts, so cutting them out of a text leaves a text.
            Err(broken) => Cow::Owned(String::from_utf8_lossy(broken.as_bytes()).into_owned()),
        }
    }

    /// Takes the next bytes of a stream and returns those that are safe to write; `pending` keeps what might be the
    /// beginning of a secret. With `last`, everything is returned.
    pub(crate) fn stream(&self, pending: &mut Vec<u8>, bytes: &[u8], last: bool) -> Vec<u8> {
        let needles = self.needles.read().unwrap_or_else(PoisonError::into_inner);
        pending.extend_from_slice(bytes);
        let (out, used) = replace(&needles, pending, last);
        pending.drain(..used);
        out
    }
}

/// The password in `http://user:password@host:port`.
fn password(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (login, _) = rest.rsplit_once('@')?;
    Some(login.split_once(':')?.1).filter(|password| !password.is_empty())
}

/// A secret's place is no secret, and often a word of the messages that help.
fn is_path(value: &str) -> bool {
    value.starts_with(['/', '~', '.'])
}

/// Copies `bytes` with needles replaced; returns the copy and how many bytes were consumed. Unless `last`, stops where
/// the rest could still grow into a needle.
fn replace(needles: &[Vec<u8>], bytes: &[u8], last: bool) -> (Vec<u8>, usize) {
    let mut starts = [false; 256];
    needles.iter().for_each(|n| starts[usize::from(n[0])] = true);
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if !starts[usize::from(rest[0])] {
            out.push(rest[0]);
            at += 1;
            continue;
        }
        if !last && needles.iter().any(|n| n.len() > rest.len() && n.starts_with(rest)) {
            break;
        }
        match needles.iter().find(|n| rest.starts_with(n)) {
            Some(needle) => {
                out.extend_from_slice(SHOWN.as_bytes());
                at += needle.len();
            }
            None => {
                out.push(rest[0]);
                at += 1;
            }
        }
    }
    (out, at)
}

/// A secret as it may turn up: encoded as a whole, its lines, and its base64 wherever it starts.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = encodings(secret);
    forms.extend(secret.lines().map(str::trim).filter(|line| line.len() >= 8).map(String::from));
    for alphabet in [STANDARD, URL_SAFE] {
        forms.extend((0..3).map(|shift| base64_core(secret.as_bytes(), shift, alphabet)));
    }
    forms
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The digits of the secret's base64 that depend on nothing around it, when `shift` bytes precede it in its group of three.
fn base64_core(secret: &[u8], shift: usize, alphabet: &[u8; 64]) -> String {
    let bit = |i: usize| -> u8 { secret[i / 8] >> (7 - i % 8) & 1 };
    let first = (6 - shift * 8 % 6) % 6;
    let digits = (secret.len() * 8).saturating_sub(first) / 6;
    let digit = |d: usize| (0..6).fold(0u8, |n, b| n << 1 | bit(first + d * 6 + b));
    let core: String = (0..digits).map(|d| char::from(alphabet[usize::from(digit(d))])).collect();
    // Two or three digits match too much by chance.
    if core.len() < 6 { String::new() } else { core }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr\"t  pä$$/word'7";

    /// Each line is known by one encoding alone.
    #[test]
    fn a_secret_is_hidden_in_every_encoding() {
        let redactor = Redactor::new([SECRET]);
        let leaks = [
            SECRET,
            r#"s3cr"t pä$$/word'7"#,
            r#"s3cr\"t  pä$$/word'7"#,
            r#"s3cr\\\"t  pä$$/word'7"#,
            r#"s3cr\"t  p\u00e4$$/word'7"#,
            r#"s3cr\"t  pä$$\/word'7"#,
            r#"s3cr"t  pä$$/word'\''7"#,
            r#"s3cr"t  pä$$/word'"'"'7"#,
            "s3cr%22t%20%20p%C3%A4%24%24%2Fword%277",
            "s3cr%22t++p%C3%A4%24%24%2Fword%277",
            "s3cr%22t%20%20p%c3%a4%24%24%2fword%277",
            "733363722274202070c3a424242f776f72642737",
            "733363722274202070C3A424242F776F72642737",
        ];
        for leak in leaks {
            assert_eq!(redactor.text(&format!("<{leak}>")), format!("<{SHOWN}>"), "{leak}");
        }
    }

    /// printf '%s' "$SECRET!", "a$SECRET!", "ab$SECRET!" | base64, and the same with the alphabet for addresses.
    #[test]
    fn a_secret_is_hidden_in_base64_wherever_it_starts() {
        let redactor = Redactor::new(["??>>~~ä??>>~~ÿ"]);
        let leaks = [
            ("Pz8+Pn5+w6Q/Pz4+fn7DvyE=", "yE="),
            ("Pz8-Pn5-w6Q_Pz4-fn7DvyE=", "yE="),
            ("YT8/Pj5+fsOkPz8+Pn5+w78h", "YT78h"),
            ("YT8_Pj5-fsOkPz8-Pn5-w78h", "YT78h"),
            ("YWI/Pz4+fn7DpD8/Pj5+fsO/IQ==", "YWIIQ=="),
            ("YWI_Pz4-fn7DpD8_Pj5-fsO_IQ==", "YWIIQ=="),
        ];
        for (leak, rest) in leaks {
            let shown = redactor.text(leak).replace(SHOWN, "");
            // A digit on either side also holds bits of its neighbour.
            assert!(leak.len() - shown.len() >= 18 && shown.len() <= rest.len() + 2, "{leak} -> {shown}");
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_a_secret() {
        let variables =
            [("https_proxy", "http://me:p%40ssw0rd!@proxy.example:3128/"), ("no_proxy", "localhost,10.0.0.1")];
        let redactor = Redactor::of_environment(variables.map(|(n, v)| (n.to_string(), v.to_string())));
        let text = "http://me:p%40ssw0rd!@proxy.example:3128/ says p@ssw0rd! is wrong for localhost";
        assert_eq!(
            redactor.text(text),
            "http://me:(sensitive)@proxy.example:3128/ says (sensitive) is wrong for localhost"
        );
    }

    #[test]
    fn a_secret_torn_between_two_chunks_is_hidden_and_nothing_else_waits() {
        let redactor = Redactor::new(["hunter22"]);
        let mut pending = Vec::new();
        assert_eq!(redactor.stream(&mut pending, b"login: ", false), b"login: ");
        assert_eq!(redactor.stream(&mut pending, b"hunt", false), b"");
        assert_eq!(redactor.stream(&mut pending, b"er22\nhun", false), b"(sensitive)\n");
        assert_eq!(redactor.stream(&mut pending, b"", true), b"hun");
    }

    #[test]
    fn a_secret_inside_another_leaves_nothing_of_either() {
        let redactor = Redactor::new(["word", "password1"]);
        assert_eq!(redactor.text("password1 word"), "(sensitive) (sensitive)");
    }

    #[test]
    fn variables_that_say_so_are_secrets() {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG"),
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("MY_TOKEN", "no"),
            ("HOME", "/home/ada-lovelace"),
        ];
        let redactor = Redactor::of_environment(variables.map(|(n, v)| (n.to_string(), v.to_string())));
        let text = "key wJalrXUtnFEMI/K7MDENG, no file /run/secrets/db in /home/ada-lovelace";
        assert_eq!(redactor.text(text), "key (sensitive), no file /run/secrets/db in /home/ada-lovelace");
    }

    #[test]
    fn each_line_of_a_key_is_hidden() {
        let redactor = Redactor::new(["-----BEGIN KEY-----\nAAAABBBBCCCC\nDDDDEEEEFFFF\n-----END KEY-----\n"]);
        assert_eq!(redactor.text("    DDDDEEEEFFFF"), "    (sensitive)");
    }
}
