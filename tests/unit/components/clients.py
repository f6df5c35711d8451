"""In-memory stand-ins for boto3's clients, as far as the components at the edge call them, and ways to disturb them.

They stand under the real adapters, so that these are tested along. Each keeps its whole state in `state`.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from springboard.aws.acm import Acm
from springboard.aws.cloudwatch import CloudWatch
from springboard.aws.ec2 import Ec2
from springboard.aws.elb import Elb
from springboard.aws.route53 import Route53
from springboard.aws.scheduler import Scheduler
from springboard.components.contract import Outcome, Ready
from springboard.components.reconcile import reconcile
from springboard.components.table import BY_NAME
from springboard.flow.step import Task, condition_of
from springboard.record import Environment, Lock
from tests.unit.components.records import ACCOUNT, NOW, SITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from springboard.components.contract import Component
    from springboard.runtime import World

_READS = ("describe_", "list_", "get_")


class Killed(BaseException):
    """The function ended in the middle, as at its time-out."""


def refusal(code: str, operation: str = "Operation", status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "said AWS"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


class Client:
    """What all have: pages, a log of changes, and the calls to be killed after or refused at."""

    def __init__(self) -> None:
        self.state: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.kill_after = 0  # the n-th change has taken effect, and nothing comes after it
        self.refuse: dict[str, str] = {}  # operation → error code

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name.startswith("_") or name in {"get_paginator", "certificate"} or not callable(found):
            return found
        return lambda **parameters: self._called(name, found, copy.deepcopy(parameters))

    def _called(self, name: str, operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        self.calls.append(name)
        if name in self.refuse:
            raise refusal(self.refuse[name], name)
        answer = copy.deepcopy(operation(**parameters))
        if not name.startswith(_READS) and self.kill_after:
            self.kill_after -= 1
            if not self.kill_after:
                raise Killed
        return answer

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **parameters: [getattr(self, operation)(**parameters)])

    @property
    def changes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith(_READS)]


class SchedulerClient(Client):
    def get_schedule(self, GroupName: str, Name: str) -> Any:  # noqa: N803
        if (GroupName, Name) != (SITE.schedule_group, Name) or Name not in self.state:
            raise refusal("ResourceNotFoundException")
        return {"Name": Name, **self.state[Name]}

    def create_schedule(self, GroupName: str, Name: str, **settings: Any) -> Any:  # noqa: N803
        if Name in self.state:
            raise refusal("ConflictException")
        self.state[Name] = {"GroupName": GroupName, **settings}
        return {}

    def update_schedule(self, GroupName: str, Name: str, **settings: Any) -> Any:  # noqa: N803
        self.state[Name] = {"GroupName": GroupName, **settings}
        return {}

    def delete_schedule(self, GroupName: str, Name: str) -> Any:  # noqa: ARG002, N803
        if self.state.pop(Name, None) is None:
            raise refusal("ResourceNotFoundException")
        return {}


_EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


class Ec2Client(Client):
    def __init__(self) -> None:
        super().__init__()
        self.interfaces: list[str] = []  # ids of groups in use

    def describe_security_groups(self, Filters: list[dict[str, Any]]) -> Any:  # noqa: N803
        return {"SecurityGroups": [group for group in self.state.values() if _matches(group, Filters)]}

    def create_security_group(self, GroupName: str, TagSpecifications: Any, **settings: Any) -> Any:  # noqa: N803
        if any(group["GroupName"] == GroupName for group in self.state.values()):
            raise refusal("InvalidGroup.Duplicate")
        group_id = f"sg-{GroupName}"
        self.state[group_id] = {
            **settings,
            "GroupId": group_id,
            "GroupName": GroupName,
            "Tags": TagSpecifications[0]["Tags"],
            "IpPermissions": [],
            "IpPermissionsEgress": [_EVERYTHING],
        }
        return {"GroupId": group_id}

    def authorize_security_group_ingress(self, GroupId: str, IpPermissions: Any) -> Any:  # noqa: N803
        return self._authorize("IpPermissions", GroupId, IpPermissions)

    def authorize_security_group_egress(self, GroupId: str, IpPermissions: Any) -> Any:  # noqa: N803
        return self._authorize("IpPermissionsEgress", GroupId, IpPermissions)

    def revoke_security_group_ingress(self, GroupId: str, IpPermissions: Any) -> Any:  # noqa: N803
        return self._revoke("IpPermissions", GroupId, IpPermissions)

    def revoke_security_group_egress(self, GroupId: str, IpPermissions: Any) -> Any:  # noqa: N803
        return self._revoke("IpPermissionsEgress", GroupId, IpPermissions)

    def _authorize(self, direction: str, group_id: str, permissions: list[Any]) -> Any:
        if permissions[0] in self.state[group_id][direction]:
            raise refusal("InvalidPermission.Duplicate")
        self.state[group_id][direction] = sorted([*self.state[group_id][direction], *permissions], key=str)
        return {}

    def _revoke(self, direction: str, group_id: str, permissions: list[Any]) -> Any:
        if permissions[0] not in self.state[group_id][direction]:
            raise refusal("InvalidPermission.NotFound")
        self.state[group_id][direction].remove(permissions[0])
        return {}

    def delete_security_group(self, GroupId: str) -> Any:  # noqa: N803
        if GroupId not in self.state:
            raise refusal("InvalidGroup.NotFound")
        others = [group for each, group in self.state.items() if each != GroupId]
        if GroupId in self.interfaces or any(GroupId in _referred(group, "IpPermissions") for group in others):
            raise refusal("DependencyViolation")
        del self.state[GroupId]
        return {}

    def describe_network_interfaces(self, Filters: Any) -> Any:  # noqa: N803
        used = [each for each in self.interfaces if each in Filters[0]["Values"]]
        return {
            "NetworkInterfaces": [{"Description": "ELB app/x", "NetworkInterfaceId": f"eni-{each}"} for each in used]
        }


def _referred(group: dict[str, Any], direction: str) -> list[str]:
    return [pair["GroupId"] for each in group[direction] for pair in each.get("UserIdGroupPairs", ())]


def _matches(group: dict[str, Any], filters: list[dict[str, Any]]) -> bool:
    values = {
        "group-name": [group["GroupName"]],
        "vpc-id": [group["VpcId"]],
        "ip-permission.group-id": _referred(group, "IpPermissions"),
        "egress.ip-permission.group-id": _referred(group, "IpPermissionsEgress"),
    }
    return all(set(values[each["Name"]]) & set(each["Values"]) for each in filters)


class ElbClient(Client):
    """Target groups, load balancers, listeners and rules in one dict by ARN."""

    def _kind(self, kind: str) -> list[dict[str, Any]]:
        return [thing for arn, thing in self.state.items() if f":{kind}/" in arn]

    def _get(self, arn: str, code: str) -> dict[str, Any]:
        if arn not in self.state:
            raise refusal(code)
        return self.state[arn]

    def describe_target_groups(self, Names: list[str] | None = None) -> Any:  # noqa: N803
        found = [each for each in self._kind("targetgroup") if not Names or each["TargetGroupName"] in Names]
        if Names and not found:
            raise refusal("TargetGroupNotFound")
        return {"TargetGroups": [{**each, "LoadBalancerArns": self._balancers(each)} for each in found]}

    def _balancers(self, group: dict[str, Any]) -> list[str]:
        rules = [rule for rule in self._kind("listener-rule") if group["TargetGroupArn"] in str(rule["Actions"])]
        return sorted({rule["LoadBalancerArn"] for rule in rules})

    def create_target_group(self, Name: str, Tags: Any, **settings: Any) -> Any:  # noqa: N803
        arn = f"arn:aws:elasticloadbalancing:eu-west-1:{ACCOUNT}:targetgroup/{Name}/0123456789abcdef"
        if arn in self.state:
            raise refusal("DuplicateTargetGroupName")
        self.state[arn] = {"TargetGroupArn": arn, "TargetGroupName": Name, "Tags": Tags, "Attributes": {}, **settings}
        return {"TargetGroups": [self.state[arn]]}

    def modify_target_group(self, TargetGroupArn: str, **settings: Any) -> Any:  # noqa: N803
        self._get(TargetGroupArn, "TargetGroupNotFound").update(settings)
        return {}

    def modify_target_group_attributes(self, TargetGroupArn: str, Attributes: Any) -> Any:  # noqa: N803
        found = self._get(TargetGroupArn, "TargetGroupNotFound")
        found["Attributes"] |= {each["Key"]: each["Value"] for each in Attributes}
        return {}

    def describe_target_group_attributes(self, TargetGroupArn: str) -> Any:  # noqa: N803
        return _attributes(self._get(TargetGroupArn, "TargetGroupNotFound"))

    def delete_target_group(self, TargetGroupArn: str) -> Any:  # noqa: N803
        if self._balancers(self._get(TargetGroupArn, "TargetGroupNotFound")):
            raise refusal("ResourceInUse")
        del self.state[TargetGroupArn]
        return {}

    def describe_tags(self, ResourceArns: list[str]) -> Any:  # noqa: N803
        if not 0 < len(ResourceArns) <= 20:
            raise refusal("ValidationError")
        found = [self._get(arn, "TargetGroupNotFound") for arn in ResourceArns]
        return {
            "TagDescriptions": [{"ResourceArn": a, "Tags": f["Tags"]} for a, f in zip(ResourceArns, found, strict=True)]
        }

    def describe_load_balancers(self, Names: list[str]) -> Any:  # noqa: N803
        found = [each for each in self._kind("loadbalancer") if each["LoadBalancerName"] in Names]
        if not found:
            raise refusal("LoadBalancerNotFound")
        return {"LoadBalancers": found}

    def create_load_balancer(self, Name: str, Tags: Any, **settings: Any) -> Any:  # noqa: N803
        arn = f"arn:aws:elasticloadbalancing:eu-west-1:{ACCOUNT}:loadbalancer/app/{Name}/0123456789abcdef"
        if arn in self.state:
            raise refusal("DuplicateLoadBalancerName")
        self.state[arn] = {
            "LoadBalancerArn": arn,
            "LoadBalancerName": Name,
            "DNSName": f"{Name}-1.eu-west-1.elb.amazonaws.com",
            "CanonicalHostedZoneId": "Z32O12XQLNTSW2",
            "State": {"Code": "provisioning"},
            "Tags": Tags,
            "Attributes": {},
            **settings,
        }
        return {"LoadBalancers": [self.state[arn]]}

    def describe_load_balancer_attributes(self, LoadBalancerArn: str) -> Any:  # noqa: N803
        return _attributes(self._get(LoadBalancerArn, "LoadBalancerNotFound"))

    def modify_load_balancer_attributes(self, LoadBalancerArn: str, Attributes: Any) -> Any:  # noqa: N803
        found = self._get(LoadBalancerArn, "LoadBalancerNotFound")
        found["Attributes"] |= {each["Key"]: each["Value"] for each in Attributes}
        return {}

    def set_security_groups(self, LoadBalancerArn: str, SecurityGroups: list[str]) -> Any:  # noqa: N803
        self._get(LoadBalancerArn, "LoadBalancerNotFound")["SecurityGroups"] = SecurityGroups
        return {}

    def delete_load_balancer(self, LoadBalancerArn: str) -> Any:  # noqa: N803
        for arn, thing in list(self.state.items()):
            if thing.get("LoadBalancerArn") == LoadBalancerArn:
                del self.state[arn]
        return {}

    def describe_listeners(self, LoadBalancerArn: str) -> Any:  # noqa: N803
        return {"Listeners": [each for each in self._kind("listener") if each["LoadBalancerArn"] == LoadBalancerArn]}

    def create_listener(self, LoadBalancerArn: str, Port: int, **settings: Any) -> Any:  # noqa: N803
        arn = f"arn:aws:elasticloadbalancing:eu-west-1:{ACCOUNT}:listener/app/x/0123456789abcdef/{Port}"
        if arn in self.state:
            raise refusal("DuplicateListener")
        self.state[arn] = {"ListenerArn": arn, "LoadBalancerArn": LoadBalancerArn, "Port": Port, **settings}
        return {"Listeners": [self.state[arn]]}

    def modify_listener(self, ListenerArn: str, **settings: Any) -> Any:  # noqa: N803
        self._get(ListenerArn, "ListenerNotFound").update(settings)
        return {}

    def describe_rules(self, ListenerArn: str) -> Any:  # noqa: N803
        rules = [each for each in self._kind("listener-rule") if each["ListenerArn"] == ListenerArn]
        return {"Rules": [{**each, "Priority": str(each["Priority"])} for each in rules] + [{"IsDefault": True}]}

    def create_rule(self, ListenerArn: str, Priority: int, **settings: Any) -> Any:  # noqa: N803
        arn = f"{ListenerArn.replace(':listener/', ':listener-rule/')}/{Priority}"
        if arn in self.state:
            raise refusal("PriorityInUse")
        balancer = self._get(ListenerArn, "ListenerNotFound")["LoadBalancerArn"]
        self.state[arn] = {
            "RuleArn": arn,
            "ListenerArn": ListenerArn,
            "LoadBalancerArn": balancer,
            "Priority": Priority,
            **settings,
        }
        return {"Rules": [self.state[arn]]}

    def modify_rule(self, RuleArn: str, **settings: Any) -> Any:  # noqa: N803
        self._get(RuleArn, "RuleNotFound").update(settings)
        return {}

    def delete_rule(self, RuleArn: str) -> Any:  # noqa: N803
        self._get(RuleArn, "RuleNotFound")
        del self.state[RuleArn]
        return {}


def _attributes(thing: dict[str, Any]) -> Any:
    return {"Attributes": [{"Key": key, "Value": value} for key, value in thing["Attributes"].items()]}


class AcmClient(Client):
    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, str] = {}
        self.made = 0
        self.unlisted: set[str] = set()  # ARNs that the listing does not tell yet

    def certificate(self, *hosts: str, tags: dict[str, str] | None = None, status: str = "PENDING_VALIDATION") -> str:
        """One more; what it wants proven is the same for each certificate of a host."""
        arn = f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/{self.made:04d}"
        self.made += 1
        self.state[arn] = {
            "CertificateArn": arn,
            "DomainName": hosts[0],
            "SubjectAlternativeNames": list(hosts),
            "Status": status,
            "DomainValidationOptions": [{"DomainName": host, "ResourceRecord": validation(host)} for host in hosts],
            "InUseBy": [],
            "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        }
        return arn

    def list_certificates(self, CertificateStatuses: list[str]) -> Any:  # noqa: N803
        listed = [each for arn, each in self.state.items() if arn not in self.unlisted]
        found = [each for each in listed if each["Status"] in CertificateStatuses]
        summaries = [{**each, "SubjectAlternativeNameSummaries": each["SubjectAlternativeNames"]} for each in found]
        return {"CertificateSummaryList": summaries}

    def describe_certificate(self, CertificateArn: str) -> Any:  # noqa: N803
        if CertificateArn not in self.state:
            raise refusal("ResourceNotFoundException")
        return {"Certificate": self.state[CertificateArn]}

    def list_tags_for_certificate(self, CertificateArn: str) -> Any:  # noqa: N803
        return {"Tags": self.state[CertificateArn]["Tags"]}

    def request_certificate(self, DomainName: str, IdempotencyToken: str, Tags: Any, **settings: Any) -> Any:  # noqa: N803
        if IdempotencyToken not in self.tokens:
            hosts = (DomainName, *settings.get("SubjectAlternativeNames", ()))
            tags = {tag["Key"]: tag["Value"] for tag in Tags}
            self.tokens[IdempotencyToken] = self.certificate(*dict.fromkeys(hosts), tags=tags)
        return {"CertificateArn": self.tokens[IdempotencyToken]}

    def delete_certificate(self, CertificateArn: str) -> Any:  # noqa: N803
        if CertificateArn not in self.state:
            raise refusal("ResourceNotFoundException")
        if self.state[CertificateArn]["InUseBy"]:
            raise refusal("ResourceInUseException")
        del self.state[CertificateArn]
        return {}


def validation(host: str) -> dict[str, str]:
    bare = host.removeprefix("*.")
    return {"Name": f"_proof.{bare}.", "Type": "CNAME", "Value": f"_{bare.replace('.', '-')}.acm-validations.aws."}


class Route53Client(Client):
    """Records by "name type"."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = False

    def list_resource_record_sets(self, StartRecordName: str, StartRecordType: str = "", **_: Any) -> Any:  # noqa: N803
        wanted = f"{StartRecordName.rstrip('.')} {StartRecordType}"
        found = [self.state[key] for key in sorted(self.state) if key.startswith(wanted)]
        return {"ResourceRecordSets": found}

    def change_resource_record_sets(self, HostedZoneId: str, ChangeBatch: Any) -> Any:  # noqa: ARG002, N803
        (change,) = ChangeBatch["Changes"]
        record = change["ResourceRecordSet"]
        record = {**record, "Name": record["Name"].rstrip(".") + "."}
        key = f"{record['Name'].rstrip('.')} {record['Type']}"
        if change["Action"] == "DELETE":
            if self.state.get(key) != record:
                raise refusal("InvalidChangeBatch")
            del self.state[key]
        elif change["Action"] == "CREATE" and key in self.state:
            raise refusal("InvalidChangeBatch")
        else:
            self.state[key] = record
        return {"ChangeInfo": {"Id": "/change/C1"}}

    def get_change(self, Id: str) -> Any:  # noqa: ARG002, N803
        return {"ChangeInfo": {"Status": "PENDING" if self.pending else "INSYNC"}}


