"""Client tokens: the same request with the same token has its effect once.

Rests on: EC2 developer guide, "Ensuring idempotency in Amazon EC2 API requests" (the same answer again; other parameters
with the same token answer IdempotentParameterMismatch)."""

import asyncio

from mitmproxy import http

from .wire import Refusal

TOKENED = {
    "RunInstances", "CreateNatGateway", "CreateVolume", "CreateVpcEndpoint", "CreateRouteTable", "CreateLaunchTemplate",
    "AllocateHosts", "CreateFleet",
}  # fmt: skip
MISMATCH = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."


class Tokens:
    def __init__(self, settings):
        self.settings = settings
        self.reset()

    def reset(self):
        # (region, action, token) -> (parameters, the answer to come)
        self.seen = {}

    async def before(self, call):
        token = call.params.get("ClientToken")
        if not self.settings.rules or call.action not in TOKENED or not token:
            return None
        key, asked = (call.region, call.action, token), dict(call.params)
        while key in self.seen:
            first, answer = self.seen[key]
            if first != asked:
                return Refusal("IdempotentParameterMismatch", MISMATCH)
            if (body := await asyncio.shield(answer)) is not None:
                return http.Response.make(200, body, {"Content-Type": "text/xml"})
        self.seen[key] = (asked, asyncio.get_running_loop().create_future())
        call.notes["token"] = key
        return None

    def after(self, call, response):
        """Remembers the answer of a request that had its effect; one that failed may be tried again."""
        key = call.notes.pop("token", None)
        if key is None:
            return
        _, answer = self.seen[key]
        if response is None or response.status_code != 200:
            del self.seen[key]
            answer.set_result(None)
        else:
            answer.set_result(response.text)
