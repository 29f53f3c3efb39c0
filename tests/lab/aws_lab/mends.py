"""Calls that moto 5.2.5 answers wrongly or not at all, and that AWS answers as its API reference says."""

import threading

from moto.ec2.models import EC2Backend
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.responses import general
from moto.ec2.responses.instances import InstanceResponse
from moto.rds.models import RDSBackend
from moto.s3.responses import S3Response


def get_bucket_versioning(self):
    """The root element has this name; clients made from Amazon's model look at it."""
    status = self.backend.get_bucket_versioning(self.bucket_name)
    status = f"<Status>{status}</Status>" if status else ""
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return 200, {}, f'<VersioningConfiguration xmlns="{space}">{status}</VersioningConfiguration>'


def with_own_id(get_filter_value):
    """DescribeVpcEndpoints filters by id."""

    def answer(self, name, method=None):
        return self.id if name == "vpc-endpoint-id" else get_filter_value(self, name, method)

    return answer


def with_its_instance(detach_volume):
    """DetachVolume needs no InstanceId: a volume knows where it is."""

    def answer(self, volume_id, instance_id, device_path):
        attachment = self.get_volume(volume_id).attachment
        return detach_volume(self, volume_id, instance_id or (attachment and attachment.instance.id), device_path)

    return answer


def and_keep_it(modify_db_subnet_group):
    """A subnet group that was modified is there afterwards."""

    def answer(self, subnet_name, *others):
        group = self.subnet_groups[subnet_name] = modify_db_subnet_group(self, subnet_name, *others)
        return group

    return answer


def with_throughput(block_device_mapping):
    """RunInstances takes Throughput of a disk, as CreateVolume does."""

    def answer(self):
        mappings = block_device_mapping(self)
        for mapping, asked in zip(mappings, self._get_param("BlockDeviceMappings", [])):
            mapping["Ebs"]["Throughput"] = asked.get("Ebs", {}).get("Throughput")
        return mappings

    return answer


def with_the_speed_asked_for(run_instances):
    """Disks of new instances have the Iops and Throughput that RunInstances was asked for. Launches go one after another:
    two at once in a subnet fail on its addresses."""
    alone = threading.Lock()

    def answer(self, *args, **options):
        with alone:
            reservation = run_instances(self, *args, **options)
        for instance in reservation.instances:
            for mapping in options.get("block_device_mappings") or []:
                device = instance.block_device_mapping.get(mapping["DeviceName"])
                volume = device and self.get_volume(device.volume_id)
                for name in ("Iops", "Throughput"):
                    if volume and mapping["Ebs"].get(name):
                        setattr(volume, name.lower(), int(mapping["Ebs"][name]))
        return reservation

    return answer


# Where no body has keys to show, the boot is at least over, as the console of a machine of today says.
BOOTED = "Cloud-init v. 24.1.3 finished at Wed, 25 Nov 2026 19:00:00 +0000. Datasource DataSourceEc2Local. Up 20.10 seconds\n"


def mend():
    general.SAMPLE_CONSOLE_OUTPUT += BOOTED
    InstanceResponse._parse_block_device_mapping = with_throughput(InstanceResponse._parse_block_device_mapping)
    EC2Backend.run_instances = with_the_speed_asked_for(EC2Backend.run_instances)
    S3Response.get_bucket_versioning = get_bucket_versioning
    VPCEndPoint.get_filter_value = with_own_id(VPCEndPoint.get_filter_value)
    EC2Backend.detach_volume = with_its_instance(EC2Backend.detach_volume)
    RDSBackend.modify_db_subnet_group = and_keep_it(RDSBackend.modify_db_subnet_group)
