//! Failures of AWS as the engine needs them: what kind, whether a repetition helps, what the call left behind.
//!
//! Codes: EC2 API reference, "Error codes for the Amazon EC2 API"; IAM and RDS API references, "Common errors" (read
//! 2026-11-25).

use crate::api::{ApiError, Cause};
use cloudtik_core::failure::{Effect, Failure, FailureKind, Retry};

/// The failure of a call that changes something, on behalf of `operation` (`create vpc.main`).
pub(crate) fn failure(operation: impl Into<String>, error: &ApiError) -> Failure {
    let kind = kind(error);
    let failure = Failure { request_id: error.request_id.clone(), ..Failure::new(kind, operation, message(error)) };
    let failure = match (&error.cause, kind) {
        (_, FailureKind::Throttled) => failure.retry(Retry::Backoff),
        (Cause::Transport { sent, .. }, _) => {
            failure.retry(Retry::Backoff).effect(if *sent { Effect::Unknown } else { Effect::None })
        }
        // A server error may have come after the effect.
        (Cause::Service { status, code, .. }, _) if *status >= 500 && !is_shortage(code) => {
            failure.retry(Retry::Backoff).effect(Effect::Unknown)
        }
        // Spare capacity comes and goes; so do the last users of a thing that is being deleted.
        (_, FailureKind::InUse) => failure.retry(Retry::Backoff),
        _ => failure,
    };
    match hint(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn message(error: &ApiError) -> String {
    match &error.cause {
        Cause::Service { code, message, .. } => {
            let message = message.trim().trim_end_matches('.');
            if message.is_empty() { format!("{}: {code}", error.action) } else { format!("{code}: {message}") }
        }
        Cause::Transport { message, sent: true } => {
            format!("{} got no answer, so whether it was done is not known: {message}", error.action)
        }
        Cause::Transport { message, sent: false } => format!("AWS cannot be reached: {message}"),
        Cause::Credentials(message) => format!("no usable credentials: {}", first_cause(message)),
        Cause::Malformed(message) => format!("{}: {message}", error.action),
    }
}

/// The SDK tells of every place that it looked at, over many lines; what it found wrong comes first.
fn first_cause(message: &str) -> &str {
    let first = message.lines().next().unwrap_or(message).trim_end_matches(" Attempted:");
    first.trim_start_matches("the credential provider was not enabled: ").trim_end_matches('.')
}

fn kind(error: &ApiError) -> FailureKind {
    let code = match &error.cause {
        Cause::Service { code, status, .. } if *status >= 500 && !is_throttle(code) && !is_shortage(code) => {
            return FailureKind::Other;
        }
        Cause::Service { code, .. } => code.as_str(),
        Cause::Transport { .. } => return FailureKind::Unreachable,
        Cause::Credentials(_) => return FailureKind::Unauthenticated,
        Cause::Malformed(_) => return FailureKind::Bug,
    };
    match code {
        _ if is_throttle(code) => FailureKind::Throttled,
        _ if is_absent(error) => FailureKind::NotFound,
        "DependencyViolation"
        | "DeleteConflict"
        | "ResourceInUse"
        | "InvalidIPAddress.InUse"
        | "VolumeInUse"
        | "IncorrectState"
        | "IncorrectInstanceState"
        | "InvalidParameterCombination.InUse"
        | "BucketNotEmpty"
        | "InvalidDBInstanceState"
        | "InvalidDBSubnetGroupStateFault"
        | "OperationAborted" => FailureKind::InUse,
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "OptInRequired" | "AllAccessDisabled" => {
            FailureKind::Denied
        }
        "AuthFailure"
        | "InvalidClientTokenId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "TokenRefreshRequired" => FailureKind::Unauthenticated,
        _ if is_shortage(code) => FailureKind::Exhausted,
        "MaxSpotInstanceCountExceeded"
        | "SpotMaxPriceTooLow"
        | "Unsupported"
        | "InstanceQuotaExceeded"
        | "StorageQuotaExceeded"
        | "TooManyBuckets" => FailureKind::Exhausted,
        _ if code.contains("LimitExceeded") => FailureKind::Exhausted,
        _ if code.ends_with(".Duplicate")
            || code.ends_with("AlreadyExists")
            || code.ends_with("AlreadyExistsFault") =>
        {
            FailureKind::AlreadyExists
        }
        "EntityAlreadyExists"
        | "Resource.AlreadyAssociated"
        | "RouteAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "InvalidSubnet.Conflict" => FailureKind::AlreadyExists,
        _ if code.starts_with("Invalid") || code.starts_with("Malformed") || code.starts_with("Missing") => {
            FailureKind::Invalid
        }
        _ => FailureKind::Other,
    }
}

/// Whether AWS has no room just now: server errors, as it counts them, that say for certain that nothing was made.
/// Source: EC2 API reference, "Server error codes" (read 2026-11-25).
fn is_shortage(code: &str) -> bool {
    matches!(
        code,
        "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientReservedInstanceCapacity"
            | "InsufficientFreeAddressesInSubnet"
            | "InsufficientAddressCapacity"
            | "InsufficientVolumeCapacity"
    )
}

/// Whether the service asks for fewer calls.
pub(crate) fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "EC2ThrottledException"
            | "SlowDown"
            | "PriorRequestNotComplete"
            | "BandwidthLimitExceeded"
            | "LimitExceededException"
    )
}

