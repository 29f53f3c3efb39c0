"""Questions that the layer itself puts to moto."""

import asyncio
import urllib.parse
import urllib.request

from . import wire


class Moto:
    def __init__(self, endpoint):
        self.endpoint = endpoint

    async def ask(self, call, action, filters=(), **query):
        """Asks EC2 in the region of `call`; returns the answer as XML."""
        for number, (name, *values) in enumerate(filters, 1):
            query[f"Filter.{number}.Name"] = name
            query.update({f"Filter.{number}.Value.{i}": value for i, value in enumerate(values, 1)})
        body = urllib.parse.urlencode({"Action": action, "Version": "2016-11-15", **query}).encode()
        scope = f"test/20000101/{call.region}/ec2/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        request = urllib.request.Request(self.endpoint, body, headers)
        return wire.parse(await asyncio.to_thread(self.fetch, request))

    @staticmethod
    def fetch(request):
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
