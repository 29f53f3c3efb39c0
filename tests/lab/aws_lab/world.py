"""Everything that exists in one region (and in IAM and S3), read with AWS's own client.

Left out is what comes without being asked for: the default VPC with its subnets, what a VPC brings along (main route
table, default group and default access list), AWS's own images and policies, and what is gone but still listed."""

import functools
import threading

import boto3

GONE = {"terminated", "deleted", "cancelled", "failed"}


class World:
    """`World()(region)` is `{kind: {id: {"name", "tags", …}}}`."""

    def __init__(self):
        self.endpoint = None
        self.client = functools.cache(self.connect)
        # Clients are not made by two threads at once.
        self.lock = threading.Lock()

    def connect(self, service, region):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def pages(self, service, region, operation, key, **query):
        client = self.client(service, region)
        if client.can_paginate(operation):
            return [item for page in client.get_paginator(operation).paginate(**query) for item in page[key]]
        return getattr(client, operation)(**query)[key]

    def __call__(self, region):
        with self.lock:
            return self.read(region)

    def read(self, region):
        read = functools.partial(self.pages, "ec2", region)
        found = {
            **network(read),
            **machines(read),
            **identities(functools.partial(self.pages, "iam", region)),
            **buckets(self.client("s3", region)),
            **databases(functools.partial(self.pages, "rds", region), self.client("rds", region)),
        }
        return {kind: items for kind, items in sorted(found.items()) if items}


def entry(item, **more):
    tags = {t["Key"]: t["Value"] for t in item.get("Tags") or item.get("TagSet") or item.get("TagList") or []}
    return {
        "name": tags.get("Name", ""),
        "tags": tags,
        **{key: value for key, value in more.items() if value is not None},
    }


def network(read):
    vpcs = read("describe_vpcs", "Vpcs")
    default = {v["VpcId"] for v in vpcs if v["IsDefault"]}
    subnets = [s for s in read("describe_subnets", "Subnets") if not s.get("DefaultForAz")]
    tables = [t for t in read("describe_route_tables", "RouteTables") if not any(a["Main"] for a in t["Associations"])]
    groups = [g for g in read("describe_security_groups", "SecurityGroups") if g["GroupName"] != "default"]
    gateways = [
        g
        for g in read("describe_internet_gateways", "InternetGateways")
        if not any(a["VpcId"] in default for a in g["Attachments"])
    ]
    nats = [n for n in read("describe_nat_gateways", "NatGateways") if n["State"] not in GONE]
    endpoints = [e for e in read("describe_vpc_endpoints", "VpcEndpoints") if e["State"] not in GONE]
    peerings = [
        p for p in read("describe_vpc_peering_connections", "VpcPeeringConnections") if p["Status"]["Code"] not in GONE
    ]
    return {
        "vpc": {v["VpcId"]: entry(v, cidr=v["CidrBlock"]) for v in vpcs if not v["IsDefault"]},
        "subnet": {s["SubnetId"]: entry(s, cidr=s["CidrBlock"], vpc=s["VpcId"]) for s in subnets},
        "route_table": {t["RouteTableId"]: entry(t, vpc=t["VpcId"], **routes(t)) for t in tables},
        "security_group": {
            g["GroupId"]: entry(g, vpc=g["VpcId"], group=g["GroupName"], rules=len(rules(g))) for g in groups
        },
        "internet_gateway": {
            g["InternetGatewayId"]: entry(g, vpcs=[a["VpcId"] for a in g["Attachments"]]) for g in gateways
        },
        "nat_gateway": {n["NatGatewayId"]: entry(n, subnet=n["SubnetId"], state=n["State"]) for n in nats},
        "address": {a["AllocationId"]: entry(a, ip=a["PublicIp"]) for a in read("describe_addresses", "Addresses")},
        "vpc_endpoint": {e["VpcEndpointId"]: entry(e, vpc=e["VpcId"], service=e["ServiceName"]) for e in endpoints},
        "vpc_peering": {p["VpcPeeringConnectionId"]: entry(p) for p in peerings},
    }


