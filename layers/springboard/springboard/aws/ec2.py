"""Amazon EC2: security groups, launch templates, instances."""

from __future__ import annotations

from springboard.aws.client import Adapter


class Ec2(Adapter):
    """Amazon EC2: security groups, launch templates, instances."""

    missing = frozenset(
        {
            "InvalidGroup.NotFound",
            "InvalidGroupId.NotFound",
            "InvalidLaunchTemplateId.NotFound",
            "InvalidLaunchTemplateName.NotFoundException",
            "InvalidSecurityGroupRuleId.NotFound",
        }
    )
