"""What moto has on record, as far as packets depend on it."""

from dataclasses import dataclass


@dataclass
class Account:
    instances: dict  # id -> description; those that exist, running or not
    subnets: dict
    tables: list
    nats: dict  # those that work
    gateways: set  # ids of VPCs with an internet gateway
    groups: dict
    keys: dict  # name -> public key

    @property
    def running(self):
        return {i: d for i, d in self.instances.items() if d["State"]["Name"] == "running" and d.get("SubnetId")}


def read(ec2):
    def pages(operation, key):
        return [item for page in ec2.get_paginator(operation).paginate() for item in page[key]]

    instances = [i for r in pages("describe_instances", "Reservations") for i in r["Instances"]]
    nats = pages("describe_nat_gateways", "NatGateways")
    gateways = pages("describe_internet_gateways", "InternetGateways")
    return Account(
        instances={i["InstanceId"]: i for i in instances if i["State"]["Name"] != "terminated"},
        subnets={s["SubnetId"]: s for s in pages("describe_subnets", "Subnets")},
        tables=pages("describe_route_tables", "RouteTables"),
        nats={n["NatGatewayId"]: n for n in nats if n["State"] == "available"},
        gateways={a["VpcId"] for g in gateways for a in g["Attachments"]},
        groups={g["GroupId"]: g for g in pages("describe_security_groups", "SecurityGroups")},
        keys={k["KeyName"]: k.get("PublicKey", "") for k in ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]},
    )
