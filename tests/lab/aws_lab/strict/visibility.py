"""New things are not found for a while, by calls that name them and, by another setting, in lists.

Rests on: EC2 developer guide, "Eventual consistency in the Amazon EC2 API" (a command that follows a create at once may
answer InvalidX.NotFound; lists may lack it); IAM user guide, "Troubleshooting: changes that I make are not always
immediately visible" (an instance profile is unknown to RunInstances at first)."""

import re

from . import documents
from .wire import Refusal

NOT_FOUND = {
    "i": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "sg": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "vpc": ("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"),
    "subnet": ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
    "igw": ("InvalidInternetGatewayID.NotFound", "The internetGateway ID '{}' does not exist"),
    "rtb": ("InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist"),
    "nat": ("NatGatewayNotFound", "The Nat Gateway {} was not found"),
    "eipalloc": ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
    "vol": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "vpce": ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{}' does not exist"),
}
# Those of which it is commonly told; the others by a fault of a test.
USUALLY_LATE = {"i", "sg"}


class Visibility:
    def __init__(self, settings, births):
        self.settings, self.births = settings, births
        self.hidden = {}

    def reset(self):
        self.hidden = {}

    def hide(self, ids, seconds):
        """These are not found until they are this old."""
        self.hidden.update({thing: seconds for thing in ids})

    def window(self, thing):
        usual = self.settings.visible if kind(thing) in USUALLY_LATE else 0.0
        return self.hidden.get(thing, usual)

    async def before(self, call):
        if call.action == "RunInstances":
            profile = (
                call.params.get("IamInstanceProfile.Name")
                or call.params.get("IamInstanceProfile.Arn", "").rsplit("/", 1)[-1]
            )
            if profile and self.births.age(profile) < max(self.settings.visible, self.hidden.get(profile, 0.0)):
                message = f"Value ({profile}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                return Refusal("InvalidParameterValue", message)
        if call.service != "ec2":
            return None
        for name, value in call.params.items():
            # A filter finds nothing where a name is refused.
            if name.startswith("Filter."):
                continue
            if kind(value) in NOT_FOUND and self.births.age(value) < self.window(value):
                code, message = NOT_FOUND[kind(value)]
                return Refusal(code, message.format(value))
        return None

    def after(self, call, response):
        """Takes new things out of lists."""
        lag = self.settings.list_lag
        if call.service != "ec2" or not call.action.startswith("Describe") or response.status_code != 200:
            return
        late = {t for t in self.births.made if self.births.age(t) < max(lag, self.hidden.get(t, 0.0))}
        if late:
            response.text = without(response.text, late)


def kind(value):
    found = re.fullmatch(r"([a-z]+)-[0-9a-f]{8,17}", value)
    return found[1] if found else None


# The element by which an item of a list is named; what only mentions a thing stays.
OWN_ID = {
    "vpcSet": "vpcId", "subnetSet": "subnetId", "internetGatewaySet": "internetGatewayId", "routeTableSet": "routeTableId",
    "natGatewaySet": "natGatewayId", "securityGroupInfo": "groupId", "volumeSet": "volumeId", "addressesSet": "allocationId",
    "vpcEndpointSet": "vpcEndpointId", "instancesSet": "instanceId", "instanceStatusSet": "instanceId", "tagSet": "resourceId",
}  # fmt: skip


def without(text, late):

    root = documents.read(text)
    for name, own in OWN_ID.items():
        for listing in root.iter(documents.tag(root, name)):
            for item in list(listing):
                found = item.find(documents.tag(root, own))
                if found is not None and found.text in late:
                    listing.remove(item)
    return documents.write(root)
