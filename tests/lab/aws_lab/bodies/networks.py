"""The namespaces of a lab: a router, and outside of it the network where moto, the tool and "the internet" are.

`198.51.100.1` is the router seen from outside, `203.0.113.10` a host on the internet."""

import ctypes
import hashlib
import ipaddress
import os

from .run import run, run_if_possible

ROUTER, OUTSIDE, INTERNET = "198.51.100.1", "198.51.100.2", "203.0.113.10"


def short(prefix, *words):
    """An interface name, which has at most 15 characters."""
    return prefix + hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


class Networks:
    def __init__(self, lab):
        self.lab = lab
        self.router, self.outside = f"{lab}-router", f"{lab}-outside"
        self.subnets, self.public = {}, set()

    def make(self):
        for namespace in (self.router, self.outside):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self.router_ip(
            f"link add up0 type veth peer name up0 netns {self.outside}",
            f"addr add {ROUTER}/24 dev up0",
            "link set up0 up",
            f"route add 203.0.113.0/24 via {OUTSIDE}",
        )
        self.outside_ip(f"addr add {OUTSIDE}/24 dev up0", "link set up0 up", f"addr add {INTERNET}/24 dev lo")
        run("ip", "netns", "exec", self.router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def router_ip(self, *lines):
        run("ip", "-n", self.router, "-batch", "-", stdin="\n".join(lines) + "\n")

    def outside_ip(self, *lines):
        run("ip", "-n", self.outside, "-batch", "-", stdin="\n".join(lines) + "\n")

    def enter_outside(self):
        """Moves this thread, and what it starts, into the network outside."""
        descriptor = os.open(f"/run/netns/{self.outside}", os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, 0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "setns")
        os.close(descriptor)

    def subnet(self, name, cidr):
        """The bridge of a subnet; the router has its first address, as on AWS."""
        if name not in self.subnets:
            net, bridge = ipaddress.ip_network(cidr), short("b", self.lab, name)
            self.router_ip(
                f"link add {bridge} type bridge",
                f"addr add {net[1]}/{net.prefixlen} dev {bridge}",
                f"link set {bridge} up",
            )
            self.subnets[name] = (bridge, net)
        return self.subnets[name]

    def plug(self, host, subnet, cidr, address):
        """A namespace for a host, with one interface in its subnet."""
        bridge, net = self.subnet(subnet, cidr)
        namespace, link = f"{self.lab}-{host}", short("v", self.lab, host)
        run("ip", "netns", "add", namespace)
        self.router_ip(
            f"link add {link} master {bridge} type veth peer name eth0 netns {namespace}", f"link set {link} up"
        )
        lines = [
            "link set lo up",
            f"addr add {address}/{net.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add default via {net[1]}",
        ]
        run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n")
        return namespace

    def unplug(self, host):
        run_if_possible("ip", "netns", "del", f"{self.lab}-{host}")
        run_if_possible("ip", "-n", self.router, "link", "del", short("v", self.lab, host))

    def publish(self, addresses):
        """Makes these the public addresses that lead to the router."""
        for address in addresses - self.public:
            self.outside_ip(f"route replace {address}/32 via {ROUTER}")
            self.router_ip(f"addr add {address}/32 dev up0")
        for address in self.public - addresses:
            self.outside_ip(f"route del {address}/32")
            self.router_ip(f"addr del {address}/32 dev up0")
        self.public = set(addresses)

    def filter(self, namespace, rules):
        run("ip", "netns", "exec", namespace, "nft", "-f", "-", stdin=rules)

    def remove(self):
        for namespace in (self.router, self.outside):
            run_if_possible("ip", "netns", "del", namespace)
