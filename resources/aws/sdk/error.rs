//! The SDK's failures as [`ApiError`]s.
//!
//! What matters most is whether the request may have reached the service. hyper knows: its error says whether a connection
//! was being made.

use crate::api::{ApiError, Cause};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use hyper_util::client::legacy::Error as HyperError;
use std::error::Error;

pub(super) fn read<E>(action: &str, error: SdkError<E, HttpResponse>) -> ApiError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    // The body's (EC2) comes before the header's (S3, IAM).
    let in_body = error.as_service_error().and_then(|e| e.meta().request_id()).map(String::from);
    let request_id = in_body.or_else(|| error.request_id().map(String::from)).filter(|id| !id.is_empty());
    let cause = match &error {
        // It was done, and what it answered cannot be read.
        SdkError::ServiceError(answer) if answer.raw().status().is_success() && answer.err().code().is_none() => {
            Cause::Transport { message: chain(&error), sent: true }
        }
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or(if status == 429 { "TooManyRequestsException" } else { "" });
            let message = answer.err().message().map(String::from).unwrap_or_else(|| format!("status {status}"));
            Cause::Service { code: code.into(), message, status }
        }
        SdkError::ResponseError(answer) => match answer.raw().status().as_u16() {
            status @ 300.. => Cause::Service { code: String::new(), message: chain(&error), status },
            // It was done, and what it answered is lost.
            _ => Cause::Transport { message: chain(&error), sent: true },
        },
        SdkError::TimeoutError(_) => Cause::Transport { message: chain(&error), sent: true },
        SdkError::DispatchFailure(failure) => dispatch(&error, failure.is_other() || failure.is_user()),
        _ => match find::<CredentialsError>(&error) {
            Some(_) => Cause::Credentials(chain(&error)),
            None => Cause::Malformed(chain(&error)),
        },
    };
    ApiError { action: action.into(), cause, request_id }
}

/// Nothing was answered. `ours`: the SDK itself gave up, before the network or without a known reason.
fn dispatch(error: &(dyn Error + 'static), ours: bool) -> Cause {
    let message = chain(error);
    if find::<CredentialsError>(error).is_some() || message.contains("no identity") {
        return Cause::Credentials(message);
    }
    match find::<HyperError>(error) {
        Some(hyper) => Cause::Transport { message, sent: !hyper.is_connect() },
        None if ours => Cause::Malformed(message),
        None => Cause::Transport { message, sent: true },
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    sources(error).find_map(|e| e.downcast_ref())
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// What went wrong, from the outside in, each cause once. The SDK's own wrappings say nothing.
fn chain(error: &(dyn Error + 'static)) -> String {
    const WRAPPINGS: [&str; 6] =
        ["dispatch failure", "io error", "timeout", "other", "client error (Connect)", "client error (SendRequest)"];
    let mut said: Vec<String> = Vec::new();
    for cause in sources(error).map(ToString::to_string) {
        if !WRAPPINGS.contains(&cause.as_str()) && !said.iter().any(|s| s.contains(&cause)) {
            said.push(cause);
        }
    }
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}
