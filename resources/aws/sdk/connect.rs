//! Clients for an account: the default chains of Amazon's tools, and what a document says instead.

use super::Sdk;
use crate::{
    api::{Api, ApiError, Cause},
    provider::{Account, Connect},
    rate::Rates,
};
use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::EnvironmentVariableRegionProvider, imds,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider, provider_config::ProviderConfig,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::Credentials;
use aws_smithy_http_client::{
    Builder, Connector as HttpConnector,
    proxy::ProxyConfig,
    tls::{Provider as Tls, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::ServiceConfigKey;
use std::{env, sync::Arc, time::Duration};

/// Within this a connection is made, name and TLS included, or will not be: two retransmissions of a lost first packet.
const CONNECT: Duration = Duration::from_secs(5);
/// The slowest answers (RunInstances for hundreds, CreateDBInstance) take tens of seconds; Amazon's own tools wait as long.
const READ: Duration = Duration::from_secs(60);
/// The metadata service answers within milliseconds, on this very machine's host.
const METADATA: Duration = Duration::from_secs(1);

/// Connects over the network.
pub struct Connector {
    /// The largest page to ask for; smaller ones serve tests.
    pub page: i32,
}

impl Default for Connector {
    fn default() -> Self {
        Connector { page: i32::MAX }
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, account: &Account) -> Result<Arc<dyn Api>, ApiError> {
        let http = http();
        let imds = metadata(&http);
        let region = match account.region.as_str() {
            "" => region(imds.as_ref()).await?,
            region => region.to_owned(),
        };
        let shared = shared(account, &region, http).await;
        let s3 = aws_sdk_s3::config::Builder::from(&shared).force_path_style(is_redirected(&shared, "S3")).build();
        Ok(Arc::new(Sdk {
            ec2: aws_sdk_ec2::Client::new(&shared),
            iam: aws_sdk_iam::Client::new(&shared),
            s3: aws_sdk_s3::Client::from_conf(s3),
            rds: aws_sdk_rds::Client::new(&shared),
            sts: aws_sdk_sts::Client::new(&shared),
            imds,
            region,
            rates: Rates::default(),
            page: self.page,
        }))
    }
}

/// TLS by rustls and ring, the binary's one crypto; proxies from the environment, as Python's tools take them.
fn http() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut builder = HttpConnector::builder().proxy_config(ProxyConfig::from_env());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
        builder.tls_provider(Tls::Rustls(CryptoMode::Ring)).build()
    })
}

async fn shared(account: &Account, region: &str, http: SharedHttpClient) -> SdkConfig {
    let mut loader: ConfigLoader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(http)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(READ).build())
        // What is repeated, and when, is decided in `crate::repeat`.
        .retry_config(RetryConfig::disabled());
    if let Some(endpoint) = &account.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(keys) = &account.keys {
        let (id, secret, token) = (keys.id.clone(), keys.secret.clone(), keys.token.clone());
        loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "document"));
    }
    loader.load().await
}

/// Whether calls of `service` go elsewhere than to Amazon: by the document, the environment or a profile.
fn is_redirected(shared: &SdkConfig, service: &str) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all parts are set");
    shared.endpoint_url().is_some() || shared.service_config().is_some_and(|c| c.load_config(key).is_some())
}

fn metadata(http: &SharedHttpClient) -> Option<imds::Client> {
    if env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|v| v.eq_ignore_ascii_case("true")) {
        return None;
    }
    let config = ProviderConfig::without_region().with_http_client(http.clone());
    let client = imds::Client::builder().configure(&config).max_attempts(1);
    Some(client.connect_timeout(METADATA).read_timeout(METADATA).operation_timeout(METADATA * 2).build())
}

/// The region of the environment, else of the profile, else the one this machine is in.
async fn region(imds: Option<&imds::Client>) -> Result<String, ApiError> {
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    if let Some(region) = chain.region().await {
        return Ok(region.to_string());
    }
    if let Some(imds) = imds
        && let Ok(region) = imds.get("/latest/meta-data/placement/region").await
    {
        return Ok(region.as_ref().to_owned());
    }
    let message = "no region: set `provider.region`, AWS_REGION, or `region` in the profile";
    Err(ApiError { action: "connect".into(), cause: Cause::Credentials(message.into()), request_id: None })
}
