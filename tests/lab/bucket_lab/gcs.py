"""`python -m bucket_lab.gcs ADDRESS PORT PACKAGE`: Cloud Storage's XML API in memory, as much of it as stores of state use.

Google describes its JSON API for machines and the XML API in words only. Both are views of the same objects, so what the
description says of generations, preconditions and pages is asked for at the start, in PACKAGE (google-api-python-client as PyPI has
it): a newer one that says something else stops this program.

Rules, each with the page under cloud.google.com/storage/docs that it rests on:
- a put with `x-goog-if-generation-match: 0` makes an object or fails with 412; with another number it replaces just that
  generation, or fails with 412, also where there is none (request-preconditions, xml-api/reference-headers);
- every put gives a new generation, which answers to it and to reads carry, as they carry an ETag (xml-api/put-object-upload);
- what is not there is 404 NoSuchKey, a bucket that is not there 404 NoSuchBucket (xml-api/reference-status);
- a delete answers 204, or 404 (xml-api/delete-object); a bucket that exists is 409 (xml-api/put-bucket-create);
- lists come in pages, in order, with a token for the next (xml-api/get-bucket-list). Pages here have at most three entries.
What is not in this list is refused with 400, so that a client which begins to use more is noticed. `Fake`: no signatures.
"""

import hashlib
import json
import sys
import threading
import zipfile
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from aws_lab.parent import announce, end_with_parent

PAGE = 3
DESCRIPTION = "googleapiclient/discovery_cache/documents/storage.v1.json"
INT64 = 1 << 63
LISTED = {"list-type", "prefix", "continuation-token", "max-keys"}

buckets = {}
generations = 1_700_000_000_000_000
one = threading.Lock()


def compare(package):
    """Stops unless Google's description says what the rules above say."""
    with zipfile.ZipFile(package) as wheel:
        description = json.loads(wheel.read(DESCRIPTION))
    methods = description["resources"]["objects"]["methods"]
    condition = methods["insert"]["parameters"]["ifGenerationMatch"]
    said = condition["description"]
    rules = {
        "a put may name the generation that it replaces": "object's current generation matches the given value" in said,
        "0 makes an object that is not there": "Setting to 0 makes the operation succeed only if there are no live versions" in said,
        "generations are 64 bits": condition["format"] == description["schemas"]["Object"]["properties"]["generation"]["format"] == "int64",
        "a list may end before its end": "maxResults" in methods["list"]["parameters"] and "pageToken" in methods["list"]["parameters"],
        "and says how to go on": "nextPageToken" in description["schemas"]["Objects"]["properties"],
        "reads and deletes are HTTP's": (methods["get"]["httpMethod"], methods["delete"]["httpMethod"]) == ("GET", "DELETE"),
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        sys.exit(f"{package} says otherwise: {'; '.join(broken)}")


class Refused(Exception):
    def __init__(self, status, code):
        self.status, self.code = status, code


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            with one:
                status, headers, out = self.serve(bucket, key, query, body)
        except Refused as refused:
            status, headers = refused.status, {"Content-Type": "application/xml"}
            out = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{refused.code}</Code></Error>".encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = answer

    def serve(self, bucket, key, query, body):
        match = self.headers.get("x-goog-if-generation-match")
        extra = [h for h in self.headers if h.lower().startswith("x-goog-") and h.lower() != "x-goog-if-generation-match"]
        if extra or (match is not None and (self.command != "PUT" or not match.isdigit() or int(match) >= INT64)):
            raise Refused(400, "InvalidArgument")
        if self.command == "PUT" and not key and not query:
            if bucket in buckets:
                raise Refused(409, "BucketAlreadyOwnedByYou")
            buckets[bucket] = {}
            return 200, {}, b""
        if bucket not in buckets:
            raise Refused(404, "NoSuchBucket")
        objects = buckets[bucket]
        if self.command == "GET" and not key:
            return self.listed(bucket, objects, query)
        if query or not key:
            raise Refused(400, "InvalidArgument")
        if self.command == "PUT":
            return self.put(objects, key, match, body)
        if key not in objects:
            raise Refused(404, "NoSuchKey")
        if self.command == "GET":
            return 200, self.described(objects[key]), objects[key][1]
        if self.command == "DELETE":
            del objects[key]
            return 204, {}, b""
        raise Refused(400, "InvalidArgument")

    def put(self, objects, key, match, body):
        global generations
        now = objects[key][0] if key in objects else 0
        if match is not None and int(match) != now:
            raise Refused(412, "PreconditionFailed")
        generations += 1
        objects[key] = (generations, body)
        return 200, self.described(objects[key]), b""

    def described(self, item):
        generation, content = item
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        return {"ETag": etag, "x-goog-generation": str(generation), "Last-Modified": formatdate(usegmt=True)}

    def listed(self, bucket, objects, query):
        if query.get("list-type") != "2" or set(query) - LISTED:
            raise Refused(400, "InvalidArgument")
        after = query.get("continuation-token", "")
        keys = sorted(k for k in objects if k.startswith(query.get("prefix", "")) and k > after)
        page, rest = keys[:PAGE], keys[PAGE:]
        items = "".join(
            f"<Contents><Key>{escape(k)}</Key><Size>{len(objects[k][1])}</Size><Generation>{objects[k][0]}</Generation>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{escape(self.described(objects[k])['ETag'])}</ETag></Contents>"
            for k in page
        )
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else "<IsTruncated>false</IsTruncated>"
        text = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>{escape(bucket)}</Name>{more}{items}</ListBucketResult>"
        return 200, {"Content-Type": "application/xml"}, text.encode()


def main():
    compare(sys.argv[3])
    server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    end_with_parent()
    announce(server.server_port)
    server.serve_forever()


main()
