"""doctor: what could keep Springboard from working, each with its remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from springboard_cli import session
from springboard_cli.commands import options  # noqa: TC001 - Typer reads annotations at run time
from springboard_cli.errors import CommandError
from springboard_cli.terminal import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from springboard_cli.session import Session


@dataclass(frozen=True)
class Finding:
    """One line: ok, warn or fail."""

    state: str
    what: str
    remedy: str = ""


def doctor(context: typer.Context, *, output: options.Output = Format.TABLE) -> None:
    """Check credentials, stack, API, alarms, hosted zone, quotas, programs; exit code 1 if one of them fails."""
    here = session.of(context)
    plain = output not in {Format.JSON, Format.YAML}
    found: list[dict[str, str]] = []
    for title, check in _CHECKS:
        for finding in _guarded(here, check):
            found.append({"check": title, **asdict(finding)})
            if plain:
                here.terminal.table((), [(f"{finding.state:<4}", f"{title:<11}", finding.what)])
            if plain and finding.remedy:
                here.terminal.data(f"       {finding.remedy}")
    if not plain:
        here.terminal.document({"findings": found}, output)
    if any(each["state"] == "fail" for each in found):
        raise typer.Exit(1)


def _guarded(here: Session, check: Callable[[Session], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check(here)
    except CommandError as err:
        yield Finding("fail", err.message, err.remedy)


def _credentials(here: Session) -> Iterator[Finding]:
    caller = here.account.call("sts", "get_caller_identity")
    yield Finding("ok", f"{caller['Arn']} in {here.account.region}")


def _stack(here: Session) -> Iterator[Finding]:
    found = here.stack
    if found.status.endswith("_COMPLETE") and "ROLLBACK" not in found.status:
        yield Finding("ok", f"{found.name} is {found.status}")
    elif found.status.endswith("_IN_PROGRESS"):
        yield Finding("warn", f"{found.name} is {found.status}", "operations go on while the stack is updated")
    else:
        yield Finding("warn", f"{found.name} is {found.status}", "look at its events, then `sam deploy` again")


def _api(here: Session) -> Iterator[Finding]:
    offered = here.api.get("/versions").document["items"]
    default = next((each["version"] for each in offered if each.get("default")), "none")
    yield Finding("ok", f"{here.api.url} answers; new clusters get Kubernetes {default}")
    count = len(here.api.environments())
    yield Finding("ok", f"you see {count} environment{'' if count == 1 else 's'}")


def _alarms(here: Session) -> Iterator[Finding]:
    """What rings now: the stack's own alarms, with their runbooks, and those of the environments."""
    prefix = here.stack.outputs.get("TopicArn", here.stack.name).rpartition(":")[2]
    answer = here.account.call("cloudwatch", "describe_alarms", AlarmNamePrefix=f"{prefix}-", StateValue="ALARM")
    for alarm in answer["MetricAlarms"]:
        yield Finding("fail", f"{alarm['AlarmName']} is in ALARM", alarm.get("AlarmDescription", ""))
    if not answer["MetricAlarms"]:
        yield Finding("ok", f"no alarm of {prefix} rings")


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
        yield from _delegation(here, zone)


def _covers(zone: str, domain: str) -> bool:
    bare = zone.rstrip(".")
    return domain == bare or domain.endswith(f".{bare}")


def _delegation(here: Session, zone: dict[str, Any]) -> Iterator[Finding]:
    """Whether the world's resolvers are led to the zone's own name servers."""
    wanted = here.account.call("route53", "get_hosted_zone", Id=zone["Id"])["DelegationSet"]["NameServers"]
    expected = {name.rstrip(".").lower() for name in wanted}
    found = here.surroundings.name_servers(zone["Name"])
    if found is None:
        yield Finding("warn", f"the delegation of {zone['Name']} could not be looked up", f"dig NS {zone['Name']}")
    elif found & expected:
        yield Finding("ok", f"{zone['Name']} is delegated to its zone")
    else:
        yield Finding(
            "fail",
            f"{zone['Name']} is delegated to {', '.join(sorted(found)) or 'nobody'}",
            f"set these NS records at the registrar or in the parent zone: {', '.join(sorted(expected))}",
        )


# (service, quota, what it is, how much of it one environment of the default shape uses)
_QUOTAS = (
    ("ec2", "L-1216C47A", "vCPUs of On-Demand standard instances", 8),
    ("ec2", "L-0263D0A3", "Elastic IP addresses", 1),
    ("eks", "L-1194D53C", "EKS clusters", 1),
    ("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers", 1),
)


def _quotas(here: Session) -> Iterator[Finding]:
    if here.local:
        yield Finding("ok", "the local cloud has none")
        return
    for service, code, what, needed in _QUOTAS:
        try:
            answer = here.account.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
        except CommandError as err:
            yield Finding("warn", f"the quota of {what} could not be read: {err.message}")
            continue
        value = float(answer["Quota"]["Value"])
        if value < needed:
            yield Finding(
                "fail", f"{what}: {value:g}, an environment needs {needed}", f"ask for more: Service Quotas, {code}"
            )
        else:
            yield Finding("ok", f"{what}: {value:g} in all")


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
    ("DNS", _zone),
    ("quotas", _quotas),
    ("programs", _programs),
)
