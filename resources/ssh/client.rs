//! Our side of the protocol: judges the machine's key before anything else is sent, and notes how a connection ended.

use crate::host_key;
use russh::{
    client::{DisconnectReason, Handler},
    keys::{PublicKey, PublicKeyOrCertificate},
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Why a connection could not be made, or ended.
#[derive(Debug)]
pub(crate) enum Broken {
    Protocol(russh::Error),
    /// The machine showed a key that is not among its own.
    Key(Box<PublicKey>),
    Certificate,
}

impl From<russh::Error> for Broken {
    fn from(error: russh::Error) -> Self {
        Broken::Protocol(error)
    }
}

/// What is known of a connection by both who uses it and who runs it.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    key: Arc<OnceLock<PublicKey>>,
    end: Arc<Mutex<Option<String>>>,
}

impl Facts {
    /// The key that the machine proved to hold.
    pub fn key(&self) -> Option<&PublicKey> {
        self.key.get()
    }

    /// Why it ended, once it has.
    pub fn end(&self) -> Option<String> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) struct Client {
    /// Empty: the first key that is shown is the machine's.
    pub pinned: Vec<PublicKey>,
    pub facts: Facts,
}

impl Handler for Client {
    type Error = Broken;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Broken> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Err(Broken::Certificate) };
        // Keys are exchanged anew now and then, by the machine that was there before.
        let own = self.facts.key.get_or_init(|| key.clone()).key_data() == key.key_data();
        match own && (self.pinned.is_empty() || host_key::is_among(key, &self.pinned)) {
            true => Ok(true),
            false => Err(Broken::Key(Box::new(key.clone()))),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Broken>) -> Result<(), Broken> {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("it said: {}", info.message),
            DisconnectReason::Error(broken) => describe(broken),
        };
        self.facts.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        Ok(())
    }
}

/// A fragment for a message.
pub(crate) fn describe(broken: &Broken) -> String {
    match broken {
        Broken::Protocol(russh::Error::IO(error)) => error.to_string(),
        Broken::Protocol(russh::Error::KeepaliveTimeout) => "it no longer answers".into(),
        Broken::Protocol(russh::Error::HUP | russh::Error::Disconnect) => "it closed the connection".into(),
        Broken::Protocol(russh::Error::Version) => "what answers there is no SSH server".into(),
        Broken::Protocol(error) => lower(&error.to_string()),
        Broken::Key(key) => format!("it showed another key: {}", host_key::fingerprint(key)),
        Broken::Certificate => "it showed a certificate instead of a key".into(),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
