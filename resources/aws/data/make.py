#!/usr/bin/env python3
"""Makes run-instances.json, what RunInstances takes, and launch-template-data.json, what a launch template answers.

Source: the EC2 service model (API version 2016-11-15) that comes with botocore, Apache-2.0. Names, types and enumerations
only. Made with botocore 1.44.8:

    python3 -m venv v && v/bin/pip install botocore==1.44.8
    v/bin/python make.py RunInstancesRequest > run-instances.json
    v/bin/python make.py ResponseLaunchTemplateData > launch-template-data.json
"""
import gzip
import json
import pathlib
import sys

import botocore

folder = pathlib.Path(botocore.__file__).parent / "data/ec2/2016-11-15"
shapes = json.load(gzip.open(folder / "service-2.json.gz"))["shapes"]

# A list of a thousand that grows every month: types are checked by DescribeInstanceTypes.
OPEN = {"InstanceType"}

structures, enums = {}, {}


is_answer = sys.argv[1].startswith("Response")


def wire(name, member):
    """The name in the query or, of an answer, the XML element's, by the rules of protocol `ec2`."""
    located = member.get("locationName", name)
    return located if is_answer else member.get("queryName") or located[0].upper() + located[1:]


def expected(name):
    return name[0].lower() + name[1:] if is_answer else name


def visit(name):
    """The type of shape `name` in words of the table; what it consists of is added to the table."""
    shape = shapes[name]
    if shape["type"] == "structure":
        if name not in structures:
            structures[name] = {}
            structures[name] = {key: entry(key, m, shape) for key, m in shape["members"].items()}
        return name
    if "enum" in shape and name not in OPEN:
        enums[name] = shape["enum"]
        return name
    return {"long": "integer", "float": "number", "double": "number"}.get(shape["type"], shape["type"])


def entry(key, member, owner):
    shape = shapes[member["shape"]]
    listed = shape["type"] == "list"
    found = {"type": visit(shape["member"]["shape"] if listed else member["shape"])}
    if listed:
        found["list"] = True
    if wire(key, member) != expected(key):
        found["wire"] = wire(key, member)
    if key in owner.get("required", []):
        found["required"] = True
    if member.get("deprecated"):
        found["deprecated"] = member.get("deprecatedMessage", "deprecated")
    return found


root = visit(sys.argv[1])


def lines(table):
    return ",\n".join(f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in table)


def structure(members):
    return "{\n" + ",\n".join(f"      {json.dumps(k)}: {json.dumps(v)}" for k, v in members.items()) + "\n    }"


print("{")
print(f'  "source": "botocore {botocore.__version__}, ec2 2016-11-15",')
print(f'  "root": "{root}",')
print('  "structures": {')
print(",\n".join(f'    "{name}": {structure(members)}' for name, members in sorted(structures.items())))
print("  },")
print('  "enums": {')
print(lines(sorted(enums.items())))
print("  }")
print("}")
