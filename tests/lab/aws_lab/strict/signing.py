"""Signature Version 4, worked out again from the request as it came.

Rests on: IAM user guide, "Create a signed AWS API request"; EC2 API reference, "Common client error codes" (AuthFailure,
MissingAuthenticationToken, SignatureDoesNotMatch). Global services are signed for us-east-1 on AWS; a client that was given
another endpoint signs them for its own region, so that is not looked at."""

import hashlib
import hmac
import re
import urllib.parse

from .wire import Refusal

# The only account there is.
KEYS = {"test": "test"}
SERVICES = {
    "ec2",
    "iam",
    "sts",
    "s3",
    "rds",
    "ssm",
    "eks",
    "pricing",
    "servicequotas",
    "elasticloadbalancing",
    "s3express",
}
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class Signing:
    def __init__(self, settings):
        self.settings = settings

    async def before(self, call):
        if not self.settings.rules:
            return None
        given = call.credential
        if given is None:
            return Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        if given["key"] not in KEYS:
            code = {"ec2": "AuthFailure", "s3": "InvalidAccessKeyId"}.get(call.service, "InvalidClientTokenId")
            return Refusal(
                code,
                "AWS was not able to validate the provided access credentials",
                401 if call.service == "ec2" else 403,
            )
        if call.service not in SERVICES or not REGION.fullmatch(call.region):
            scope = f"{call.service}/{call.region}"
            return Refusal(
                "SignatureDoesNotMatch", f"Credential should be scoped to a valid region and service, not {scope}.", 403
            )
        if not hmac.compare_digest(signature(call.flow.request, given), given["signature"]):
            return Refusal(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
                403,
            )
        return None


def signature(request, given):
    headers = given["headers"].split(";")
    payload = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.raw_content or b"").hexdigest()
    path, _, query = request.path.partition("?")
    canonical = "\n".join(
        [
            request.method,
            canonical_path(path, given["service"]),
            canonical_query(query),
            *(f"{name}:{header(request, name)}" for name in headers),
            "",
            given["headers"],
            payload,
        ]
    )
    scope = f"{given['date']}/{given['region']}/{given['service']}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), scope, digest(canonical)])
    key = b"AWS4" + KEYS[given["key"]].encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def header(request, name):
    return ",".join(re.sub(r"\s+", " ", value.strip()) for value in request.headers.get_all(name))


def canonical_path(path, service):
    """As it came for S3, encoded once more for everybody else."""
    return path if service == "s3" else urllib.parse.quote(path, safe="/-_.~")


def canonical_query(query):
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    encode = lambda text: urllib.parse.quote(text, safe="-_.~")
    return "&".join(sorted(f"{encode(key)}={encode(value)}" for key, value in pairs))


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
