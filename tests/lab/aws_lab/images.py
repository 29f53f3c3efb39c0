"""Images that moto's list, made in 2018, lacks: those that nodes start from when their document names none."""

from moto.ec2.models import amis

UBUNTU = ("099720109477", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-%s")
DEEP_LEARNING = ("898082745236", "AWS Deep Learning Base AMI GPU CUDA 11 (Ubuntu 20.04) %s")


def image(number, source, version, created):
    owner, name = source
    return {
        "ami_id": f"ami-0{number:016x}",
        "architecture": "x86_64",
        "creation_date": created,
        "description": name % version,
        "hypervisor": "xen",
        "image_location": f"{owner}/{name % version}",
        "image_type": "machine",
        "name": name % version,
        "owner_id": owner,
        "platform": None,
        "public": True,
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "sriov": "simple",
        "state": "available",
        "virtualization_type": "hvm",
    }


def publish():
    amis.AMIS.extend(
        [
            image(1, UBUNTU, "20240301", "2024-03-01T00:00:00.000Z"),
            image(2, UBUNTU, "20250401", "2025-04-01T00:00:00.000Z"),
            image(3, DEEP_LEARNING, "20240415", "2024-04-15T00:00:00.000Z"),
        ]
    )