/// Whether the object of the call is not there (or not visible yet).
pub(crate) fn is_absent(error: &ApiError) -> bool {
    let code = error.code();
    code.ends_with(".NotFound")
        || code.ends_with("NotFoundFault")
        || matches!(
            code,
            "NoSuchEntity"
                | "NoSuchBucket"
                | "NoSuchUpload"
                | "NoSuchKey"
                | "NatGatewayNotFound"
                | "InvalidGatewayID.NotFound"
                | "InvalidVpcID.NotFound"
                | "InvalidGroupId.NotFound"
                | "DBInstanceNotFound"
                | "Gateway.NotAttached"
                | "InvalidAssociationID.NotFound"
                | "NoSuchTagSet"
                | "InvalidRoute.NotFound"
        )
}

fn hint(error: &ApiError) -> Option<&'static str> {
    Some(match error.code() {
        "VpcLimitExceeded" => "delete a VPC that nobody needs, or ask AWS for a higher quota (5 a region by default)",
        "AddressLimitExceeded" => "release an Elastic IP, or ask AWS for a higher quota (5 a region by default)",
        "VcpuLimitExceeded" => "choose smaller or fewer nodes, or ask AWS for more vCPUs of this family",
        "InsufficientInstanceCapacity" | "InsufficientReservedInstanceCapacity" | "Unsupported" => {
            "choose another instance type or zone, or run it again later"
        }
        "MaxSpotInstanceCountExceeded" => "set `prefer_spot_node: false`, or ask AWS for a higher spot quota",
        "BucketAlreadyExists" => {
            "choose another workspace name: bucket names are unique among all accounts; if it is yours, give the caller \
             s3:ListBucket and s3:GetBucketTagging on it"
        }
        "UnauthorizedOperation" | "AccessDenied" => "give the caller the permission that the message names",
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "log in again (`aws sso login`), then run the same command: it goes on from here"
        }
        "AuthFailure" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "InvalidAccessKeyId" => {
            "check AWS_PROFILE, AWS_ACCESS_KEY_ID or the credentials in the document, and the machine's clock"
        }
        "OptInRequired" => "enable the region or the image's terms for this account",
        _ => match &error.cause {
            Cause::Credentials(_) => "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in with `aws sso login`",
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(code: &str, status: u16) -> ApiError {
        let cause = Cause::Service { code: code.into(), message: "Told so.".into(), status };
        ApiError { action: "CreateVpc".into(), cause, request_id: Some("r-1".into()) }
    }

    #[test]
    fn codes_become_kinds() {
        for (code, status, kind) in [
            ("RequestLimitExceeded", 503, FailureKind::Throttled),
            ("InvalidVpcID.NotFound", 400, FailureKind::NotFound),
            ("NoSuchEntity", 404, FailureKind::NotFound),
            ("DependencyViolation", 400, FailureKind::InUse),
            ("VpcLimitExceeded", 400, FailureKind::Exhausted),
            ("InvalidGroup.Duplicate", 400, FailureKind::AlreadyExists),
            ("EntityAlreadyExists", 409, FailureKind::AlreadyExists),
            ("InvalidParameterValue", 400, FailureKind::Invalid),
            ("UnauthorizedOperation", 403, FailureKind::Denied),
            ("ExpiredToken", 400, FailureKind::Unauthenticated),
            ("InternalError", 500, FailureKind::Other),
            ("InsufficientInstanceCapacity", 500, FailureKind::Exhausted),
        ] {
            assert_eq!(failure("create vpc.main", &service(code, status)).kind, kind, "{code}");
        }
    }

    #[test]
    fn missing_credentials_are_told_in_one_line() {
        let chain =
            "the credential provider was not enabled: no credentials found in chain. Attempted:\n  Environment: …";
        let error = ApiError { cause: Cause::Credentials(chain.into()), ..service("", 0) };
        let failure = failure("list vpcs", &error);
        assert_eq!(failure.message, "no usable credentials: no credentials found in chain");
        assert_eq!(failure.kind, FailureKind::Unauthenticated);
    }

    #[test]
    fn only_what_may_have_happened_is_looked_up() {
        let effect = |error: &ApiError| failure("create vpc.main", error).effect;
        assert_eq!(effect(&service("InternalError", 500)), Effect::Unknown);
        assert_eq!(effect(&service("RequestLimitExceeded", 503)), Effect::None);
        assert_eq!(effect(&service("InsufficientInstanceCapacity", 500)), Effect::None);
        assert_eq!(effect(&service("InvalidParameterValue", 400)), Effect::None);
        let lost = |sent| ApiError { cause: Cause::Transport { message: "reset".into(), sent }, ..service("", 0) };
        assert_eq!(effect(&lost(true)), Effect::Unknown);
        assert_eq!(effect(&lost(false)), Effect::None);
    }
}