class CloudWatchClient(Client):
    """Alarms and dashboards by name."""

    def describe_alarms(self, AlarmNamePrefix: str) -> Any:  # noqa: N803
        return {
            "MetricAlarms": [found for name, found in self.state.items() if name.startswith(f"alarm {AlarmNamePrefix}")]
        }

    def put_metric_alarm(self, AlarmName: str, **settings: Any) -> Any:  # noqa: N803
        self.state[f"alarm {AlarmName}"] = {"AlarmName": AlarmName, **settings}
        return {}

    def delete_alarms(self, AlarmNames: list[str]) -> Any:  # noqa: N803
        for name in AlarmNames:
            if self.state.pop(f"alarm {name}", None) is None:
                raise refusal("ResourceNotFound")
        return {}

    def get_dashboard(self, DashboardName: str) -> Any:  # noqa: N803
        if f"dashboard {DashboardName}" not in self.state:
            raise refusal("ResourceNotFound", status=404)
        return {"DashboardBody": self.state[f"dashboard {DashboardName}"]["body"]}

    def put_dashboard(self, DashboardName: str, DashboardBody: str) -> Any:  # noqa: N803
        self.state[f"dashboard {DashboardName}"] = {"body": DashboardBody}
        return {}

    def delete_dashboards(self, DashboardNames: list[str]) -> Any:  # noqa: N803
        if self.state.pop(f"dashboard {DashboardNames[0]}", None) is None:
            raise refusal("DashboardNotFoundError", status=404)
        return {}


