"""Who reaches whom, as rules for nftables: what the record says and nothing more.

Rests on: VPC user guide, "Route tables" (a subnet without a table of its own has the main one), "NAT gateways" (it lives in a
subnet that leads to an internet gateway), "Internet gateways" (only hosts with a public address), "Security groups"."""


def way_out(account, subnet):
    """Where a subnet's default route leads: `internet`, the id of a NAT gateway, or nowhere."""
    tables = [t for t in account.tables if t["VpcId"] == subnet["VpcId"]]
    own = [t for t in tables for a in t["Associations"] if a.get("SubnetId") == subnet["SubnetId"]]
    main = [t for t in tables for a in t["Associations"] if a.get("Main")]
    for route in [r for t in (own or main)[:1] for r in t["Routes"]]:
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State", "active") == "active":
            if route.get("GatewayId", "").startswith("igw-"):
                return "internet" if subnet["VpcId"] in account.gateways else None
            if route.get("NatGatewayId") in account.nats:
                return route["NatGatewayId"]
    return None


def router(account):
    """The router's rules, and the public addresses that they need."""
    incoming, outgoing, forward, public = [], [], [], set()
    for vpc in {s["VpcId"] for s in account.subnets.values()}:
        inside = ", ".join(sorted(s["CidrBlock"] for s in account.subnets.values() if s["VpcId"] == vpc))
        forward.append(f"ip saddr {{ {inside} }} ip daddr {{ {inside} }} accept")
    for subnet in account.subnets.values():
        way = way_out(account, subnet)
        if way in account.nats:
            home = account.subnets.get(account.nats[way]["SubnetId"])
            if home and way_out(account, home) == "internet":
                # Documentation addresses: moto gives gateways addresses of the loopback network.
                address = f"192.0.2.{1 + sorted(account.nats).index(way) % 250}"
                forward.append(f"ip saddr {subnet['CidrBlock']} oif up0 accept")
                outgoing.append(f"ip saddr {subnet['CidrBlock']} oif up0 snat to {address}")
                public.add(address)
        elif way == "internet":
            for host in account.running.values():
                if host["SubnetId"] == subnet["SubnetId"] and host.get("PublicIpAddress"):
                    address, own = host["PublicIpAddress"], host["PrivateIpAddress"]
                    incoming.append(f"iif up0 ip daddr {address} dnat to {own}")
                    outgoing.append(f"ip saddr {own} oif up0 snat to {address}")
                    forward += [f"ip saddr {own} oif up0 accept", f"iif up0 ip daddr {own} accept"]
                    public.add(address)
    return table(
        "ip lab",
        chain("incoming", "nat hook prerouting priority -100", incoming),
        chain("outgoing", "nat hook postrouting priority 100", outgoing),
        chain("pass", "filter hook forward priority 0; policy drop", ["ct state established,related accept", *forward]),
    ), public


def host(account, instance):
    """What a host's security groups let in."""
    rules = ["ct state established,related accept", "iif lo accept"]
    for group in instance["SecurityGroups"]:
        for permission in account.groups.get(group["GroupId"], {}).get("IpPermissions", []):
            sources = [r["CidrIp"] for r in permission.get("IpRanges", [])]
            for pair in permission.get("UserIdGroupPairs", []):
                sources += members(account, pair["GroupId"])
            if sources:
                everyone = "0.0.0.0/0" in sources
                source = "" if everyone else f"ip saddr {{ {', '.join(sorted(set(sources)))} }} "
                rules.append(f"{source}{protocol(permission)}accept")
    return table("inet groups", chain("in", "filter hook input priority 0; policy drop", rules))


def members(account, group):
    all_groups = lambda instance: {g["GroupId"] for g in instance["SecurityGroups"]}
    return [i["PrivateIpAddress"] for i in account.running.values() if group in all_groups(i)]


def protocol(permission):
    name = permission["IpProtocol"]
    if name in ("tcp", "udp"):
        return f"{name} dport {permission['FromPort']}-{permission['ToPort']} "
    return "ip protocol icmp " if name in ("icmp", "1") else ""


def chain(name, hook, rules):
    return "\n".join([f"  chain {name} {{", f"    type {hook};", *(f"    {rule}" for rule in rules), "  }"])


def table(name, *chains):
    """A table that replaces the one of that name at once."""
    return "\n".join([f"table {name}", f"delete table {name}", f"table {name} {{", *chains, "}", ""])
