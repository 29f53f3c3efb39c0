//! Whose account a call goes to.

use crate::{
    fake::{Fake, Settings},
    provider::{Account, Aws, FROM_DOCUMENT, Keys, Options},
};
use cloudtik_core::{
    address::Scope,
    failure::FailureKind,
    provider::{Provider, Refresh, Subject},
    value::{Attrs, Value},
};
use std::sync::Arc;

fn vpc(attributes: &[(&str, &str)]) -> Refresh {
    let declared: Attrs = attributes.iter().map(|(k, v)| ((*k).to_owned(), Value::text(v))).collect();
    let address = cloudtik_core::Address::new(Scope::workspace("demo"), "vpc", "main");
    Refresh { kind: "vpc".into(), subjects: vec![Subject { address, record: None, declared }] }
}

/// A saved plan holds no keys: it goes to the account of the documents, or nowhere.
#[tokio::test(start_paused = true)]
async fn what_a_document_made_with_its_keys_is_not_looked_for_with_others() {
    let aws = Aws::new(Arc::new(Fake::new(Settings::default())), Options::default());
    let marked = vpc(&[("region", "us-west-2"), ("credentials", FROM_DOCUMENT)]);
    let failure = aws.refresh(&marked).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthenticated, "{failure}");

    let keys = Keys { id: "AKIA".into(), secret: "s".into(), token: None };
    aws.remember("demo", Account { keys: Some(keys), ..Account::default() });
    assert_eq!(aws.refresh(&marked).await.unwrap().len(), 1);
}
