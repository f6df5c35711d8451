"""doctor: what could keep Springboard from working, each with its remedy."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from springboard_cli import health, session, times
from springboard_cli.aws import AwsRefusedError
from springboard_cli.commands import options  # noqa: TC001 - Typer reads annotations at run time
from springboard_cli.errors import CommandError
from springboard_cli.health import Finding
from springboard_cli.surroundings import installed_version
from springboard_cli.terminal import Format, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from springboard_cli.session import Session


def doctor(context: typer.Context, *, output: options.Output = Format.TABLE) -> None:
    """Check credentials, the stack and each of its parts, hosted zone, quotas, programs; exit code 1 if one fails."""
    here = session.of(context)
    plain = output not in {Format.JSON, Format.YAML}
    found: list[dict[str, str]] = []
    for title, check in _CHECKS:
        for finding in _guarded(here, check):
            told = any(each["what"] == finding.what and each["remedy"] == finding.remedy for each in found)
            found.append({"check": title, **asdict(finding)})
            if plain:
                here.terminal.table((), [(f"{finding.state:<4}", f"{title:<11}", finding.what)])
            if plain and finding.remedy and not told:  # a stack that is not there stops many checks for one reason
                here.terminal.data(f"       {finding.remedy}")
    if not plain:
        here.terminal.document({"findings": found}, output)
    if any(each["state"] == "fail" for each in found):
        raise typer.Exit(1)


def _guarded(here: Session, check: Callable[[Session], Iterator[Finding]]) -> Iterator[Finding]:
    """A check's findings; what may not be read is told as that, and is no failure of Springboard."""
    try:
        yield from check(here)
    except AwsRefusedError as err:
        if err.denied:
            yield Finding("warn", f"not allowed to look: {err.message}", err.remedy)
        else:
            yield Finding("fail", err.message, err.remedy)
    except CommandError as err:
        yield Finding("fail", err.message, err.remedy)


def _credentials(here: Session) -> Iterator[Finding]:
    caller = here.account.call("sts", "get_caller_identity")
    yield Finding("ok", f"{caller['Arn']} in {here.account.region}")


def _stack(here: Session) -> Iterator[Finding]:
    yield health.stack(here.stack.name, here.stack.status)
    yield health.versions(installed_version(), here.stack.outputs.get("Version", ""))


def _api(here: Session) -> Iterator[Finding]:
    offered = here.api.get("/versions").document["items"]
    default = next((each["version"] for each in offered if each.get("default")), "none")
    yield Finding("ok", f"{here.api.url} answers; new clusters get Kubernetes {default}")
    yield Finding("ok", f"you see {counted(len(here.api.environments()), 'environment')}")


def _alarms(here: Session) -> Iterator[Finding]:
    prefix = here.stack.prefix
    found = list(here.account.items("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{prefix}-"))
    yield from health.alarms(prefix, found)
    known = {alarm["AlarmName"]: alarm for alarm in found}
    names = _parts(here, "AWS::CloudWatch::Alarm")
    problems = _judged(names, "the alarm", known.get, health.silence)
    yield from _all_sound(
        len(names), "alarm tells the topic when it rings", "alarms tell the topic when they ring", problems
    )


# The stack's parts


def _parts(here: Session, kind: str) -> list[str]:
    """The physical ids of the stack's resources of a type."""
    return [each["PhysicalResourceId"] for each in here.resources if each["ResourceType"] == kind]


def _all_sound(count: int, one: str, many: str, problems: Iterable[Finding]) -> Iterator[Finding]:
    """The problems, or that there are none."""
    found = list(problems)
    yield from found or [Finding("ok", counted(count, one, many))]


def _judged(
    names: Iterable[str],
    kind: str,
    look: Callable[[str], Any],
    judge: Callable[[str, Any], Iterator[Finding]],
) -> Iterator[Finding]:
    """What is wrong with some parts of a kind; None for an answer is a part that is gone."""
    for name in names:
        answer = look(name)
        if answer is None:
            yield health.gone(f"{kind} {name.rpartition(':')[2]}")
        else:
            yield from judge(name, answer)


