"""What AWS refuses because of other things, and moto allows.

Rests on the EC2 API reference: DeleteSubnet, DeleteSecurityGroup, ReleaseAddress, AssociateRouteTable, ModifyVpcAttribute,
RunInstances; "Error codes for the Amazon EC2 API" (DependencyViolation, InvalidIPAddress.InUse,
InsufficientFreeAddressesInSubnet, Resource.AlreadyAssociated); VPC user guide, "Troubleshoot NAT gateways" (a gateway
without an internet gateway fails); IAM API reference, CreateRole. The text of DetachInternetGateway is as users report it."""

import json

from .wire import Refusal


class Order:
    """Looks at what a call would leave dangling. `births` knows what is still going away."""

    def __init__(self, settings, births, states, moto):
        self.settings, self.births, self.states, self.moto = settings, births, states, moto
        self.rules = {
            "ec2:DeleteSubnet": self.delete_subnet,
            "ec2:DeleteSecurityGroup": self.delete_group,
            "ec2:DetachInternetGateway": self.detach_gateway,
            "ec2:AttachInternetGateway": self.attach_gateway,
            "ec2:ReleaseAddress": self.release_address,
            "ec2:AssociateRouteTable": self.associate_table,
            "ec2:ModifyVpcAttribute": self.modify_vpc,
            "ec2:CreateNatGateway": self.create_nat,
            "ec2:RunInstances": self.run_instances,
            "iam:CreateRole": self.create_role,
        }

    async def before(self, call):
        if call.name == "ec2:RunInstances":
            # AWS makes as many as it can, moto as few as it may.
            call.ask_for(MinCount=call.flow.request.urlencoded_form["MaxCount"])
        rule = self.rules.get(call.name)
        return await rule(call) if rule and self.settings.rules else None

    async def instances(self, call, *where):
        """Ids of instances that still hold what they use."""
        found = await self.moto.ask(call, "DescribeInstances", [where])
        items = found.iter("instancesSet")
        states = {i.findtext("instanceId"): i.findtext("instanceState/name") for s in items for i in s.findall("item")}
        leaving = self.states.takes("instance terminated")
        return {i for i, state in states.items() if state != "terminated" or self.births.leaving(i) < leaving}

    async def nats(self, call, *where):
        """NAT gateways that still hold their address and their interface."""
        found = await self.moto.ask(call, "DescribeNatGateways", [where] if where else [])
        leaving = self.states.takes("nat deleted")
        for nat in found.iterfind("natGatewaySet/item"):
            if nat.findtext("state") != "deleted" or self.births.leaving(nat.findtext("natGatewayId")) < leaving:
                yield nat

    async def delete_subnet(self, call):
        subnet = call.params["SubnetId"]
        held = [n async for n in self.nats(call, "subnet-id", subnet)]
        if held or await self.instances(call, "subnet-id", subnet):
            return Refusal("DependencyViolation", f"The subnet '{subnet}' has dependencies and cannot be deleted.")
        # AWS drops the association with the subnet; moto keeps it, and then refuses to delete the table.
        tables = await self.moto.ask(call, "DescribeRouteTables", [("association.subnet-id", subnet)])
        for association in tables.iterfind("routeTableSet/item/associationSet/item"):
            if association.findtext("subnetId") == subnet:
                await self.moto.ask(
                    call, "DisassociateRouteTable", AssociationId=association.findtext("routeTableAssociationId")
                )

    async def delete_group(self, call):
        group = call.params.get("GroupId")
        if not group:
            return None
        referring = await self.moto.ask(call, "DescribeSecurityGroups", [("ip-permission.group-id", group)])
        others = {g.findtext("groupId") for g in referring.iterfind("securityGroupInfo/item")} - {group}
        if others or await self.instances(call, "instance.group-id", group):
            return Refusal("DependencyViolation", f"resource {group} has a dependent object")

    async def detach_gateway(self, call):
        vpc = call.params["VpcId"]
        instances = await self.moto.ask(
            call, "DescribeInstances", [("vpc-id", vpc), ("instance-state-name", "running")]
        )
        public = any(i.text for i in instances.iter("ipAddress"))
        if public or [n async for n in self.nats(call, "vpc-id", vpc)]:
            message = f"Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
            return Refusal("DependencyViolation", message)

    async def attach_gateway(self, call):
        vpc = call.params["VpcId"]
        if await self.gateways(call, vpc) - {call.params["InternetGatewayId"]}:
            return Refusal("InvalidParameterValue", f"Network {vpc} already has an internet gateway attached")

    async def gateways(self, call, vpc):
        found = await self.moto.ask(call, "DescribeInternetGateways", [("attachment.vpc-id", vpc)])
        return {g.findtext("internetGatewayId") for g in found.iterfind("internetGatewaySet/item")}

    async def release_address(self, call):
        allocation = call.params.get("AllocationId")
        async for nat in self.nats(call):
            if any(used.text == allocation for used in nat.iter("allocationId")):
                return Refusal("InvalidIPAddress.InUse", f"Address {allocation} is in use.")

    async def associate_table(self, call):
        table, subnet = call.params["RouteTableId"], call.params.get("SubnetId")
        if not subnet:
            return None
        found = await self.moto.ask(call, "DescribeRouteTables", [("association.subnet-id", subnet)])
        if {t.findtext("routeTableId") for t in found.iterfind("routeTableSet/item")} - {table}:
            message = f"the specified association for route table {table} conflicts with an existing association"
            return Refusal("Resource.AlreadyAssociated", message)

    async def modify_vpc(self, call):
        if len([key for key in call.params if key.startswith("Enable")]) > 1:
            return Refusal("InvalidParameterCombination", "Only one attribute may be modified at a time")

    async def create_nat(self, call):
        """It is made, and fails."""
        subnets = await self.moto.ask(call, "DescribeSubnets", [("subnet-id", call.params["SubnetId"])])
        vpc = subnets.findtext("subnetSet/item/vpcId")
        if call.params.get("ConnectivityType") != "private" and vpc and not await self.gateways(call, vpc):
            call.notes["nat fails"] = True

    async def run_instances(self, call):
        subnet = call.params.get("SubnetId") or call.params.get("NetworkInterface.1.SubnetId")
        if not subnet:
            return None
        found = await self.moto.ask(call, "DescribeSubnets", [("subnet-id", subnet)])
        free = found.findtext("subnetSet/item/availableIpAddressCount")
        if free is not None and int(free) < int(call.params["MaxCount"]):
            message = f"There are not enough free addresses in subnet '{subnet}' to satisfy the requested number of instances."
            return Refusal("InsufficientFreeAddressesInSubnet", message)

    async def create_role(self, call):
        try:
            document = json.loads(call.params["AssumeRolePolicyDocument"])
        except ValueError:
            document = {}
        if not document.get("Statement"):
            return Refusal("MalformedPolicyDocument", "This policy contains invalid Json")
