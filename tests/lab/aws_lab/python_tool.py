"""`python -m aws_lab.python_tool ENDPOINT WORKSPACE`: makes a workspace with the names and tags that the Python CloudTik gives it.

It is what documents that were used with that tool come with: found by name alone, without any mark of ours."""

import json
import sys

import boto3

REGION = "us-west-2"
HEAD = ["AmazonEC2FullAccess", "AmazonS3FullAccess", "IAMFullAccess", "ElasticLoadBalancingFullAccess"]
WORKER = ["AmazonEC2ReadOnlyAccess", "AmazonS3FullAccess", "ElasticLoadBalancingFullAccess"]


class Workspace:
    def __init__(self, endpoint, name):
        self.name = name
        keys = dict(endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test")
        self.ec2, self.iam, self.s3 = (boto3.client(service, REGION, **keys) for service in ("ec2", "iam", "s3"))

    def tags(self, kind, what, **more):
        tags = {"Name": f"cloudtik-{self.name}{what}", **more}
        return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]

    def make(self):
        self.network()
        self.ways_out()
        self.group()
        self.profile("head", HEAD)
        self.profile("worker", WORKER)
        self.bucket()

    def network(self):
        tags = self.tags("vpc", "-vpc", **{"cloudtik-workspace-version": "1"})
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsSupport={"Value": True})
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": True})
        self.public = self.subnet("-public-subnet", "10.0.0.0/24", "a")
        self.ec2.modify_subnet_attribute(SubnetId=self.public, MapPublicIpOnLaunch={"Value": True})
        self.private = [self.subnet("-private-subnet", f"10.0.{n}.0/24", zone) for n, zone in ((1, "a"), (2, "b"))]

    def subnet(self, what, cidr, zone):
        tags = self.tags("subnet", what)
        made = self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=REGION + zone, TagSpecifications=tags
        )
        return made["Subnet"]["SubnetId"]

    def ways_out(self):
        tags = self.tags("internet-gateway", "-internet-gateway", **{"cloudtik-workspace-name": self.name})
        gateway = self.ec2.create_internet_gateway(TagSpecifications=tags)["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        # The main table of the network is renamed, and serves the public subnet.
        here = [{"Name": "vpc-id", "Values": [self.vpc]}]
        main = self.ec2.describe_route_tables(Filters=here)["RouteTables"][0]["RouteTableId"]
        self.ec2.create_tags(Resources=[main], Tags=self.tags("", "-public-route-table")[0]["Tags"])
        self.ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        tags = self.tags("route-table", "-private-route-table")
        table = self.ec2.create_route_table(VpcId=self.vpc, TagSpecifications=tags)["RouteTable"]["RouteTableId"]
        for subnet in self.private:
            self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        tags = self.tags("natgateway", "-nat-gateway")
        made = self.ec2.create_nat_gateway(SubnetId=self.public, AllocationId=address, TagSpecifications=tags)
        nat = made["NatGateway"]["NatGatewayId"]
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
        tags = self.tags("vpc-endpoint", "-vpc-endpoint-s3")
        service = f"com.amazonaws.{REGION}.s3"
        self.ec2.create_vpc_endpoint(
            VpcId=self.vpc,
            VpcEndpointType="Gateway",
            ServiceName=service,
            RouteTableIds=[main, table],
            TagSpecifications=tags,
        )

    def group(self):
        tags = self.tags("security-group", "")
        made = self.ec2.create_security_group(
            GroupName=f"cloudtik-{self.name}", Description="made before", VpcId=self.vpc, TagSpecifications=tags
        )
        group = made["GroupId"]
        ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        rules = [
            {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]},
            {**ssh, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]},
            {**ssh, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)

    def profile(self, kind, policies):
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        role, profile = (f"cloudtik-{self.name}-{kind}-{what}" for what in ("role", "profile"))
        self.iam.create_instance_profile(InstanceProfileName=profile)
        self.iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        for policy in policies:
            self.iam.attach_role_policy(RoleName=role, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
        self.iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)

    def bucket(self):
        name = f"cloudtik-{self.name}-{REGION}-default"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        tag = {"Key": "cloudtik-workspace-name", "Value": self.name}
        self.s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [tag]})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self.s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})


Workspace(sys.argv[1], sys.argv[2]).make()
