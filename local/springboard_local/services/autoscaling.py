"""Auto Scaling where moto would lie: zones are balanced, target groups follow instances, launches can fail.

A target group that is deleted while still attached stops every launch, as on AWS. Whoever has to know
about launches and terminations (EKS: nodes join and leave with their instances) listens.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
    InstanceState,
    autoscaling_backends,
)
from moto.ec2.exceptions import EC2ClientError
from moto.elbv2.models import elbv2_backends

from springboard_local import pipeline
from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError
from springboard_local.services import ec2
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Protocol

    from springboard_local.cloud import Cloud

    class Listener(Protocol):
        """Who follows the instances of groups."""

        def launched(self, group: Any, instance_ids: list[str]) -> None:
            """A group has launched instances."""

        def terminated(self, group: Any, instance_ids: list[str]) -> None:
            """Instances of a group have ended."""

        def launch_failed(self, group: Any, reason: str) -> None:
            """A group could not launch."""


log = logging.getLogger(__name__)

NO_TARGET_GROUP = (
    "One or more target groups not found. Validating load balancer configuration failed. Launching EC2 instance failed."
)
_RETRY = 60  # virtual seconds between attempts to launch what is missing
_DETACH = 15  # virtual seconds that a target group shows as Removing

_mending = Mending()


@dataclass
class _State:
    """What moto's groups have no place for; by group name."""

    cloud: Cloud | None = None
    listeners: dict[str, Listener] = field(default_factory=dict)
    attachments: dict[str, dict[str, str]] = field(default_factory=dict)  # target group ARN → Adding, Added, Removing
    activities: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    retrying: set[str] = field(default_factory=set)

    def forget(self) -> None:
        self.attachments.clear()
        self.activities.clear()
        self.retrying.clear()


_state = _State()


def follow(name: str, listener: Listener) -> None:
    """Tell `listener` about every launch and termination from now on, in the place of an earlier one of that name."""
    _state.listeners[name] = listener


def backend() -> Any:
    """The account's Auto Scaling."""
    return autoscaling_backends[ACCOUNT][REGION]


def _elbv2(group: Any) -> Any:
    return elbv2_backends[group.account_id][group.region]


def _now() -> datetime:
    assert _state.cloud is not None  # noqa: S101 - mended only while a cloud is installed
    return _state.cloud.clock.now()


def _later(seconds: float, work: Any) -> None:
    assert _state.cloud is not None  # noqa: S101 - as above
    _state.cloud.clock.call_later(seconds, work)


# launches


def _record(group: Any, description: str, status: str, message: str = "") -> None:
    activities = _state.activities.setdefault(group.name, [])
    number = len(activities) + 1
    activities.insert(
        0,
        {
            "ActivityId": f"{group._id[:-6]}{number:06x}",
            "AutoScalingGroupName": group.name,
            "Description": description,
            "Cause": f"At {_now():%Y-%m-%dT%H:%M:%SZ} an instance was started or ended to match the desired capacity.",
            "StartTime": _now(),
            "EndTime": _now(),
            "StatusCode": status,
            "StatusMessage": message,
            "Progress": 100,
        },
    )
    del activities[200:]


def _missing_target_groups(group: Any) -> list[str]:
    known = {each.arn for each in _elbv2(group).target_groups.values()}
    return [arn for arn in group.target_group_arns if arn not in known]


def _subnet_for_next(group: Any) -> str | None:
    """The subnet with the fewest instances, in the order in which the group names them."""
    ids = (group.vpc_zone_identifier or "").split(",")
    if ids == [""]:
        return None
    taken = Counter(state.instance.subnet_id for state in group.instance_states)
    return min(ids, key=lambda each: (taken[each], ids.index(each)))


