//! Providers as a run with secrets sees them: only the provider behind gets their values, and nothing of them comes back.

use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName, Value,
    batch::BatchKey,
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Rate, Refresh, Settled, Subject},
    schema::KindSchema,
    secret::Secrets,
    state::Record,
};
use std::{borrow::Cow, sync::Arc};

/// What a digest of the content is called where a kind has one. Of a content with a secret in it, it would let guesses be
/// checked, so that state keeps a keyed one.
const DIGEST: &str = "digest";

/// A provider with its secrets put in on the way there and taken out on the way back.
pub struct Discreet {
    inner: Arc<dyn Provider>,
    secrets: Arc<Secrets>,
}

impl Discreet {
    pub fn new(inner: Arc<dyn Provider>, secrets: Arc<Secrets>) -> Self {
        Discreet { inner, secrets }
    }

    fn failure(&self, failure: Failure) -> Failure {
        Failure {
            operation: self.secrets.hide(&failure.operation),
            message: self.secrets.hide(&failure.message),
            hint: failure.hint.map(|hint| self.secrets.hide(&hint)),
            ..failure
        }
    }

    fn record(&self, record: &Arc<Record>) -> Arc<Record> {
        match holds_secret(&record.attributes) {
            true => {
                Arc::new(Record { attributes: self.secrets.reveal_known(&record.attributes), ..(**record).clone() })
            }
            false => record.clone(),
        }
    }

    /// The call with what its attributes stand for; where `strict`, every one of them must be known.
    fn call<'a>(&self, call: &'a Call, strict: bool) -> Result<Cow<'a, Call>, Failure> {
        if !holds_secret(&call.attributes) && !call.record.as_ref().is_some_and(|r| holds_secret(&r.attributes)) {
            return Ok(Cow::Borrowed(call));
        }
        let attributes = match strict {
            true => self.secrets.reveal(&call.attributes).map_err(|unknown| {
                Failure::new(FailureKind::Stale, format!("change {}", call.address.short()), unknown.to_string())
                    .hint("make a new plan from the document: a saved plan holds no secrets")
            })?,
            false => self.secrets.reveal_known(&call.attributes),
        };
        let record = call.record.as_ref().map(|record| self.record(record));
        Ok(Cow::Owned(Call { attributes, record, ..call.clone() }))
    }

    fn outcome(&self, call: &Call, mut outcome: Outcome) -> Result<Outcome, Failure> {
        if holds_secret(&call.attributes) {
            self.outputs(&mut outcome.outputs)?;
        }
        Ok(outcome)
    }

    fn outputs(&self, outputs: &mut Attrs) -> Result<(), Failure> {
        if let Some(Value::Text(digest)) = outputs.get(DIGEST) {
            let keyed = self.secrets.fingerprint(digest).map_err(|fault| {
                Failure::new(FailureKind::Environment, "read the key of fingerprints", fault.to_string())
            })?;
            outputs.insert(DIGEST.into(), Value::Text(keyed));
        }
        self.secrets.conceal(outputs);
        Ok(())
    }

    async fn change<'a, F>(&self, call: &'a Call, run: impl FnOnce(Cow<'a, Call>) -> F) -> Result<Outcome, Failure>
    where
        F: Future<Output = Result<Outcome, Failure>> + Send + 'a,
    {
        let outcome = run(self.call(call, true)?).await.map_err(|failure| self.failure(failure))?;
        self.outcome(call, outcome)
    }

    /// What was seen, as the record or the declaration writes it: their secrets where the value is theirs.
    fn seen(&self, subject: &Subject, presence: Presence) -> Result<Presence, Failure> {
        let Presence::Present { id, mut attributes, mut outputs, healthy, owned } = presence else {
            return Ok(presence);
        };
        let written = subject.record.as_ref().map_or(&subject.declared, |record| &record.attributes);
        if holds_secret(written) {
            let plain = self.secrets.reveal_known(written);
            for (name, value) in &mut attributes {
                if plain.get(name) == Some(value) {
                    *value = written[name].clone();
                }
            }
            self.secrets.conceal(&mut attributes);
            self.outputs(&mut outputs)?;
        }
        let healthy = match healthy {
            Health::Broken(detail) => Health::Broken(self.secrets.hide(&detail)),
            other => other,
        };
        Ok(Presence::Present { id, attributes, outputs, healthy, owned })
    }
}

fn holds_secret(attributes: &Attrs) -> bool {
    fn holds(value: &Value) -> bool {
        match value {
            Value::Secret(_) => true,
            Value::List(items) | Value::Concat(items) => items.iter().any(holds),
            Value::Map(entries) => entries.values().any(holds),
            _ => false,
        }
    }
    attributes.values().any(holds)
}

#[async_trait]
impl Provider for Discreet {
    fn name(&self) -> ProviderName {
        self.inner.name()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        self.inner.kinds()
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn rate(&self, kind: &str, verb: &str) -> Option<Rate> {
        self.inner.rate(kind, verb)
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let plain = |subject: &Subject| Subject {
            address: subject.address.clone(),
            record: subject.record.as_ref().map(|record| self.record(record)),
            declared: match holds_secret(&subject.declared) {
                true => self.secrets.reveal_known(&subject.declared),
                false => subject.declared.clone(),
            },
        };
        let asked = Refresh { kind: refresh.kind.clone(), subjects: refresh.subjects.iter().map(plain).collect() };
        let observed = self.inner.refresh(&asked).await.map_err(|failure| self.failure(failure))?;
        let subjects: std::collections::BTreeMap<_, _> = refresh.subjects.iter().map(|s| (&s.address, s)).collect();
        observed
            .into_iter()
            .map(|Observed { address, presence }| match subjects.get(&address) {
                Some(subject) => Ok(Observed { presence: self.seen(subject, presence)?, address }),
                None => Ok(Observed { address, presence }),
            })
            .collect()
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        self.change(call, |plain| async move { self.inner.create(&plain).await }).await
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        self.inner.batch(call)
    }

    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        let plain: Result<Vec<Call>, Failure> =
            calls.iter().map(|call| self.call(call, true).map(Cow::into_owned)).collect();
        let results = match plain {
            Ok(plain) => self.inner.create_many(&plain).await,
            Err(failure) => return calls.iter().map(|_| Err(failure.clone())).collect(),
        };
        let back = results.into_iter().zip(calls);
        back.map(|(result, call)| self.outcome(call, result.map_err(|failure| self.failure(failure))?)).collect()
    }

    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        let plain: Result<Vec<Call>, Failure> =
            calls.iter().map(|call| self.call(call, false).map(Cow::into_owned)).collect();
        match plain {
            Ok(plain) => {
                let results = self.inner.delete_many(&plain).await.into_iter();
                results.map(|result| result.map_err(|failure| self.failure(failure))).collect()
            }
            Err(failure) => calls.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let plain = self.call(call, true)?;
        let mut outputs = self.inner.ready(&plain).await.map_err(|failure| self.failure(failure))?;
        if holds_secret(&call.attributes) {
            self.outputs(&mut outputs)?;
        }
        Ok(outputs)
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.change(call, |plain| async move { self.inner.update(&plain).await }).await
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        let plain = self.call(call, false)?;
        self.inner.delete(&plain).await.map_err(|failure| self.failure(failure))
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        let plain = self.call(call, false)?;
        match self.inner.settle(&plain).await.map_err(|failure| self.failure(failure))? {
            Settled::Found(outcome) => Ok(Settled::Found(self.outcome(call, outcome)?)),
            other => Ok(other),
        }
    }
}
