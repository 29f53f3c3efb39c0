"""Keeps hosts as moto's instances are."""

import sys
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import EndpointConnectionError

from . import account, reach
from .run import Failed


class Follow:
    def __init__(self, networks, hosts, ec2):
        self.networks, self.hosts, self.ec2 = networks, hosts, ec2
        self.rules, self.known = {}, set()

    def step(self):
        """One look at moto, and what follows from it. Returns the hosts that run, by instance."""
        now = account.read(self.ec2)
        running = now.running
        for gone in [name for name in self.hosts.running if name not in running]:
            self.hosts.stop(gone)
            self.rules.pop(gone, None)
        for gone in self.known - set(now.instances):
            self.hosts.forget(gone)
        self.known = set(now.instances)
        for instance in running.values():
            subnet = now.subnets[instance["SubnetId"]]
            self.networks.subnet(subnet["SubnetId"], subnet["CidrBlock"])
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: self.start(now, i), [i for n, i in running.items() if n not in self.hosts.running]))
        self.connect(now)
        return {
            name: {
                "ip": i["PrivateIpAddress"],
                "public_ip": i.get("PublicIpAddress"),
                "pid": self.hosts.running[name].pid,
            }
            for name, i in running.items()
        }

    def start(self, now, instance):
        subnet = now.subnets[instance["SubnetId"]]
        key = now.keys.get(instance.get("KeyName"), "")
        self.hosts.start(
            instance["InstanceId"], subnet["SubnetId"], subnet["CidrBlock"], instance["PrivateIpAddress"], key
        )

    def connect(self, now):
        rules, public = reach.router(now)
        self.networks.publish(public)
        self.filter("router", rules)
        for name, instance in now.running.items():
            self.filter(name, reach.host(now, instance))

    def filter(self, name, rules):
        if self.rules.get(name) != rules:
            self.networks.filter(f"{self.networks.lab}-{name}", rules)
            self.rules[name] = rules

    def steps(self, over, busy):
        """Goes on until it is over; one step at a time."""
        while not over.wait(0.7):
            try:
                with busy:
                    if not over.is_set():
                        self.step()
            except EndpointConnectionError:
                return  # moto has ended, and with it all instances
            except Failed as problem:
                # A thing may go away while we look; if not, the next look says it again.
                print(f"bodies: {problem}", file=sys.stderr)
