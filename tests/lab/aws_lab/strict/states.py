"""Passing states, which moto skips.

Rests on: VPC user guide, "Work with NAT gateways" (pending, available, deleting, deleted); EC2 user guide, "Instance state
changes" (pending 0, running 16, shutting-down 32, terminated 48); RDS user guide, "Viewing DB instance status"."""

import re

from . import wire
from .latency import SETTLES


class States:
    def __init__(self, settings, births):
        self.settings, self.births = settings, births
        self.reset()

    def reset(self):
        # NAT gateways that never come up.
        self.failed = set()

    def takes(self, what):
        return max(self.settings.settle, self.settings.latency * SETTLES[what])

    def after(self, call, response):
        if response.status_code != 200:
            return
        if call.notes.pop("nat fails", False):
            self.failed |= wire.ids("nat", response.text)
        if call.action in ("CreateNatGateway", "DescribeNatGateways", "DeleteNatGateway"):
            response.text = NAT.sub(self.nat, response.text)
        elif call.action in ("DescribeInstances", "DescribeInstanceStatus", "RunInstances"):
            response.text = INSTANCE.sub(self.instance, response.text)
        elif call.action in ("CreateDBInstance", "DescribeDBInstances"):
            response.text = DATABASE.sub(self.database, response.text)

    def nat(self, found):
        state = found["state"]
        if state == "deleted" and self.births.leaving(found["id"]) < self.takes("nat deleted"):
            state = "deleting"
        if state == "available" and self.births.age(found["id"]) < self.takes("nat"):
            state = "pending"
        if state == "available" and found["id"] in self.failed:
            return found["head"] + "failed</state><failureCode>Gateway.NotAttached</failureCode>"
        return found["head"] + state + "</state>"

    def instance(self, found):
        code, state = found["code"], found["state"]
        if state == "running" and self.births.age(found["id"]) < self.takes("instance"):
            code, state = "0", "pending"
        if state == "terminated" and self.births.leaving(found["id"]) < self.takes("instance terminated"):
            code, state = "32", "shutting-down"
        return found["head"] + code + found["middle"] + state

    def database(self, found):
        state = found["state"]
        if state == "available" and self.births.age(found["id"]) < self.takes("database"):
            state = "creating"
        return found["head"] + state


def item(own, rest):
    """An id, and what follows up to the next id of that name."""
    return re.compile(rf"(?P<head><{own}>(?P<id>[^<]+)</{own}>(?:(?!<{own}>).)*?{rest}", re.S)


NAT = item("natGatewayId", r"<state>)(?P<state>[\w-]+)</state>")
INSTANCE = item("instanceId", r"<instanceState>\s*<code>)(?P<code>\d+)(?P<middle></code>\s*<name>)(?P<state>[\w-]+)")
DATABASE = item("DBInstanceIdentifier", r"<DBInstanceStatus>)(?P<state>[\w-]+)")
