"""Pages: a list is cut, whether or not the client asked for pages, so that one that ignores the token loses items.

Rests on: EC2 developer guide, "Pagination" (NextToken is an opaque value; absent when there is no more); EC2 API reference,
DescribeInstances (MaxResults not together with ids); IAM API reference (IsTruncated, Marker); S3 (ListObjectsV2)."""

import base64
import json

from . import documents
from .wire import Refusal

# The actions of EC2 that have pages, and the list in their answer.
LISTS = {
    "DescribeVpcs": "vpcSet", "DescribeSubnets": "subnetSet", "DescribeRouteTables": "routeTableSet",
    "DescribeInternetGateways": "internetGatewaySet", "DescribeNatGateways": "natGatewaySet",
    "DescribeSecurityGroups": "securityGroupInfo", "DescribeSecurityGroupRules": "securityGroupRuleSet",
    "DescribeInstances": "reservationSet", "DescribeInstanceStatus": "instanceStatusSet", "DescribeVolumes": "volumeSet",
    "DescribeTags": "tagSet", "DescribeVpcEndpoints": "vpcEndpointSet",
    "DescribeVpcPeeringConnections": "vpcPeeringConnectionSet", "DescribeImages": "imagesSet",
    "DescribeInstanceTypes": "instanceTypeSet", "DescribeInstanceTypeOfferings": "instanceTypeOfferingSet",
    "DescribeNetworkInterfaces": "networkInterfaceSet", "DescribeLaunchTemplates": "launchTemplates",
}  # fmt: skip
IDS = {"DescribeInstances": "InstanceId", "DescribeInstanceStatus": "InstanceId", "DescribeVolumes": "VolumeId"}


class Pages:
    def __init__(self, settings):
        self.settings = settings

    async def before(self, call):
        size = self.settings.page_size
        if call.service == "ec2" and call.action in LISTS:
            return self.describe(call, size)
        if size and call.service == "iam" and call.action.startswith("List"):
            call.ask_for(MaxItems=min(size, int(call.params.get("MaxItems", size))))
        if size and call.service == "s3" and call.action == "ListObjectsV2":
            call.flow.request.query["max-keys"] = str(min(size, int(call.params.get("max-keys", size))))
        return None

    def describe(self, call, size):
        limit, token = call.params.get("MaxResults"), call.params.get("NextToken")
        if self.settings.rules and limit and call.action in IDS and call.values(IDS[call.action]):
            return Refusal(
                "InvalidParameterCombination", "The parameter maxResults cannot be used with the parameter instancesSet"
            )
        if not size:
            return None
        start = unpack(call.action, token) if token else 0
        if start is None:
            return Refusal("InvalidNextToken", "The token is not valid.")
        # Who names things gets them all; nobody else gets more than a page. moto is asked for everything.
        if not any(key.endswith("Id.1") and not key.startswith("Filter") for key in call.params):
            call.notes["page"] = (start, min(size, int(limit or size)))
        call.ask_for(MaxResults=None, NextToken=None)
        return None

    def after(self, call, response):
        if "page" in call.notes and response.status_code == 200:
            start, size = call.notes["page"]
            response.text = cut(response.text, call.action, start, size)


def cut(text, action, start, size):
    root = documents.read(text)
    listing = root.find(documents.tag(root, LISTS[action]))
    if listing is None:
        return text
    if action == "DescribeInstances":
        alone(root, listing)
    items = list(listing)
    for item in items[:start] + items[start + size :]:
        listing.remove(item)
    for old in root.findall(documents.tag(root, "nextToken")):
        root.remove(old)
    if start + size < len(items):
        root.append(documents.element(root, "nextToken", pack(action, start + size)))
    return documents.write(root)


def alone(root, reservations):
    """Pages count instances: each gets a copy of its reservation, as AWS splits them."""
    name = documents.tag(root, "instancesSet")
    for reservation in list(reservations):
        reservations.remove(reservation)
        for instance in reservation.find(name):
            copy = documents.shallow(reservation)
            own = documents.element(root, "instancesSet")
            own.append(instance)
            copy.extend([own if child.tag == name else child for child in reservation])
            reservations.append(copy)


def pack(action, start):
    return base64.b64encode(json.dumps([action, start]).encode()).decode()


def unpack(action, token):
    try:
        given, start = json.loads(base64.b64decode(token, validate=True))
    except ValueError:
        return None
    return start if given == action else None
