"""When things were made and when their removal began, by id: what passing states and visibility are worked out from."""

import re
import time

from . import wire

# What a call makes: the element of its answer that has the id.
MADE_BY = {
    "RunInstances": "instanceId",
    "CreateVpc": "vpcId",
    "CreateSubnet": "subnetId",
    "CreateInternetGateway": "internetGatewayId",
    "CreateRouteTable": "routeTableId",
    "CreateSecurityGroup": "groupId",
    "CreateNatGateway": "natGatewayId",
    "CreateVpcEndpoint": "vpcEndpointId",
    "CreateVolume": "volumeId",
    "AllocateAddress": "allocationId",
}
GOING_BY = {"DeleteNatGateway": ("nat",), "TerminateInstances": ("i",), "DeleteVpcEndpoints": ("vpce",)}


class Births:
    def __init__(self):
        self.reset()

    def reset(self):
        self.made, self.going = {}, {}

    def after(self, call, response):
        if response.status_code != 200:
            return
        now, text = time.monotonic(), response.text
        if call.action in MADE_BY:
            for made in re.findall(rf"<{MADE_BY[call.action]}>([^<]+)<", text):
                self.made.setdefault(made, now)
        elif call.action in ("CreateInstanceProfile", "AddRoleToInstanceProfile"):
            self.made[call.params["InstanceProfileName"]] = now
        elif call.action == "CreateDBInstance":
            self.made[call.params["DBInstanceIdentifier"]] = now
        elif call.action == "DeleteDBInstance":
            self.going.setdefault(call.params["DBInstanceIdentifier"], now)
        for kind in GOING_BY.get(call.action, ()):
            for value in call.params.values():
                for going in wire.ids(kind, value):
                    self.going.setdefault(going, now)

    def age(self, thing):
        """Seconds since a thing was made; very old where that was not seen."""
        return time.monotonic() - self.made.get(thing, float("-inf"))

    def leaving(self, thing):
        """Seconds since the removal of a thing began."""
        return time.monotonic() - self.going.get(thing, float("-inf"))