def _looked_at(here: Session, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:  # noqa: ANN401 - AWS's
    """What AWS says of one part; None where it is gone."""
    return _unless_gone(lambda: here.account.call(service, operation, **parameters))


def _unless_gone[Answer](look: Callable[[], Answer]) -> Answer | None:
    try:
        return look()
    except AwsRefusedError as err:
        if err.missing:
            return None
        raise


def _functions(here: Session) -> Iterator[Finding]:
    names = _parts(here, "AWS::Lambda::Function")
    problems = _judged(
        names,
        "the function",
        lambda name: _looked_at(here, "lambda", "get_function", FunctionName=name),
        health.function,
    )
    yield from _all_sound(len(names), "function is active", "functions are active", problems)


def _machines(here: Session) -> Iterator[Finding]:
    arns = _parts(here, "AWS::StepFunctions::StateMachine")
    problems = _judged(
        arns,
        "the state machine",
        lambda arn: _looked_at(here, "stepfunctions", "describe_state_machine", stateMachineArn=arn),
        lambda arn, answer: health.machine(arn.rpartition(":")[2], answer["status"]),
    )
    yield from _all_sound(len(arns), "state machine is active", "state machines are active", problems)


def _triggers(here: Session) -> Iterator[Finding]:
    """What calls functions without anybody asking: rules, the table's stream, schedules."""
    names = [each.rpartition("|")[2] for each in _parts(here, "AWS::Events::Rule")]
    rules = _judged(
        names,
        "the rule",
        lambda name: _looked_at(here, "events", "describe_rule", Name=name),
        lambda name, answer: health.rule(name, answer["State"]),
    )
    yield from _all_sound(len(names), "rule is enabled", "rules are enabled", rules)
    mappings = _parts(here, "AWS::Lambda::EventSourceMapping")
    streams = _judged(
        mappings,
        "the event source mapping that publishes events,",
        lambda each: _looked_at(here, "lambda", "get_event_source_mapping", UUID=each),
        lambda _, answer: health.mapping(answer),
    )
    yield from _all_sound(len(mappings), "stream is read", "streams are read", streams)
    one, many = "schedule of environments is enabled", "schedules of environments are enabled"
    yield from _judged(
        _parts(here, "AWS::Scheduler::ScheduleGroup"),
        "the schedule group",
        lambda group: _schedules(here, group),
        lambda group, found: _all_sound(len(found), one, many, health.schedules(group, found)),
    )


def _schedules(here: Session, group: str) -> list[dict[str, Any]] | None:
    """The schedules of a group; None where it is gone."""
    return _unless_gone(lambda: list(here.account.items("scheduler", "list_schedules", "Schedules", GroupName=group)))


def _environments(here: Session) -> Iterator[Finding]:
    """Those that the caller sees: what should come about by itself, and whether anything brings it about."""
    documents = here.api.environments()
    names = [
        str(each["Name"])
        for group in _parts(here, "AWS::Scheduler::ScheduleGroup")
        for each in _schedules(here, group) or ()
    ]
    now = here.now()
    problems = (finding for each in documents for finding in health.environment(each, here.stack.prefix, names, now))
    one, many = "environment that you see is looked after", "environments that you see are looked after"
    yield from _all_sound(len(documents), one, many, problems)


def _topic(here: Session) -> Iterator[Finding]:
    """Who is told."""
    yield from _judged(
        _parts(here, "AWS::SNS::Topic"),
        "the topic",
        lambda topic: _looked_at(here, "sns", "get_topic_attributes", TopicArn=topic),
        lambda topic, _answer: _listeners(here, topic),
    )


def _listeners(here: Session, topic: str) -> Iterator[Finding]:
    found = list(here.account.items("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic))
    arns = [each["SubscriptionArn"] for each in found if each["SubscriptionArn"].startswith("arn:")]
    attributes = [
        here.account.call("sns", "get_subscription_attributes", SubscriptionArn=arn)["Attributes"] for arn in arns
    ]
    filtered = sum(bool(each.get("FilterPolicy")) for each in attributes)
    yield health.listeners(topic, len(arns) - filtered, filtered, len(found) - len(arns))


def _bus(here: Session) -> Iterator[Finding]:
    """EventBridge takes events for a bus that is gone, and tells nobody."""
    names = _parts(here, "AWS::Events::EventBus")
    problems = _judged(
        names,
        "the event bus",
        lambda name: _looked_at(here, "events", "describe_event_bus", Name=name),
        lambda _name, _answer: iter(()),
    )
    yield from _all_sound(len(names), "event bus is there", "event buses are there", problems)


def _logs(here: Session) -> Iterator[Finding]:
    """No function may make its log group anew: without one its lines are lost."""

    def look(name: str) -> dict[str, Any] | None:
        groups = here.account.call("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"]
        return next((each for each in groups if each["logGroupName"] == name), None)

    names = _parts(here, "AWS::Logs::LogGroup")
    problems = _judged(names, "the log group", look, lambda _name, _answer: iter(()))
    yield from _all_sound(len(names), "log group is there", "log groups are there", problems)


def _record(here: Session) -> Iterator[Finding]:
    for name in _parts(here, "AWS::DynamoDB::Table"):
        answer = _looked_at(here, "dynamodb", "describe_table", TableName=name)
        if answer is None:
            yield Finding("fail", f"the table {name} is gone", "restore it: docs/guide/operating.md#the-record")
        else:
            yield health.record(name, answer["Table"]["TableStatus"])


def _letters(here: Session) -> Iterator[Finding]:
    for url in _parts(here, "AWS::SQS::Queue"):
        asked = {"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"]}
        answer = _looked_at(here, "sqs", "get_queue_attributes", **asked)
        if answer is None:
            yield health.gone(f"the queue {url.rpartition('/')[2]}")
        else:
            yield health.letters(int(answer["Attributes"]["ApproximateNumberOfMessages"]))


def _locks(here: Session) -> Iterator[Finding]:
    """Locks that hold although nothing works under them."""
    locks = list(
        here.account.items(
            "dynamodb",
            "query",
            "Items",
            TableName=here.stack.outputs["TableName"],
            IndexName="locks",
            KeyConditionExpression="locked = :locked",
            ExpressionAttributeValues={":locked": {"S": "yes"}},
        )
    )
    now = here.now()
    problems = (
        finding
        for item in locks
        for operation in [item["lock"]["M"]["operation"]["S"]]
        for finding in health.lock(
            item["uid"]["S"], operation, times.moment(item["lockedSince"]["S"]), now, _execution(here, operation)
        )
    )
    one, many = "environment is being worked on", "environments are being worked on"
    yield from _all_sound(len(locks), f"{one}, no lock is stale", f"{many}, no lock is stale", problems)


def _execution(here: Session, operation: str) -> str:
    """The status of an operation's execution; "" if none has begun."""
    for output in ("ProvisionMachineArn", "TeardownMachineArn"):
        arn = here.stack.outputs[output].replace(":stateMachine:", ":execution:")
        try:
            answer = here.account.call("stepfunctions", "describe_execution", executionArn=f"{arn}:{operation}")
        except AwsRefusedError as err:
            if err.aws_code != "ExecutionDoesNotExist":
                raise
        else:
            return str(answer["status"])
    return ""


def _keys(here: Session) -> Iterator[Finding]:
    keys = {
        each["PhysicalResourceId"]: f"the key {each['LogicalResourceId']}"
        for each in here.resources
        if each["ResourceType"] == "AWS::KMS::Key"
    }
    problems = _judged(
        keys,
        "the key",
        lambda each: _looked_at(here, "kms", "describe_key", KeyId=each),
        lambda each, answer: health.key(keys[each], answer["KeyMetadata"]),
    )
    yield from _all_sound(len(keys), "key is enabled", "keys are enabled", problems)


# The account around it


def _zone(here: Session) -> Iterator[Finding]:
    domain = here.stack.base_domain
    zones = here.account.call("route53", "list_hosted_zones")["HostedZones"]
    public = [each for each in zones if not each.get("Config", {}).get("PrivateZone") and _covers(each["Name"], domain)]
    if not public:
        yield Finding("fail", f"no public hosted zone holds {domain}", "create it in Route 53 and delegate to it")
        return
    zone = max(public, key=lambda each: len(each["Name"]))
    yield Finding("ok", f"{zone['Name']} holds {domain}")
    if here.local:
        yield Finding("ok", "the local cloud's zones are in no public DNS: the delegation cannot be checked")
    else:
        wanted = here.account.call("route53", "get_hosted_zone", Id=zone["Id"])["DelegationSet"]["NameServers"]
        expected = frozenset(name.rstrip(".").lower() for name in wanted)
        yield health.delegation(zone["Name"], expected, here.surroundings.name_servers(zone["Name"]))


def _covers(zone: str, domain: str) -> bool:
    bare = zone.rstrip(".")
    return domain == bare or domain.endswith(f".{bare}")


def _clusters(here: Session) -> float:
    return len(list(here.account.items("eks", "list_clusters", "clusters")))


def _node_groups(here: Session) -> float:
    """Of the cluster of ours that has most."""
    mine = f"{here.stack.prefix}-"
    names = [each for each in here.account.items("eks", "list_clusters", "clusters") if str(each).startswith(mine)]
    return max(
        (len(list(here.account.items("eks", "list_nodegroups", "nodegroups", clusterName=each))) for each in names),
        default=0,
    )


def _vcpus(here: Session) -> float:
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = here.account.items("ec2", "describe_instances", "Reservations", Filters=running)
    return health.standard_vcpus([each for reservation in found for each in reservation["Instances"]])


def _addresses(here: Session) -> float:
    return float(len(here.account.call("ec2", "describe_addresses")["Addresses"]))


def _balancers(here: Session) -> float:
    found = here.account.items("elbv2", "describe_load_balancers", "LoadBalancers")
    return float(sum(each.get("Type") == "application" for each in found))


# (service, quota, what it is, how much is in use, how much one environment of the default shape takes). The codes are
# those of `aws service-quotas list-service-quotas`.
_QUOTAS: tuple[tuple[str, str, str, Callable[[Session], float], float], ...] = (
    ("ec2", "L-1216C47A", "vCPUs of On-Demand standard instances", _vcpus, 8),
    ("ec2", "L-0263D0A3", "Elastic IP addresses, one per NAT gateway", _addresses, 0),
    ("eks", "L-1194D53C", "EKS clusters", _clusters, 1),
    ("eks", "L-6D54EA21", "managed node groups of one cluster", _node_groups, 1),
    ("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers", _balancers, 1),
)


def _quotas(here: Session) -> Iterator[Finding]:
    for service, code, what, in_use, needed in _QUOTAS:
        try:
            answer = here.account.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
            yield health.quota(what, f"{service} {code}", float(answer["Quota"]["Value"]), in_use(here), needed)
        except CommandError as err:
            yield Finding("warn", f"the quota of {what} could not be read: {err.message}", err.remedy)

    # IAM tells its quota itself, and of a region's Service Quotas it is not.
    summary = here.account.call("iam", "get_account_summary")["SummaryMap"]
    place = "IAM, roles per account, in us-east-1"
    yield health.quota("IAM roles", place, float(summary["RolesQuota"]), float(summary["Roles"]), 0)


def _concurrency(here: Session) -> Iterator[Finding]:
    limits = here.account.call("lambda", "get_account_settings")["AccountLimit"]
    yield health.concurrency(limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"])


def _subnets(here: Session) -> Iterator[Finding]:
    """Free addresses where environments are made."""
    private = _described(here, here.stack.outputs.get("PrivateSubnetIds", ""))
    public = _described(here, here.stack.outputs.get("PublicSubnetIds", ""))
    if not private:
        yield Finding("warn", "the stack does not tell its subnets", "deploy it again with `sam deploy`")
        return
    problems = [*health.subnets(private, health.PRIVATE), *health.subnets(public, health.PUBLIC)]
    count = len(private) + len(public)
    yield from _all_sound(count, "subnet has free addresses", "subnets have free addresses", problems)


def _described(here: Session, ids: str) -> list[dict[str, Any]]:
    """The subnets of a list with commas."""
    if not ids:
        return []
    found: list[dict[str, Any]] = here.account.call("ec2", "describe_subnets", SubnetIds=ids.split(","))["Subnets"]
    return found


def _programs(here: Session) -> Iterator[Finding]:
    for name, purpose in (("aws", "kubectl's tokens"), ("kubectl", "`springboard logs`")):
        found = here.surroundings.find(name)
        if found:
            yield Finding("ok", f"{name} is {found}")
        else:
            yield Finding("warn", f"{name} is not installed", f"needed for {purpose}")


_CHECKS: tuple[tuple[str, Callable[[Session], Iterator[Finding]]], ...] = (
    ("credentials", _credentials),
    ("stack", _stack),
    ("API", _api),
    ("alarms", _alarms),
    ("topic", _topic),
    ("bus", _bus),
    ("functions", _functions),
    ("machines", _machines),
    ("triggers", _triggers),
    ("schedules", _environments),
    ("letters", _letters),
    ("record", _record),
    ("logs", _logs),
    ("locks", _locks),
    ("keys", _keys),
    ("DNS", _zone),
    ("quotas", _quotas),
    ("concurrency", _concurrency),
    ("subnets", _subnets),
    ("programs", _programs),
)
