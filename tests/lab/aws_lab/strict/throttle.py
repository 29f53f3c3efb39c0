"""Token buckets: one over all requests, or those that EC2 has for each account and region.

Rests on: EC2 developer guide, "Request throttling for the Amazon EC2 API" (sizes and refill rates of the buckets; rate is
limited by requests, and for some actions by resources too)."""

import time

from .wire import Refusal


class Bucket:
    def __init__(self, size, refill):
        self.size, self.refill = size, refill
        self.left, self.seen = size, time.monotonic()

    def take(self, count=1):
        now = time.monotonic()
        self.left, self.seen = min(self.size, self.left + (now - self.seen) * self.refill), now
        if self.left < count:
            return False
        self.left -= count
        return True


# Requests: (bucket, refill a second). Calls that change something and are not named here share one bucket.
REQUESTS = {
    "RunInstances": (5, 2), "TerminateInstances": (100, 5), "CreateNatGateway": (10, 1), "CreateVpcEndpoint": (4, 0.3),
    "CreateTags": (100, 10), "CreateVolume": (100, 5), "CreateNetworkInterface": (100, 5),
}  # fmt: skip
RESOURCES = {"RunInstances": (1000, 2), "TerminateInstances": (1000, 20)}
READS, UNFILTERED, CHANGES = (100, 20), (50, 10), (50, 5)
NEEDS_FILTERS = {
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeSecurityGroups",
    "DescribeVolumes",
    "DescribeSnapshots",
    "DescribeNetworkInterfaces",
    "DescribeSpotInstanceRequests",
}


class Throttle:
    def __init__(self, settings):
        self.settings = settings
        self.reset()

    def reset(self):
        self.buckets, self.whole = {}, None

    async def before(self, call):
        if self.settings.rate:
            if self.whole is None or (self.whole.size, self.whole.refill) != (self.settings.burst, self.settings.rate):
                self.whole = Bucket(self.settings.burst, self.settings.rate)
            if not self.whole.take():
                return refusal(call)
        if self.settings.ec2_buckets and call.service == "ec2" and not self.allowed(call):
            return refusal(call)
        return None

    def allowed(self, call):
        action = call.action
        if not call.changes:
            bare = not any(key.startswith(("Filter.", "MaxResults")) or key.endswith(".1") for key in call.params)
            return self.take(call, action, UNFILTERED if bare and action in NEEDS_FILTERS else READS)
        request = (
            self.take(call, action, REQUESTS[action]) if action in REQUESTS else self.take(call, "changes", CHANGES)
        )
        if not request or action not in RESOURCES:
            return request
        count = int(call.params.get("MaxCount", 0)) or len(call.values("InstanceId"))
        return self.take(call, f"{action} resources", RESOURCES[action], count)

    def take(self, call, name, size, count=1):
        return self.buckets.setdefault((call.region, name, size), Bucket(*size)).take(count)


def refusal(call):
    """Throttling as each service says it."""
    if call.service == "ec2":
        return Refusal("RequestLimitExceeded", "Request limit exceeded.", 503)
    if call.service == "s3":
        return Refusal("SlowDown", "Please reduce your request rate.", 503)
    return Refusal("Throttling", "Rate exceeded", 400)
