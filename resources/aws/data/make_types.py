#!/usr/bin/env python3
"""Makes instance-types.txt: CPUs, MiB and NVIDIA GPUs of the x86_64 instance types of EC2.

Source: Amazon's answer to DescribeInstanceTypes, as it comes with moto, Apache-2.0. Made with moto 5.2.1:

    python3 -m venv v && v/bin/pip install moto==5.2.1 && v/bin/python make_types.py > instance-types.txt
"""
import gzip
import json
import pathlib

import moto

path = pathlib.Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
types = json.load(gzip.open(path))

# No longer offered to new accounts and so not in the answer; CloudTik's templates name them.
# Source: EC2 instance type guide, accelerated computing, P3 (read 2026-11-25).
rows = {"p3.2xlarge": (8, 62464, 1), "p3.8xlarge": (32, 249856, 4), "p3.16xlarge": (64, 499712, 8)}
for name, what in types.items():
    if "x86_64" not in what["ProcessorInfo"]["SupportedArchitectures"] or name.startswith("mac"):
        continue
    gpus = [gpu["Count"] for gpu in what.get("GpuInfo", {}).get("Gpus", []) if gpu["Manufacturer"] == "NVIDIA"]
    rows[name] = (what["VCpuInfo"]["DefaultVCpus"], what["MemoryInfo"]["SizeInMiB"], sum(gpus))

for name, row in sorted(rows.items()):
    print(name, *row)
