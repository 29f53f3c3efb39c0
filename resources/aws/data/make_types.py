#!/usr/bin/env python3
"""Makes instance-types.txt: CPUs, MiB, NVIDIA GPUs and architecture of the instance types of EC2.

Source: Amazon's answer to DescribeInstanceTypes, as it comes with moto, Apache-2.0. Made with moto 5.2.5:

    python3 -m venv v && v/bin/pip install moto==5.2.5 && v/bin/python make_types.py > instance-types.txt
"""
import gzip
import json
import pathlib

import moto

path = pathlib.Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
types = json.load(gzip.open(path))

# No longer offered to new accounts and so not in the answer; CloudTik's templates name them.
# Source: EC2 instance type guide, accelerated computing, P3 (read 2026-11-25).
rows = {"p3.2xlarge": (8, 62464, 1, "x86_64"), "p3.8xlarge": (32, 249856, 4, "x86_64"), "p3.16xlarge": (64, 499712, 8, "x86_64")}
# In the answer that came with moto 5.2.1 and not in this one.
rows["dl1.24xlarge"] = (96, 786432, 0, "x86_64")
for size, times in {"x": 1, "2x": 2, "4x": 4, "8x": 8, "16x": 16}.items():
    rows[f"g4ad.{size}large"] = (4 * times, 16384 * times, 0, "x86_64")
for name, what in types.items():
    # Every type of 64 bits has one architecture; the oldest can do 32 bits, too. Macs run no Linux.
    architectures = [a for a in ("x86_64", "arm64") if a in what["ProcessorInfo"]["SupportedArchitectures"]]
    if not architectures or name.startswith("mac"):
        continue
    gpus = [gpu["Count"] for gpu in what.get("GpuInfo", {}).get("Gpus", []) if gpu["Manufacturer"] == "NVIDIA"]
    rows[name] = (what["VCpuInfo"]["DefaultVCpus"], what["MemoryInfo"]["SizeInMiB"], sum(gpus), architectures[0])

for name, row in sorted(rows.items()):
    print(name, *row)
