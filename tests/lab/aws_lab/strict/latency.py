"""How long calls and things take on AWS, scaled: a run against it shows which waits overlap.

From public logs of applies: VPC, subnet, gateway, address and table 1 to 3 s, NAT gateway 85 to 125 s, instance 10 to 30 s,
an instance profile 5 to 15 s until EC2 knows it."""

import asyncio

# Seconds from the request to its answer.
ANSWERS = {
    "CreateVpc": 2.0, "CreateSubnet": 1.5, "CreateInternetGateway": 1.5, "AllocateAddress": 1.5, "CreateRouteTable": 2.0,
    "CreateRoute": 1.0, "AssociateRouteTable": 1.0, "CreateSecurityGroup": 2.0, "CreateNatGateway": 1.0,
    "RunInstances": 2.0, "CreateVpcEndpoint": 3.0, "CreateRole": 1.0, "CreateInstanceProfile": 1.0, "CreateBucket": 1.0,
}  # fmt: skip
ANY = 0.1
# Seconds from the answer until the thing is as it was asked for.
SETTLES = {"nat": 105.0, "nat deleted": 50.0, "instance": 20.0, "instance terminated": 35.0, "database": 300.0}


class Latency:
    def __init__(self, settings):
        self.settings = settings

    async def before(self, call):
        if self.settings.latency:
            await asyncio.sleep(self.settings.latency * ANSWERS.get(call.action, ANY))
