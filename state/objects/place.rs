//! URLs of buckets, and the clients that speak to their services.
//!
//! Credentials, regions and endpoints come from the environment, by the names that each service's own tools use.

use crate::{bucket::Bucket, failure, worker};
use cloudtik_core::state::StoreError;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder, path::Path,
};
use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

/// Longest wait for one answer, and for repeated ones when the service asks to go slower.
const ANSWER: Duration = Duration::from_secs(10);
const ANSWERS: Duration = Duration::from_secs(30);

pub(crate) fn open(place: &str, variables: &Variables) -> Result<Bucket, StoreError> {
    let wrong = |detail: &str| StoreError::Other { operation: "find", place: place.into(), detail: detail.into() };
    let (service, rest) = place.split_once("://").ok_or_else(|| wrong("it is no URL"))?;
    worker::prepare();
    let mut parts = rest.trim_end_matches('/').splitn(if service == "az" { 3 } else { 2 }, '/');
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let objects = match (service, part()) {
        (_, None) => Err(wrong("it names no bucket")),
        ("s3", Some(bucket)) => s3(bucket, variables).map_err(|e| failure::told("open", place, &e)),
        ("gs", Some(bucket)) => gcs(bucket, variables).map_err(|e| failure::told("open", place, &e)),
        ("az", Some(account)) => match part() {
            Some(container) => azure(account, container, variables).map_err(|e| failure::told("open", place, &e)),
            None => Err(wrong("it is `az://ACCOUNT/CONTAINER/PREFIX`")),
        },
        _ => Err(wrong("it is none of `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://ACCOUNT/CONTAINER/PREFIX`")),
    }?;
    let prefix = part().unwrap_or_default().to_owned();
    // It is written into every key: what a service would change, it must not contain.
    Path::parse(&prefix).map_err(|e| failure::told("open", place, &e.into()))?;
    Ok(Bucket { objects, prefix, place: place.trim_end_matches('/').into() })
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 10, retry_timeout: ANSWERS }
}

/// Plain HTTP only towards an endpoint that says so.
fn client(endpoint: Option<&String>) -> ClientOptions {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new().with_timeout(ANSWER).with_connect_timeout(ANSWER / 2).with_allow_http(plain)
}

/// Settings by the names of environment variables.
pub(crate) type Variables = BTreeMap<String, String>;

/// The first of these that is set.
fn first<'a>(variables: &'a Variables, names: &[&str]) -> Option<&'a String> {
    names.iter().find_map(|name| variables.get(*name).filter(|value| !value.is_empty()))
}

/// The variables that a client knows, as its keys.
fn known<K: FromStr>(variables: &Variables) -> impl Iterator<Item = (K, &String)> {
    variables.iter().filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

fn s3(bucket: &str, variables: &Variables) -> Result<Arc<dyn ObjectStore>, Error> {
    let endpoint = first(variables, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]);
    let mut builder = AmazonS3Builder::new();
    for (key, value) in known(variables) {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(bucket).with_retry(retry()).with_client_options(client(endpoint));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn gcs(bucket: &str, variables: &Variables) -> Result<Arc<dyn ObjectStore>, Error> {
    // As Google's own clients do: an emulator asks for no credentials.
    let emulator = first(variables, &["STORAGE_EMULATOR_HOST"]);
    let mut builder = GoogleCloudStorageBuilder::new();
    for (key, value) in known(variables) {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(bucket).with_retry(retry()).with_client_options(client(emulator));
    if let Some(emulator) = emulator {
        builder = builder.with_base_url(emulator).with_bearer_token("emulator");
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(account: &str, container: &str, variables: &Variables) -> Result<Arc<dyn ObjectStore>, Error> {
    let endpoint = first(variables, &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]);
    let mut builder = MicrosoftAzureBuilder::new();
    for (key, value) in known(variables) {
        builder = builder.with_config(key, value);
    }
    let builder = builder.with_account(account).with_container_name(container).with_retry(retry());
    Ok(Arc::new(builder.with_client_options(client(endpoint)).build()?))
}
