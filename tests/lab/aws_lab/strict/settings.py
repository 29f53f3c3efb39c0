"""What the layer does, all of it changeable while it runs. The defaults change nothing: a proxy that counts."""

from dataclasses import dataclass, fields


@dataclass
class Settings:
    # Wrong orders of removal, and signatures, are refused; client tokens are remembered.
    rules: bool = False
    # Seconds that NAT gateways, instances and databases spend in their passing states.
    settle: float = 0.0
    # Seconds during which a new thing is "not found" when it is named.
    visible: float = 0.0
    # Seconds during which a new thing is missing in lists.
    list_lag: float = 0.0
    # Requests a second over all, and the size of the bucket; 0 is no limit.
    rate: float = 0.0
    burst: float = 20.0
    # EC2's own buckets for each action instead.
    ec2_buckets: bool = False
    # The longest page; 0 leaves pages alone.
    page_size: int = 0
    # Calls take as long as on AWS, times this; 0 is at once.
    latency: float = 0.0
    # A folder with the console output of instances by id, where they have bodies; else it is moto's.
    console: str = ""

    def update(self, new):
        known = {field.name for field in fields(self)}
        for key, value in new.items():
            if key not in known:
                raise ValueError(f"no setting {key}")
            setattr(self, key, value)
