"""Calls and answers in the protocols of EC2, of the other query services, of JSON services and of S3."""

import json
import re
import urllib.parse
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from mitmproxy import http

CREDENTIAL = re.compile(
    r"^AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
)


@dataclass
class Call:
    """One request: who is asked (`service`, `region`), for what (`action`), with what (`params`, as on the wire)."""

    flow: http.HTTPFlow
    service: str
    region: str
    action: str
    params: dict
    credential: re.Match | None
    notes: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.service}:{self.action}"

    @property
    def changes(self):
        """Whether it is there to change something."""
        return not re.match(r"(Describe|List|Get|Head|Lookup|Search|Simulate|Decode|Assume)", self.action)

    def values(self, prefix):
        """Values of a list parameter: `InstanceId.1`, `InstanceId.2` …"""
        return [v for k, v in self.params.items() if re.fullmatch(re.escape(prefix) + r"\.\d+", k)]

    def ask_for(self, **changed):
        """Changes parameters on the way to moto; `None` takes one out."""
        query = {**self.flow.request.urlencoded_form}
        for key, value in changed.items():
            query.pop(key, None)
            if value is not None:
                query[key] = str(value)
        self.flow.request.urlencoded_form = list(query.items())


def read(flow):
    request = flow.request
    credential = CREDENTIAL.match(request.headers.get("Authorization", ""))
    service, region = (credential["service"], credential["region"]) if credential else ("unknown", "")
    form = (
        dict(urllib.parse.parse_qsl(request.get_text(strict=False) or "", keep_blank_values=True))
        if is_form(request)
        else {}
    )
    target = request.headers.get("X-Amz-Target", "")
    if form.get("Action"):
        action, params = form["Action"], form
    elif target:
        action, params = target.rsplit(".", 1)[-1], flat(json.loads(request.get_text(strict=False) or "{}"))
    else:
        action, params = object_store(request)
    return Call(flow, service, region, action, params, credential)


def is_form(request):
    return request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")


def flat(value):
    return {k: v for k, v in value.items() if isinstance(v, str)}


# S3 names a call by method, by whether there is a key, and by the first word of the query.
SUBRESOURCES = {
    "accelerate": "AccelerateConfiguration", "acl": "Acl", "cors": "Cors", "encryption": "Encryption",
    "lifecycle": "LifecycleConfiguration", "location": "Location", "logging": "Logging",
    "notification": "NotificationConfiguration", "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "OwnershipControls", "policy": "Policy", "policyStatus": "PolicyStatus",
    "publicAccessBlock": "PublicAccessBlock", "replication": "Replication", "tagging": "Tagging",
    "versioning": "Versioning", "website": "Website",
}  # fmt: skip


def object_store(request):
    """`PutObject`, `ListBuckets` …, with `Bucket` and `Key`."""
    path, _, query = request.path.partition("?")
    bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
    query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    params = {**query, **({"Bucket": bucket} if bucket else {}), **({"Key": key} if key else {})}
    verb = {"GET": "Get", "PUT": "Put", "POST": "Post", "DELETE": "Delete", "HEAD": "Head"}.get(
        request.method, request.method
    )
    subject = "Object" if key else "Bucket"
    for word, name in SUBRESOURCES.items():
        if word in query:
            return f"{verb if verb != 'Post' else 'Put'}{'' if name == 'PublicAccessBlock' else subject}{name}", params
    if "delete" in query:
        return "DeleteObjects", params
    if not bucket:
        return "ListBuckets", params
    if not key and verb == "Put":
        return "CreateBucket", params
    if not key and verb == "Get":
        versions = "versions" in query
        return "ListObjectVersions" if versions else "ListObjectsV2" if "list-type" in query else "ListObjects", params
    return f"{verb}{subject}", params


@dataclass
class Refusal:
    """An error of AWS; `status` is 400 where the reference does not say otherwise."""

    code: str
    message: str
    status: int = 400

    def response(self, call):
        json_body = bool(call.flow.request.headers.get("X-Amz-Target"))
        template = "json" if json_body else call.service if call.service in ERRORS else "query"
        content, body = ERRORS[template]
        parts = {
            "code": json.dumps(self.code) if json_body else escape(self.code),
            "message": json.dumps(self.message) if json_body else escape(self.message),
            "type": "Sender" if self.status < 500 else "Receiver",
        }
        headers = {"Content-Type": content, "x-amzn-RequestId": "strict"}
        return http.Response.make(self.status, body % parts, headers)


# How services say that something went wrong.
ERRORS = {
    "json": ("application/x-amz-json-1.1", '{"__type": %(code)s, "message": %(message)s}'),
    "s3": (
        "application/xml",
        "<Error><Code>%(code)s</Code><Message>%(message)s</Message><RequestId>strict</RequestId></Error>",
    ),
    "ec2": (
        "text/xml",
        "<Response><Errors><Error><Code>%(code)s</Code><Message>%(message)s</Message></Error></Errors>"
        "<RequestID>strict</RequestID></Response>",
    ),
    "query": (
        "text/xml",
        "<ErrorResponse><Error><Type>%(type)s</Type><Code>%(code)s</Code><Message>%(message)s</Message></Error>"
        "<RequestId>strict</RequestId></ErrorResponse>",
    ),
}


def error_code(response):
    """The code in an answer that is an error."""
    text = response.get_text(strict=False) or ""
    found = re.search(r"<Code>([^<]+)</Code>", text) or re.search(r'"__type": ?"(?:[^"#]*#)?([^"]+)"', text)
    return found[1] if found else str(response.status_code)


def parse(text):
    """An XML document, its namespace dropped."""
    return ElementTree.fromstring(re.sub(r'\sxmlns="[^"]*"', "", text, count=1))


def ids(kind, text):
    """Ids of a kind (`i`, `sg`, `nat` …) in a text."""
    return set(re.findall(rf"\b{kind}-[0-9a-f]{{8,17}}\b", text))
