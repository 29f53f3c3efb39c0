//! What services answer, in our words: the place, what is wrong, and what to do.

use cloudtik_core::state::StoreError;
use object_store::Error;

/// Whether somebody else's write came before: the condition of a put did not hold. Azure answers so to a create as well.
pub(crate) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Precondition { .. } | Error::AlreadyExists { .. })
}

/// Whether trying again is useless: nothing was written and nothing will be.
pub(crate) fn is_refusal(error: &Error) -> bool {
    let configured = matches!(
        error,
        Error::UnknownConfigurationKey { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. }
    );
    let denied = matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. });
    configured || denied || matches!(error, Error::InvalidPath { .. }) || is_missing_credentials(error)
}

fn is_missing_credentials(error: &Error) -> bool {
    let text = whole(error);
    text.contains("169.254.169.254") || text.contains("metadata.google.internal") || text.contains("MissingCredentials")
}

/// An error of a service's about the object or bucket at `place`.
pub(crate) fn told(operation: &'static str, place: &str, error: &Error) -> StoreError {
    let text = whole(error);
    let hint = match error {
        Error::PermissionDenied { .. } => {
            "the credentials may not do this: they need to read, write, list and delete objects below the prefix"
        }
        Error::Unauthenticated { .. } => credentials(place),
        _ if is_missing_credentials(error) => credentials(place),
        _ if text.contains("NoSuchBucket")
            || text.contains("ContainerNotFound")
            || text.contains("bucket does not exist") =>
        {
            "there is no such bucket: make it first, with versions of objects kept"
        }
        Error::NotFound { .. } => "there is no such object or no such bucket: the bucket is made by hand, once",
        _ if text.contains("PermanentRedirect") || text.contains("301") => {
            "the bucket is in another region: set AWS_REGION to it"
        }
        _ if text.contains("error sending request") => {
            "the service cannot be reached: look at the network and the endpoint"
        }
        _ => "the service does not answer as it should: run the same command again",
    };
    StoreError::Other { operation, place: place.into(), detail: format!("{text}; {hint}") }
}

fn credentials(place: &str) -> &'static str {
    match place.split_once("://").map_or("", |(service, _)| service) {
        "s3" => {
            "no valid credentials: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION (profiles are not read)"
        }
        "gs" => {
            "no valid credentials: set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
        }
        _ => {
            "no valid credentials: set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID and its kin"
        }
    }
}

/// The innermost causes say what happened; the layers around them repeat it.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
