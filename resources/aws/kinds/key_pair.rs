//! `key-pair`: the key that machines let in. Without `source` its private half is made here, in a file of its own; with it,
//! it is the user's. AWS and the state get the public half, never the other.
//!
//! The file is durable before AWS hears of the key, so no machine ever lets in a key that nobody has.

use super::{
    Kind,
    find::{self, Lookup, Seen, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    key_file,
    provider::{At, Options},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::{io, path::PathBuf, time::Duration};

pub(crate) struct KeyPair;

const CAP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// A key on this machine: where it is, and its public half.
struct Local {
    file: PathBuf,
    /// `ssh-ed25519 AAAA…`.
    public: String,
    fingerprint: String,
}

/// The private key's file: the user's, else one that is named like the key pair.
fn file(options: &Options, attributes: &Attrs) -> PathBuf {
    let text = |name: &str| attributes.get(name).and_then(Value::as_text);
    match text("source") {
        Some(source) => source.into(),
        None => options.keys.join(format!("{}.pem", text("name").unwrap_or_default())),
    }
}

fn read(options: &Options, attributes: &Attrs) -> io::Result<Local> {
    let file = file(options, attributes);
    let public = match attributes.get("public_source").and_then(Value::as_text) {
        Some(public) => key_file::read_public(public.as_ref())?,
        None => key_file::public(&file)?,
    };
    Ok(Local { file, public: key_file::line(&public)?, fingerprint: key_file::fingerprint(&public) })
}

impl Local {
    fn outputs(&self) -> Attrs {
        attrs([
            ("file", Value::text(self.file.to_string_lossy())),
            ("public", Value::text(&self.public)),
            ("fingerprint", Value::text(&self.fingerprint)),
        ])
    }

    /// Whether AWS has this key. Unknown, and taken for yes, where it does not tell.
    fn is(&self, item: &Item) -> bool {
        let theirs: Vec<&str> = item.text("public").split_whitespace().take(2).collect();
        theirs.is_empty() || theirs.join(" ") == self.public
    }
}

fn is_generated(attributes: &Attrs) -> bool {
    !attributes.contains_key("source")
}

/// The comment of keys that are made for a scope.
fn maker(at: &At<'_>) -> String {
    format!("cloudtik {}", at.call.scope())
}

#[async_trait]
impl Kind for KeyPair {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("key-pair").replace_on(&["region", "name"]).takes(Durations {
            create: 600,
            ready: 0,
            update: 800,
            delete: 400,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, options: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup = Lookup { listing: Listing::KeyPairs, id: "key-name", always: Vec::new(), by_name: false };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let known = [Some(&subject.declared), subject.record.as_ref().map(|record| &record.attributes)];
            let known = known.into_iter().flatten().find(|attributes| attributes.contains_key("name"));
            let (healthy, outputs) = match known.map(|attributes| (attributes, read(options, attributes))) {
                None => (Health::Ok, Attrs::new()),
                Some((_, Ok(local))) if local.is(item) => (Health::Ok, local.outputs()),
                Some((_, Ok(local))) => {
                    let what = format!("AWS has another key than {}", local.file.display());
                    (Health::Broken(what), local.outputs())
                }
                Some((attributes, Err(error))) => {
                    let file = file(options, attributes);
                    let what = format!("its private key {} is not on this machine ({error})", file.display());
                    (Health::Broken(what), attrs([("file", Value::text(file.to_string_lossy()))]))
                }
            };
            Seen { attributes: attrs([("name", Value::text(item.text("name")))]), outputs, healthy }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let attributes = &at.call.attributes;
        if is_generated(attributes) {
            let file = file(at.options, attributes);
            key_file::make(&file, &maker(at)).map_err(|e| unwritable(at, &file, &e))?;
        }
        let local = read(at.options, attributes).map_err(|e| unreadable(at, &e))?;
        import(at, &local).await?;
        Ok(Outcome { id: at.text("name")?.into(), outputs: local.outputs() })
    }

    /// Machines can be launched with it once the service sees it.
    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let name = [Filter::is("key-name", at.text("name")?)];
        let there = |item: Option<&Item>| Ok(item.is_some());
        at.poll(Listing::KeyPairs, &name, "the key to become visible", CAP, PATIENCE, there).await?;
        Ok(Attrs::new())
    }

    /// Makes AWS know the key in the file. A file that is gone cannot be made again: machines let in its key only.
    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let local = read(at.options, &at.call.attributes).map_err(|e| unreadable(at, &e))?;
        let there = named(at).await?;
        // Its tags go by an id that nobody else uses; importing it again is as cheap, and machines do not notice.
        let tagged = |item: &Item| tags::declared(&at.call.attributes).iter().all(|(k, v)| item.tags.get(k) == Some(v));
        let same = there.as_ref().is_some_and(|item| local.is(item) && tagged(item));
        if there.is_some() && !same {
            at.remove(Request::DeleteKeyPair { name: at.text("name")?.into() }).await?;
        }
        if !same {
            import(at, &local).await?;
        }
        Ok(Outcome { id: at.id().into(), outputs: local.outputs() })
    }

    /// The file goes too, if it was made here and holds that very key.
    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeleteKeyPair { name: at.id().into() }).await?;
        let Some(record) = at.call.record.as_ref().filter(|record| is_generated(&record.attributes)) else {
            return Ok(());
        };
        let file = file(at.options, &record.attributes);
        let recorded = record.outputs.get("public").and_then(Value::as_text);
        let here = read(at.options, &record.attributes).ok().map(|local| local.public);
        let ours = key_file::maker(&file).is_some_and(|comment| comment == maker(at));
        if ours && here.as_deref() == recorded {
            std::fs::remove_file(&file).map_err(|e| unwritable(at, &file, &e))?;
        }
        Ok(())
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        let found = find::by_operation(at, Listing::KeyPairs, &[], |_| Attrs::new()).await?;
        Ok(match (found, read(at.options, &at.call.attributes)) {
            (Settled::Found(outcome), Ok(local)) => Settled::Found(Outcome { outputs: local.outputs(), ..outcome }),
            (other, _) => other,
        })
    }
}

