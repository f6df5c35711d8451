"""Every derived name stays inside the limit of the service that carries it, and tells environments apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from springboard import naming
from tests.template import source

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
names = st.from_regex(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?", fullmatch=True)
PREFIX = re.compile(source.template()["Parameters"]["Prefix"]["AllowedPattern"])
prefixes = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(PREFIX.match)
apps = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
groups = st.from_regex(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", fullmatch=True)
uids = st.uuids(version=4).map(str)

# AWS's own limits and characters: elbv2 CreateLoadBalancer and CreateTargetGroup, eks CreateCluster, ec2
# CreateSecurityGroup and CreateLaunchTemplate, scheduler CreateSchedule, cloudwatch PutMetricAlarm and
# PutDashboard, logs CreateLogGroup.
ELB = re.compile(r"(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
EKS = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}")
SECURITY_GROUP = re.compile(r"(?!sg-)[A-Za-z0-9 ._:/()#,@+=&;{}!$*-]{1,255}")
LAUNCH_TEMPLATE = re.compile(r"[A-Za-z0-9().\-/_]{3,128}")
SCHEDULE = re.compile(r"[0-9A-Za-z_.-]{1,64}")
ALARM = re.compile(r"[\x20-\x7e]{1,255}")
DASHBOARD = re.compile(r"[A-Za-z0-9_-]{1,255}")
LOG_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
NODE_GROUP = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}")


@given(prefixes, names, uids, st.tuples(apps, groups, st.integers(30000, 30085)))
def test_b6_names_fit(prefix: str, name: str, uid: str, parts: tuple[str, str, int]) -> None:
    app, group, port = parts
    made = {
        naming.cluster(prefix, name): EKS,
        naming.load_balancer(prefix, name, uid): ELB,
        naming.target_group(prefix, name, uid, app, port): ELB,
        naming.alb_security_group(prefix, name, uid): SECURITY_GROUP,
        naming.node_ingress_security_group(prefix, name, uid): SECURITY_GROUP,
        naming.launch_template(prefix, name, uid, group): LAUNCH_TEMPLATE,
        naming.ttl_schedule(prefix, name, uid): SCHEDULE,
        naming.window_schedule(prefix, name, uid): SCHEDULE,
        naming.drift_schedule(prefix, name, uid): SCHEDULE,
        naming.alarm(prefix, name, uid, "unhealthy-hosts"): ALARM,
        naming.dashboard(prefix, name, uid): DASHBOARD,
        naming.log_group(prefix, name): LOG_GROUP,
        group: NODE_GROUP,
    }
    for text, pattern in made.items():
        assert pattern.fullmatch(text), text


@given(
    prefixes,
    names,
    st.lists(uids, min_size=2, max_size=2, unique=True),
    st.lists(apps, min_size=2, max_size=2, unique=True),
)
def test_names_of_two_environments_and_of_two_apps_differ(
    prefix: str, name: str, two_uids: list[str], two_apps: list[str]
) -> None:
    (uid, other), (app, second) = two_uids, two_apps
    assert naming.load_balancer(prefix, name, uid) != naming.load_balancer(prefix, name, other)
    assert naming.target_group(prefix, name, uid, app, 30000) != naming.target_group(prefix, name, uid, second, 30000)
    assert naming.target_group(prefix, name, uid, app, 30000) != naming.target_group(prefix, name, uid, app, 30001)
    assert naming.ttl_schedule(prefix, name, uid) != naming.ttl_schedule(prefix, name, other)


@given(prefixes, names, uids)
def test_names_are_the_same_every_time(prefix: str, name: str, uid: str) -> None:
    assert naming.load_balancer(prefix, name, uid) == naming.load_balancer(prefix, name, uid)
    assert naming.alb_security_group(prefix, name, uid) == naming.alb_security_group(prefix, name, uid)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_hash_of_parts_is_no_hash_of_their_sum(first: str, second: str) -> None:
    assume("\x00" not in first + second)
    assume(second)
    assert naming.short_hash(first, second) != naming.short_hash(first + second)
    assert re.fullmatch(r"[a-z2-7]{8}", naming.short_hash(first, second))


@given(uids, st.integers(1, 5))
def test_a_retry_asks_with_another_token(uid: str, attempt: int) -> None:
    token = naming.token(uid, "01J", attempt, "cluster")
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    assert token != naming.token(uid, "01J", attempt + 1, "cluster")
    assert token != naming.token(uid, "01J", attempt, "node-group")


@pytest.mark.parametrize("name", ["a", "a-b-c-d-e-f-g-h-i-j-k-l", "a" * 24])
@pytest.mark.parametrize("prefix", ["springboard"[:length] for length in range(1, 12)] + ["twelve-chars"])
def test_b6_the_prefix_stays_whole_and_the_name_gives_way(prefix: str, name: str) -> None:
    """IAM policies grant by the prefix."""
    assert PREFIX.match(prefix)
    made = naming.load_balancer(prefix, name, "u")
    assert ELB.fullmatch(made)
    assert made.startswith(f"{prefix}-{name[:10]}")
    assert "--" not in made


@pytest.mark.parametrize("word", ["internal", "sg", "aws"])
def test_prefixes_that_aws_takes_for_its_own_are_refused(word: str) -> None:
    """ELB refuses names that begin with internal-, EC2 groups whose names begin with sg-; aws is AWS's."""
    assert not PREFIX.match(word)
    assert not PREFIX.match(f"{word}-a")
    assert PREFIX.match(f"{word}s-a")
    assert PREFIX.match(f"a-{word}")
