"""What an instance tells of itself."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("kind", "cores", "threads"),
    [("m7i.large", 1, 2), ("m7g.xlarge", 4, 1), ("m7a.large", 2, 1), ("t3.medium", 1, 2), ("c7i.4xlarge", 8, 2)],
)
def test_an_instance_has_the_cores_and_threads_of_its_type(aws: Any, kind: str, cores: int, threads: int) -> None:
    """Intel's have two threads to a core, Graviton's and AMD's of the seventh generation one."""
    ec2 = aws("ec2")
    image = ec2.register_image(Name=kind, RootDeviceName="/dev/xvda")["ImageId"]
    made = ec2.run_instances(ImageId=image, InstanceType=kind, MinCount=1, MaxCount=1)["Instances"][0]
    [found] = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"]
    assert made["CpuOptions"] == found["CpuOptions"] == {"CoreCount": cores, "ThreadsPerCore": threads}
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