async fn named(at: &At<'_>) -> Result<Option<Item>, Failure> {
    at.one(Listing::KeyPairs, &[Filter::is("key-name", at.text("name")?)]).await
}

/// Gives AWS the public half. A key pair of that name that is this key already is as good.
async fn import(at: &At<'_>, local: &Local) -> Result<(), Failure> {
    let name = at.text("name")?;
    let request =
        Request::ImportKeyPair { name: name.into(), public: local.public.clone(), tags: tags::on_create(at.call) };
    match at.send(request).await {
        Err(failure) if failure.kind == FailureKind::AlreadyExists => match named(at).await? {
            Some(item) if local.is(&item) => Ok(()),
            _ => Err(failure.hint(format!(
                "AWS has another key pair `{name}`: delete it there, unless machines are still reached by it"
            ))),
        },
        other => other.map(drop),
    }
}

fn unreadable(at: &At<'_>, error: &io::Error) -> Failure {
    let file = file(at.options, &at.call.attributes);
    let what = format!("the private key {} cannot be used: {error}", file.display());
    let hint = match is_generated(&at.call.attributes) {
        true => format!(
            "copy it from the machine that it was made on. If it is lost, its nodes cannot be reached any more: stop the \
             clusters, then make a new key with `--replace {}`",
            at.call.address.short()
        ),
        false => "correct `auth.ssh_private_key`; it must be readable, or have its `.pub` beside it".into(),
    };
    Failure::new(FailureKind::Environment, &at.operation, what).hint(hint)
}

fn unwritable(at: &At<'_>, file: &std::path::Path, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Environment, &at.operation, format!("key file {}: {error}", file.display()))
}