class Aws:
    """One account, the world over it, and runs of components as an operation makes them."""

    def __init__(self) -> None:
        self.scheduler = SchedulerClient()
        self.ec2 = Ec2Client()
        self.elb = ElbClient()
        self.acm = AcmClient()
        self.route53 = Route53Client()
        self.cloudwatch = CloudWatchClient()
        adapters = {
            "scheduler": Scheduler(self.scheduler),
            "ec2": Ec2(self.ec2),
            "elb": Elb(self.elb),
            "acm": Acm(self.acm),
            "route53": Route53(self.route53),
            "cloudwatch": CloudWatch(self.cloudwatch),
        }
        self.world = cast("World", SimpleNamespace(site=SITE, **adapters))

    @property
    def clients(self) -> tuple[Client, ...]:
        return (self.scheduler, self.ec2, self.elb, self.acm, self.route53, self.cloudwatch)

    def state(self) -> list[dict[str, Any]]:
        return copy.deepcopy([client.state for client in self.clients])

    def changes(self) -> list[str]:
        return [change for client in self.clients for change in client.changes]

    def forget(self) -> None:
        for client in self.clients:
            client.calls.clear()

    def run(self, component: Component, record: Environment, *, removal: bool = False) -> tuple[Environment, Outcome]:
        """One step: the record as it is afterwards, with facts and condition, and what came of it."""
        row = BY_NAME[getattr(component, "__name__").rpartition(".")[2]]  # noqa: B009 - a module, seen as a Protocol
        outcome = reconcile(component, row, self.world, record, NOW, removal=removal)
        condition = condition_of(row, outcome, record, Task(record.uid, "op1", record.generation, NOW, removal))
        record = record.with_facts(row.name, outcome.learned)
        return replace(record, conditions={**record.conditions, row.condition: condition}), outcome

    def runs(
        self, component: Component, record: Environment, *, removal: bool = False
    ) -> Iterator[tuple[Environment, Outcome]]:
        """Step after step until it is ready; twenty are too many."""
        for _ in range(20):
            record, outcome = self.run(component, record, removal=removal)
            yield record, outcome
            if isinstance(outcome.verdict, Ready):
                return
        raise AssertionError(f"never ready: {outcome.verdict}")

    def until_ready(self, component: Component, record: Environment, *, removal: bool = False) -> Environment:
        return list(self.runs(component, record, removal=removal))[-1][0]


def locked(record: Environment, operation: str = "op1") -> Environment:
    """The record while that operation holds the lock."""
    return replace(record, lock=Lock(operation, NOW))


def survives_every_kill(
    make: Callable[[], Aws], component: Component, record: Environment, *, removal: bool = False
) -> int:
    """Killed after each change in turn and run again, it ends as the undisturbed one; answers how many kills."""
    undisturbed = make()
    undisturbed.until_ready(component, record, removal=removal)
    which = [number for number, client in enumerate(undisturbed.clients) if client.changes]
    kills = 0
    for number in which:
        for after in range(1, len(undisturbed.clients[number].changes) + 1):
            aws = make()
            aws.clients[number].calls.clear()
            aws.clients[number].kill_after = after
            present = record
            try:
                present = aws.until_ready(component, record, removal=removal)
            except Killed:
                kills += 1
                present = aws.until_ready(component, record, removal=removal)
            assert aws.state() == undisturbed.state(), f"killed after change {after} of {which}"
            aws.forget()
            aws.until_ready(component, present, removal=removal)
            assert not aws.changes()
    return kills