def routes(table):
    return {
        "subnets": sorted(a["SubnetId"] for a in table["Associations"] if "SubnetId" in a),
        "routes": sorted(
            r.get("DestinationCidrBlock") or r.get("DestinationIpv6CidrBlock") or "prefix list" for r in table["Routes"]
        ),
    }


def rules(group):
    """One entry for each source of each permission, as AWS counts rules."""
    sources = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    return [source for p in group["IpPermissions"] for key in sources for source in p.get(key, [])]


def machines(read):
    instances = [i for r in read("describe_instances", "Reservations") for i in r["Instances"]]
    live = [i for i in instances if i["State"]["Name"] not in GONE]
    volumes = read("describe_volumes", "Volumes")
    return {
        "instance": {
            i["InstanceId"]: entry(
                i,
                type=i["InstanceType"],
                state=i["State"]["Name"],
                subnet=i.get("SubnetId"),
                token=i.get("ClientToken"),
            )
            for i in live
        },
        "volume": {v["VolumeId"]: entry(v, gib=v["Size"], type=v["VolumeType"]) for v in volumes},
        "key_pair": {
            k["KeyPairId"]: {**entry(k), "name": k["KeyName"]} for k in read("describe_key_pairs", "KeyPairs")
        },
        "launch_template": {
            t["LaunchTemplateId"]: {**entry(t), "name": t["LaunchTemplateName"]}
            for t in read("describe_launch_templates", "LaunchTemplates")
        },
        "snapshot": {
            s["SnapshotId"]: entry(s)
            for s in read("describe_snapshots", "Snapshots", OwnerIds=["self"])
            if not s["Description"].startswith("Auto-created snapshot for AMI")
        },
        "spot_request": {
            s["SpotInstanceRequestId"]: entry(s)
            for s in read("describe_spot_instance_requests", "SpotInstanceRequests")
            if s["State"] not in GONE
        },
    }


def identities(read):
    roles = [r for r in read("list_roles", "Roles") if not r["Path"].startswith("/aws-service-role/")]
    return {
        "role": {
            r["RoleName"]: {
                **entry({"Tags": read("list_role_tags", "Tags", RoleName=r["RoleName"])}),
                "attached": sorted(
                    p["PolicyName"]
                    for p in read("list_attached_role_policies", "AttachedPolicies", RoleName=r["RoleName"])
                ),
                "inline": sorted(read("list_role_policies", "PolicyNames", RoleName=r["RoleName"])),
            }
            for r in roles
        },
        "instance_profile": {
            p["InstanceProfileName"]: entry(p, roles=[r["RoleName"] for r in p["Roles"]])
            for p in read("list_instance_profiles", "InstanceProfiles")
        },
        "policy": {p["PolicyName"]: entry(p) for p in read("list_policies", "Policies", Scope="Local")},
        "user": {u["UserName"]: entry(u) for u in read("list_users", "Users")},
    }


def buckets(s3):
    def tags(name):
        try:
            return s3.get_bucket_tagging(Bucket=name)
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchTagSet":
                raise
            return {}

    def objects(name):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    names = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    return {"bucket": {name: entry(tags(name), objects=objects(name)) for name in names}}


def databases(read, rds):
    def tags(arn):
        return rds.list_tags_for_resource(ResourceName=arn)

    return {
        "database": {
            d["DBInstanceIdentifier"]: entry(tags(d["DBInstanceArn"]), state=d["DBInstanceStatus"], engine=d["Engine"])
            for d in read("describe_db_instances", "DBInstances")
        },
        "database_cluster": {
            d["DBClusterIdentifier"]: entry(tags(d["DBClusterArn"])) for d in read("describe_db_clusters", "DBClusters")
        },
        "database_subnets": {
            g["DBSubnetGroupName"]: entry(tags(g["DBSubnetGroupArn"]))
            for g in read("describe_db_subnet_groups", "DBSubnetGroups")
        },
        "database_snapshot": {
            s["DBSnapshotIdentifier"]: entry(s)
            for s in read("describe_db_snapshots", "DBSnapshots", SnapshotType="manual")
        },
    }