def _launch(self: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
    """Launch instances one by one over the subnets; a failure is an activity, and is tried again later."""
    launched = []
    reason = NO_TARGET_GROUP if _missing_target_groups(self) else ""
    for _ in range(0 if reason else count_needed):
        try:
            launched.append(_run_one(self, propagated_tags))
        except EC2ClientError as err:
            reason = str(err.message)
            break
    for each in launched:
        _record(self, f"Launching a new EC2 instance: {each}", "Successful")
    if reason:
        _record(self, "Launching a new EC2 instance", "Failed", reason)
        _try_again(self)
    for listener in list(_state.listeners.values()):
        if launched:
            listener.launched(self, launched)
        if reason:
            listener.launch_failed(self, reason)


def _run_one(group: Any, propagated_tags: dict[str, str]) -> str:
    tags = {**propagated_tags, **group.instance_tags, "aws:autoscaling:groupName": group.name}
    template = group.ec2_launch_template
    extra: dict[str, Any] = {}
    if template:
        version = template.get_version(group.launch_template_version)
        extra["launch_template"] = {"LaunchTemplateId": template.id, "Version": version.number}
        extra["metadata_options"] = version.data.get("MetadataOptions") or {}
        if version.data.get("InstanceMarketOptions"):
            extra["instance_market_options"] = version.data["InstanceMarketOptions"]
        if version.data.get("BlockDeviceMappings"):  # else moto puts a root disk of its own beside them
            extra["block_device_mappings"] = version.data["BlockDeviceMappings"]
    subnet_id = _subnet_for_next(group)
    reservation = group.ec2_backend.run_instances(
        group.image_id,
        1,
        group.user_data,
        group.security_groups,
        instance_type=group.instance_type,
        tags={"instance": tags},
        placement=None if subnet_id else min(group.availability_zones),
        region_name=group.region,
        launch_config=group.launch_config,
        is_instance_type_default=False,
        associate_public_ip=group.launch_config.associate_public_ip_address if group.launch_config else None,
        subnet_id=subnet_id,
        **extra,
    )
    instance = reservation.instances[0]
    instance.autoscaling_group = group
    protected = group.new_instances_protected_from_scale_in
    group.instance_states.append(InstanceState(instance, protected_from_scale_in=protected))
    return str(instance.id)


def _try_again(group: Any) -> None:
    if group.name in _state.retrying:
        return
    _state.retrying.add(group.name)

    def retry() -> None:
        _state.retrying.discard(group.name)
        if backend().autoscaling_groups.get(group.name) is group:
            group.set_desired_capacity(group.desired_capacity)

    _later(_RETRY, retry)


# capacity


def _set_desired_capacity(self: Any, new_capacity: int | None) -> None:
    """Launch or terminate until as many instances are in service as are desired."""
    self.desired_capacity = self.min_size if new_capacity is None else new_capacity
    difference = (self.desired_capacity or 0) - len(self.active_instances())
    if difference > 0:
        self.replace_autoscaling_group_instances(difference, self.get_propagated_tags())
    elif difference < 0:
        _terminate(self, _leaving(self, -difference))
    if self.name in self.autoscaling_backend.autoscaling_groups:
        self.autoscaling_backend.update_attached_elbs(self.name)
        self.autoscaling_backend.update_attached_target_groups(self.name)


def _leaving(group: Any, count: int) -> list[Any]:
    """Which instances scale-in takes: from the fullest zone, the oldest first."""
    left = [state for state in group.active_instances() if not state.protected_from_scale_in]
    chosen = []
    for _ in range(min(count, len(left))):
        zones = Counter(state.availability_zone for state in left)
        fullest = max(sorted(zones), key=lambda zone: zones[zone])
        chosen.append(next(state for state in left if state.availability_zone == fullest))
        left.remove(chosen[-1])
    return chosen


def _terminate(group: Any, states: Iterable[Any]) -> None:
    ids = [state.instance.id for state in states]
    if ids:
        group.instance_states = [state for state in group.instance_states if state.instance.id not in ids]
        _left(group, ids)
        group.ec2_backend.terminate_instances(ids)


def terminate_instances(group: Any, instance_ids: Iterable[str]) -> None:
    """End instances of a group and lower its desired capacity by as many."""
    wanted = set(instance_ids)
    states = [state for state in group.instance_states if state.instance.id in wanted]
    group.desired_capacity = max(0, (group.desired_capacity or 0) - len(states))
    _terminate(group, states)


def _left(group: Any, ids: list[str]) -> None:
    """What happens wherever an instance leaves its group: targets, activities, listeners."""
    for arn in group.target_group_arns:
        if arn not in _missing_target_groups(group):
            _elbv2(group).deregister_targets(arn, [{"Id": each} for each in ids])
    for each in ids:
        _record(group, f"Terminating EC2 instance: {each}", "Successful")
    for listener in list(_state.listeners.values()):
        listener.terminated(group, ids)


def _ended_outside(instance_ids: list[str]) -> None:
    """Replace instances that somebody has terminated behind a group's back."""
    for group in list(backend().autoscaling_groups.values()):
        gone = [state.instance.id for state in group.instance_states if state.instance.id in instance_ids]
        if gone:
            group.instance_states = [state for state in group.instance_states if state.instance.id not in gone]
            _left(group, gone)
            _try_again(group)


def _notify_terminate_instances(self: Any, instance_ids: list[str]) -> None:
    """Do nothing: moto replaces at once what EC2 terminates, a group finds out by itself a minute later."""


def _detach_instances(self: Any, group_name: str, instance_ids: list[str], should_decrement: Any) -> list[Any]:
    group = self.autoscaling_groups[group_name]
    states = [state for state in group.instance_states if state.instance.id in instance_ids]
    group.instance_states = [state for state in group.instance_states if state not in states]
    from moto.autoscaling.models import DetachInstanceActivity  # noqa: PLC0415

    activities = [DetachInstanceActivity(state.instance) for state in states]
    _left(group, [state.instance.id for state in states])
    for state in states:
        self.ec2_backend.delete_tags([state.instance.id], {"aws:autoscaling:groupName": group.name})
    if should_decrement:
        group.desired_capacity = (group.desired_capacity or 0) - len(states)
    group.set_desired_capacity(group.desired_capacity)
    return activities


def _update_attached_target_groups(self: Any, group_name: str) -> None:
    """Register the instances in service with every attached target group that still exists."""
    group = self.autoscaling_groups[group_name]
    missing = _missing_target_groups(group)
    targets = [{"Id": state.instance.id} for state in group.active_instances()]
    for arn in group.target_group_arns:
        if arn not in missing and targets:
            _elbv2(group).register_targets(arn, targets)


# traffic sources


def _group(name: str) -> Any:
    group = backend().autoscaling_groups.get(name)
    if group is None:
        raise ApiError("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group


def attach(name: str, arns: list[str]) -> None:
    """Attach target groups: Adding until their targets are registered, then Added."""
    group = _group(name)
    known = {each.arn for each in _elbv2(group).target_groups.values()}
    if any(arn not in known for arn in arns):
        message = "Provided Target Groups may not be valid. Please ensure they exist and try again."
        raise ApiError("ValidationError", message)
    states = _state.attachments.setdefault(name, {})
    for arn in arns:
        if arn not in group.target_group_arns:
            group.target_group_arns.append(arn)
            states[arn] = "Adding"
            _later(_registration_time(), lambda arn=arn: _added(name, arn))
    backend().update_attached_target_groups(name)


def _registration_time() -> float:
    assert _state.cloud is not None  # noqa: S101 - as above
    return _state.cloud.latency.seconds("elbv2:TargetRegistration")


def _added(name: str, arn: str) -> None:
    if _state.attachments.get(name, {}).get(arn) == "Adding":
        _state.attachments[name][arn] = "Added"


def detach(name: str, arns: list[str]) -> None:
    """Detach target groups; their targets are deregistered, and they show as Removing for a while."""
    group = _group(name)
    if any(arn not in group.target_group_arns for arn in arns):
        raise ApiError("ValidationError", "Trying to remove Target Groups that are not part of the group")
    missing = _missing_target_groups(group)
    states = _state.attachments.setdefault(name, {})
    targets = [{"Id": state.instance.id} for state in group.instance_states]
    for arn in arns:
        group.target_group_arns.remove(arn)
        if arn not in missing and targets:
            _elbv2(group).deregister_targets(arn, targets)
        states[arn] = "Removing"
        _later(_DETACH, lambda arn=arn: _removed(name, arn))


def _removed(name: str, arn: str) -> None:
    if _state.attachments.get(name, {}).get(arn) == "Removing":
        del _state.attachments[name][arn]


def states_of(name: str) -> dict[str, str]:
    """Target group ARN → Adding, Added or Removing."""
    group = _group(name)
    attached = dict.fromkeys(group.target_group_arns, "Added")
    return {**attached, **_state.attachments.get(name, {})}


def _source_arns(parameters: Any) -> list[str]:
    sources = parameters.get("TrafficSources") or []
    kinds = {each.get("Type", "elbv2") for each in sources}
    if kinds - {"elbv2"}:
        raise ApiError("ValidationError", f"Traffic sources of type {sorted(kinds)} are not part of the local cloud")
    return [each["Identifier"] for each in sources]


def _delete_group(call: pipeline.Call) -> None:
    """DeleteAutoScalingGroup: one with instances goes only by ForceDelete."""
    name = call.parameters["AutoScalingGroupName"]
    group = backend().autoscaling_groups.get(name)
    if group is not None and group.instance_states and not call.parameters.get("ForceDelete"):
        message = (
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
            "still in the group."
        )
        raise ApiError("ResourceInUse", message)
    backend().delete_auto_scaling_group(name)


def _register_operations() -> None:
    api = "autoscaling"
    pipeline.operation(api, "DeleteAutoScalingGroup")(_delete_group)

    @pipeline.operation(api, "AttachTrafficSources")
    def _attach_sources(call: pipeline.Call) -> dict[str, Any]:
        attach(call.parameters["AutoScalingGroupName"], _source_arns(call.parameters))
        return {}

    @pipeline.operation(api, "DetachTrafficSources")
    def _detach_sources(call: pipeline.Call) -> dict[str, Any]:
        detach(call.parameters["AutoScalingGroupName"], _source_arns(call.parameters))
        return {}

    @pipeline.operation(api, "DescribeTrafficSources")
    def _describe_sources(call: pipeline.Call) -> dict[str, Any]:
        states = states_of(call.parameters["AutoScalingGroupName"])
        kind = call.parameters.get("TrafficSourceType", "elbv2")
        sources = [{"Identifier": arn, "State": state, "Type": "elbv2"} for arn, state in states.items()]
        return {"TrafficSources": sources if kind == "elbv2" else []}

    @pipeline.operation(api, "AttachLoadBalancerTargetGroups")
    def _attach_groups(call: pipeline.Call) -> dict[str, Any]:
        attach(call.parameters["AutoScalingGroupName"], list(call.parameters.get("TargetGroupARNs") or []))
        return {}

    @pipeline.operation(api, "DetachLoadBalancerTargetGroups")
    def _detach_groups(call: pipeline.Call) -> dict[str, Any]:
        detach(call.parameters["AutoScalingGroupName"], list(call.parameters.get("TargetGroupARNs") or []))
        return {}

    @pipeline.operation(api, "DescribeLoadBalancerTargetGroups")
    def _describe_groups(call: pipeline.Call) -> dict[str, Any]:
        states = states_of(call.parameters["AutoScalingGroupName"])
        groups = [{"LoadBalancerTargetGroupARN": arn, "State": state} for arn, state in states.items()]
        return {"LoadBalancerTargetGroups": groups}

    @pipeline.operation(api, "DescribeScalingActivities")
    def _describe_activities(call: pipeline.Call) -> dict[str, Any]:
        name = call.parameters.get("AutoScalingGroupName")
        found = [each for group, made in _state.activities.items() if not name or group == name for each in made]
        return {"Activities": found[: int(call.parameters.get("MaxRecords") or 100)]}


def install(cloud: Cloud) -> None:
    """Mend moto's autoscaling for `cloud`."""
    close(cloud)
    _state.cloud = cloud
    _mending.replace(
        FakeAutoScalingGroup,
        replace_autoscaling_group_instances=_launch,
        set_desired_capacity=_set_desired_capacity,
    )
    _mending.replace(
        AutoScalingBackend,
        notify_terminate_instances=_notify_terminate_instances,
        detach_instances=_detach_instances,
        update_attached_target_groups=_update_attached_target_groups,
    )
    ec2.on_termination(_ended_outside)
    _register_operations()


def reset(_cloud: Cloud) -> None:
    """Forget attachments and activities; moto's own reset drops the groups."""
    _state.forget()


def close(_cloud: Cloud) -> None:
    """Give moto its own methods back. Idempotent."""
    _mending.undo()
    _state.forget()
    _state.listeners.clear()
    _state.cloud = None
