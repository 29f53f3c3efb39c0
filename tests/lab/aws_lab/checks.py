"""`python -m aws_lab.checks STRICT`: the layer does what AWS does, seen with AWS's own client.

Each check makes what it needs and looks at nothing else. No check waits: what takes an hour is over when the setting says so."""

import json
import sys
import unittest
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

STRICT = sys.argv[1]
HOUR = 3600
PLAIN = dict(rules=False, settle=0, visible=0, list_lag=0, rate=0, burst=20, ec2_buckets=False, page_size=0, latency=0)
TRUST = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
)


def client(service, key="test", secret="test"):
    once = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        service, "us-west-2", endpoint_url=STRICT, aws_access_key_id=key, aws_secret_access_key=secret, config=once
    )


def door(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(STRICT + path, data, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


ec2, iam, s3, rds, sts = (client(name) for name in ("ec2", "iam", "s3", "rds", "sts"))
IMAGE = "ami-1e749f67"  # moto's Ubuntu 16.04


class Checks(unittest.TestCase):
    def setUp(self):
        door("POST", "/_lab/reset")
        self.settings(rules=True)

    def settings(self, **changed):
        door("PUT", "/_lab/settings", {**PLAIN, **changed})

    def faults(self, *faults):
        door("PUT", "/_lab/faults", list(faults))

    def refused(self, code):
        return self.assertRaisesRegex(ClientError, rf"\({code}\)")

    # A world to try things on.

    def network(self, gateway=True):
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
        if gateway:
            self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)

    def group(self, name="g"):
        return ec2.create_security_group(GroupName=name, Description="d", VpcId=self.vpc)["GroupId"]

    def nat(self, token="n"):
        self.address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = ec2.create_nat_gateway(SubnetId=self.subnet, AllocationId=self.address, ClientToken=token)
        return made["NatGateway"]["NatGatewayId"]

    def nat_state(self, nat):
        return ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["State"]

    def run_instances(self, least=1, most=1, **more):
        made = ec2.run_instances(
            ImageId=IMAGE,
            InstanceType="m5.large",
            SubnetId=self.subnet,
            MinCount=least,
            MaxCount=most,
            **more,
        )
        return [i["InstanceId"] for i in made["Instances"]]

    def vpcs(self, cidr):
        return len(ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": [cidr]}])["Vpcs"])

    def instances(self):
        where = [{"Name": "vpc-id", "Values": [self.vpc]}]
        pages = ec2.get_paginator("describe_instances").paginate(Filters=where)
        return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]

    # Signatures.

    def test_requests_are_signed_by_a_known_key(self):
        with self.refused("AuthFailure"):
            client("ec2", key="other").describe_vpcs()
        for service, ask in (("ec2", "describe_vpcs"), ("iam", "list_roles"), ("s3", "list_buckets")):
            with self.refused("SignatureDoesNotMatch"):
                getattr(client(service, secret="other"), ask)()
        sts.get_caller_identity()

    def test_signatures_cover_every_form_of_name(self):
        s3.create_bucket(Bucket="checks", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        names = ["a b", "c/d", "e+f", "ü", "~g"]
        for name in names:
            s3.put_object(Bucket="checks", Key=name, Body=b"x")
        self.assertEqual(sorted(o["Key"] for o in s3.list_objects_v2(Bucket="checks")["Contents"]), sorted(names))
        tags = [{"Key": "a b", "Value": "ü/&="}]
        ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])

    # Order.

    def test_a_subnet_is_kept_by_what_is_in_it(self):
        self.settings(rules=True, settle=HOUR)
        self.network()
        nat, (instance,) = self.nat(), self.run_instances()
        with self.refused("DependencyViolation"):
            ec2.delete_subnet(SubnetId=self.subnet)
        ec2.delete_nat_gateway(NatGatewayId=nat)
        ec2.terminate_instances(InstanceIds=[instance])
        with self.refused("DependencyViolation"):
            ec2.delete_subnet(SubnetId=self.subnet)
        self.settings(rules=True)
        ec2.delete_subnet(SubnetId=self.subnet)

    def test_a_subnet_takes_its_association_with_it(self):
        self.network()
        table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=self.subnet)
        other = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        with self.refused("Resource.AlreadyAssociated"):
            ec2.associate_route_table(RouteTableId=other, SubnetId=self.subnet)
        ec2.delete_subnet(SubnetId=self.subnet)
        ec2.delete_route_table(RouteTableId=table)

    def test_a_group_is_kept_by_machines_and_by_other_groups(self):
        self.network()
        used, named, naming = self.group("used"), self.group("named"), self.group("naming")
        self.run_instances(SecurityGroupIds=[used])
        source = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": named}]}]
        ec2.authorize_security_group_ingress(GroupId=naming, IpPermissions=source)
        for group in (used, named):
            with self.refused("DependencyViolation"):
                ec2.delete_security_group(GroupId=group)
        ec2.delete_security_group(GroupId=naming)
        ec2.delete_security_group(GroupId=named)

    def test_a_gateway_is_kept_by_public_addresses(self):
        self.network()
        nat = self.nat()
        with self.refused("DependencyViolation"):
            ec2.detach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        ec2.delete_nat_gateway(NatGatewayId=nat)
        ec2.detach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)

    def test_a_vpc_has_one_internet_gateway(self):
        self.network()
        second = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        with self.refused("InvalidParameterValue"):
            ec2.attach_internet_gateway(InternetGatewayId=second, VpcId=self.vpc)

    def test_an_address_is_kept_by_its_nat_gateway_until_that_is_gone(self):
        self.settings(rules=True, settle=HOUR)
        self.network()
        nat = self.nat()
        ec2.delete_nat_gateway(NatGatewayId=nat)
        with self.refused("InvalidIPAddress.InUse"):
            ec2.release_address(AllocationId=self.address)
        self.settings(rules=True)
        ec2.release_address(AllocationId=self.address)

    def test_a_nat_gateway_without_an_internet_gateway_fails(self):
        self.network(gateway=False)
        nat = self.nat()
        self.assertEqual(self.nat_state(nat), "failed")

    def test_more_machines_than_addresses_are_refused_whole(self):
        self.network()
        with self.refused("InsufficientFreeAddressesInSubnet"):
            self.run_instances(most=300)
        self.assertEqual(self.instances(), [])

    def test_documents_and_attributes_are_looked_at(self):
        self.network()
        with self.refused("MalformedPolicyDocument"):
            iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
        with self.refused("InvalidParameterCombination"):
            ec2.modify_vpc_attribute(
                VpcId=self.vpc, EnableDnsSupport={"Value": True}, EnableDnsHostnames={"Value": True}
            )

    # States and visibility.

    def test_states_pass(self):
        self.settings(rules=True, settle=HOUR)
        self.network()
        nat, (instance,) = self.nat(), self.run_instances()
        state = lambda: self.instances()[0]["State"]["Name"]
        self.assertEqual((self.nat_state(nat), state()), ("pending", "pending"))
        self.settings(rules=True)
        self.assertEqual((self.nat_state(nat), state()), ("available", "running"))
        self.settings(rules=True, settle=HOUR)
        ec2.delete_nat_gateway(NatGatewayId=nat)
        ec2.terminate_instances(InstanceIds=[instance])
        self.assertEqual((self.nat_state(nat), state()), ("deleting", "shutting-down"))
        self.settings(rules=True)
        self.assertEqual((self.nat_state(nat), state()), ("deleted", "terminated"))

    def test_new_things_are_not_found_at_first(self):
        self.network()
        self.settings(rules=True, visible=HOUR)
        group = self.group()
        with self.refused("InvalidGroup.NotFound"):
            ec2.describe_security_groups(GroupIds=[group])
        self.settings(rules=True)
        self.assertEqual(len(ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]), 1)

    def test_new_things_are_missing_in_lists_at_first(self):
        self.settings(rules=True, list_lag=HOUR)
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        listed = lambda: [v["VpcId"] for v in ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Vpcs"]]
        self.assertEqual(listed(), [])
        self.settings(rules=True)
        self.assertEqual(listed(), [vpc])

    def test_an_instance_profile_is_unknown_to_machines_at_first(self):
        self.network()
        self.settings(rules=True, visible=HOUR)
        iam.create_role(RoleName="profiled", AssumeRolePolicyDocument=TRUST)
        iam.create_instance_profile(InstanceProfileName="p")
        iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="profiled")
        with self.refused("InvalidParameterValue"):
            self.run_instances(IamInstanceProfile={"Name": "p"})
        self.settings(rules=True)
        self.assertEqual(len(self.run_instances(IamInstanceProfile={"Name": "p"})), 1)

    # Tokens.

    def test_a_token_makes_a_request_count_once(self):
        self.network()
        self.assertEqual(self.run_instances(2, 2, ClientToken="t"), self.run_instances(2, 2, ClientToken="t"))
        with self.refused("IdempotentParameterMismatch"):
            self.run_instances(3, 3, ClientToken="t")
        self.assertEqual(len(self.instances()), 2)

    def test_a_failed_request_does_not_use_its_token_up(self):
        self.network()
        self.faults({"action": "RunInstances", "do": "error", "code": "InsufficientInstanceCapacity"})
        with self.refused("InsufficientInstanceCapacity"):
            self.run_instances(ClientToken="t")
        self.assertEqual(len(self.run_instances(ClientToken="t")), 1)

    # Pages.

    def test_lists_come_in_pages(self):
        self.settings(rules=True, page_size=2)
        self.network()
        self.run_instances(5, 5)
        for number in range(4):
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.9.{number + 1}.0/24")
            iam.create_role(RoleName=f"r{number}", Path="/paged/", AssumeRolePolicyDocument=TRUST)
        where = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.assertEqual(len(ec2.describe_subnets(Filters=where, MaxResults=100)["Subnets"]), 2)
        pages = ec2.get_paginator("describe_subnets").paginate(Filters=where)
        self.assertEqual(len({s["SubnetId"] for page in pages for s in page["Subnets"]}), 5)
        self.assertEqual(len(ec2.describe_instances(Filters=where)["Reservations"]), 2)
        self.assertEqual(len({i["InstanceId"] for i in self.instances()}), 5)
        self.assertEqual(len(iam.list_roles(PathPrefix="/paged/")["Roles"]), 2)
        roles = [r for page in iam.get_paginator("list_roles").paginate(PathPrefix="/paged/") for r in page["Roles"]]
        self.assertEqual(len(roles), 4)
        ids = [i["InstanceId"] for i in self.instances()]
        self.assertEqual(
            len([i for r in ec2.describe_instances(InstanceIds=ids)["Reservations"] for i in r["Instances"]]), 5
        )
        with self.refused("InvalidParameterCombination"):
            ec2.describe_instances(InstanceIds=ids, MaxResults=5)

    # Rates.

    def test_calls_beyond_the_rate_are_refused(self):
        self.settings(rules=True, rate=0.01, burst=3)
        for _ in range(3):
            ec2.describe_vpcs()
        with self.refused("RequestLimitExceeded"):
            ec2.describe_vpcs()

    def test_launches_have_a_bucket_of_their_own(self):
        self.network()
        self.settings(rules=True, ec2_buckets=True)
        ask = dict(ImageId=IMAGE, InstanceType="m5.large", SubnetId=self.subnet, MinCount=1, MaxCount=1)
        with self.refused("RequestLimitExceeded"):
            for _ in range(30):
                ec2.run_instances(**ask)
        ec2.describe_vpcs()

    # Faults.

    def test_a_lost_answer_has_its_effect(self):
        self.faults({"action": "CreateVpc", "do": "lost"})
        with self.assertRaises(ConnectionClosedError):
            ec2.create_vpc(CidrBlock="10.1.0.0/16")
        self.assertEqual(self.vpcs("10.1.0.0/16"), 1)

    def test_a_reset_has_none(self):
        self.faults({"action": "CreateVpc", "do": "reset"})
        with self.assertRaises(ConnectionClosedError):
            ec2.create_vpc(CidrBlock="10.2.0.0/16")
        self.assertEqual(self.vpcs("10.2.0.0/16"), 0)

    def test_fewer_machines_than_asked_for(self):
        self.network()
        few = {"action": "RunInstances", "do": "partial", "count": 3, "times": 2}
        self.faults(few)
        self.assertEqual(len(self.run_instances(1, 7)), 3)
        with self.refused("InsufficientInstanceCapacity"):
            self.run_instances(7, 7)
        self.assertEqual(len(self.run_instances(1, 7)), 7)

    def test_what_a_test_hides_is_not_found(self):
        self.faults({"action": "CreateVpc", "do": "hidden", "seconds": HOUR})
        vpc = ec2.create_vpc(CidrBlock="10.3.0.0/16")["Vpc"]["VpcId"]
        with self.refused("InvalidVpcID.NotFound"):
            ec2.describe_vpcs(VpcIds=[vpc])
        self.assertEqual(self.vpcs("10.3.0.0/16"), 0)
        door("POST", "/_lab/reset")
        self.assertEqual(self.vpcs("10.3.0.0/16"), 1)

    def test_errors_are_those_of_each_service(self):
        asks = {ec2: "describe_vpcs", iam: "list_roles", s3: "list_buckets", rds: "describe_db_instances"}
        expected = {
            "throttle": ["RequestLimitExceeded", "Throttling", "SlowDown", "Throttling"],
            "expired": ["RequestExpired", "ExpiredToken", "ExpiredToken", "ExpiredToken"],
        }
        for do, codes in expected.items():
            self.faults({"action": ".", "do": do, "times": 4})
            for (asked, ask), code in zip(asks.items(), codes):
                with self.refused(code):
                    getattr(asked, ask)()

    def test_a_fault_waits_for_its_turn(self):
        self.faults(
            {"action": "DescribeVpcs", "do": "error", "code": "InternalError", "status": 500, "skip": 1, "times": 1}
        )
        ec2.describe_vpcs()
        with self.refused("InternalError"):
            ec2.describe_vpcs()
        ec2.describe_vpcs()

    # The log.

    def test_the_log_tells_what_came_and_how_it_went(self):
        ec2.describe_vpcs()
        self.faults({"action": "CreateVpc", "do": "lost"})
        with self.assertRaises(ConnectionClosedError):
            ec2.create_vpc(CidrBlock="10.9.0.0/16")
        s3.list_buckets()
        log = [(c["service"], c["action"], c["changes"], c["status"], c["fault"]) for c in door("GET", "/_lab/calls")]
        expected = [
            ("ec2", "DescribeVpcs", False, 200, None),
            ("ec2", "CreateVpc", True, None, "lost"),
            ("s3", "ListBuckets", False, 200, None),
        ]
        self.assertEqual(log, expected)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
