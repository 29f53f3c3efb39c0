"""Gives instances of a moto server bodies: each a host with an sshd, in a network namespace, at the address that moto gave it and
with exactly the reachability that moto has on record (gateways, NAT, route tables, public addresses, security groups).

So a route, a rule or an address that was forgotten is no failed assertion but a connection that cannot be made. Needs root,
iproute2, nftables and openssh-server. Nothing of it has a way off this machine."""
