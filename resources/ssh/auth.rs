//! Logging in: with a key from a file, or with what the ssh-agent holds. Never with a password.

use crate::{
    client::{Client, describe},
    host_key,
    target::Route,
    transport::unreachable,
};
use cloudtik_core::failure::{Failure, FailureKind};
use russh::{
    MethodKind,
    client::{AuthResult, Handle},
    keys::{
        self, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey,
        agent::{AgentIdentity, client::AgentClient},
    },
};
use std::{path::Path, sync::Arc};
use tokio::net::UnixStream;

/// Servers hang up after some refusals (six, by default); an agent may hold more keys than that.
const TRIES: usize = 5;

/// A key that can be offered.
enum Offer {
    File(Arc<PrivateKey>),
    Agent(PublicKey),
}

impl Offer {
    fn public(&self) -> &PublicKey {
        match self {
            Offer::File(key) => key.public_key(),
            Offer::Agent(key) => key,
        }
    }
}

pub(crate) async fn log_in(handle: &mut Handle<Client>, route: &Route, agent: Option<&Path>) -> Result<(), Failure> {
    let operation = format!("log in to {}", route.name());
    let mut agent = match agent {
        Some(path) => AgentClient::connect_uds(path).await.ok(),
        None => None,
    };
    let offers = offers(&operation, route, &mut agent).await?;
    let hash = if offers.iter().any(|offer| offer.public().algorithm().is_rsa()) {
        // A server that does not say takes SHA-2: OpenSSH since 7.2.
        let told = handle.best_supported_rsa_hash().await;
        told.map_err(|e| unreachable(&operation, describe(&e.into())))?.unwrap_or(Some(HashAlg::Sha512))
    } else {
        None
    };
    let mut accepted = None;
    for offer in &offers {
        let user = route.user.as_str();
        let answer = match (offer, &mut agent) {
            (Offer::File(key), _) => handle
                .authenticate_publickey(user, PrivateKeyWithHashAlg::new(key.clone(), hash))
                .await
                .map_err(|e| unreachable(&operation, describe(&e.into())))?,
            (Offer::Agent(key), Some(agent)) => {
                let hash = if key.algorithm().is_rsa() { hash } else { None };
                let refused = |e: russh::AgentAuthError| {
                    let message = format!("the ssh-agent does not sign with {}: {e}", host_key::fingerprint(key));
                    Failure::new(FailureKind::Unauthenticated, &operation, message)
                };
                handle.authenticate_publickey_with(user, key.clone(), hash, agent).await.map_err(refused)?
            }
            (Offer::Agent(_), None) => continue,
        };
        match answer {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { remaining_methods, .. } if !remaining_methods.is_empty() => {
                accepted = Some(remaining_methods);
            }
            // The connection ended instead of an answer.
            AuthResult::Failure { .. } => return Err(unreachable(&operation, "it closed the connection")),
        }
    }
    let methods: Vec<MethodKind> = accepted.map(|set| set.to_vec()).unwrap_or_default();
    Err(refused(operation, route, &offers, &methods))
}

fn refused(operation: String, route: &Route, offers: &[Offer], accepted: &[MethodKind]) -> Failure {
    let failure = |message: String| Failure::new(FailureKind::Unauthenticated, operation.clone(), message);
    if offers.is_empty() {
        return failure("there is no key to log in with".into())
            .hint("name one with `ssh_private_key` in the document's `auth`, or add one to the agent: `ssh-add`");
    }
    let tried: Vec<String> = offers.iter().map(|offer| host_key::fingerprint(offer.public())).collect();
    let mut message = format!("it takes none of the keys that were offered: {}", tried.join(", "));
    if !accepted.is_empty() && !accepted.contains(&MethodKind::PublicKey) {
        let methods: Vec<&str> = accepted.iter().map(Into::into).collect();
        message = format!("it takes no keys at all, only {}", methods.join(", "));
    }
    failure(message).hint(format!("the public key belongs into ~/.ssh/authorized_keys of `{}` there", route.user))
}

type Agent = Option<AgentClient<UnixStream>>;

/// The key of the file alone, when there is one: other keys would use up the tries that a server allows.
async fn offers(operation: &str, route: &Route, agent: &mut Agent) -> Result<Vec<Offer>, Failure> {
    let held = held(agent).await;
    let Some(path) = &route.key else {
        return Ok(held.into_iter().take(TRIES).map(Offer::Agent).collect());
    };
    let failed = |what: String| Failure::new(FailureKind::Environment, operation, what);
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|e| failed(format!("cannot read the private key `{}`: {e}", path.display())))?;
    match keys::decode_secret_key(&text, None) {
        Ok(key) => Ok(vec![Offer::File(Arc::new(key))]),
        Err(_) if is_encrypted(&text) => {
            let public = public_of(&text, path).await;
            let held = held.into_iter().find(|key| public.as_ref().is_some_and(|p| p.key_data() == key.key_data()));
            held.map(|key| vec![Offer::Agent(key)]).ok_or_else(|| {
                failed(format!("the private key `{}` is encrypted, and the ssh-agent does not hold it", path.display()))
                    .hint(format!("add it to the agent, which asks for the passphrase: `ssh-add {}`", path.display()))
            })
        }
        Err(error) => Err(failed(format!("`{}` is no private key that can be used: {error}", path.display()))),
    }
}

fn is_encrypted(text: &str) -> bool {
    match PrivateKey::from_openssh(text) {
        Ok(key) => key.is_encrypted(),
        // The older forms say so in their first lines.
        Err(_) => text.lines().take(3).any(|line| line.contains("ENCRYPTED")),
    }
}

/// The public half of an encrypted key: OpenSSH's form has it in the clear, others beside them.
async fn public_of(text: &str, path: &Path) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let text = tokio::fs::read_to_string(beside).await.ok()?;
    PublicKey::from_openssh(text.trim()).ok()
}

/// Plain keys of the agent; an agent that cannot be asked holds none.
async fn held(agent: &mut Agent) -> Vec<PublicKey> {
    let Some(agent) = agent else { return Vec::new() };
    let all = agent.request_identities().await.unwrap_or_default();
    let plain = all.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    });
    plain.collect()
}
