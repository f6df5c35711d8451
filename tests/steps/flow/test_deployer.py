"""deployer.yaml: with its role CloudFormation makes, changes and removes the stack; who asks needs no other right."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from springboard_local.clock import ManualClock
from springboard_local.cloud import ACCOUNT, LocalCloud, Settings
from springboard_local.latency import LatencyModel
from tests.steps.flow import stack
from tests.steps.flow.inventory import pages
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploys-{stack.STACK}"
PIPELINE = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    ],
}


class Pipeline:
    """Somebody with the policy for those who deploy, and nothing else."""

    def __init__(self, cloud: LocalCloud, clock: ManualClock) -> None:
        self._numbers = itertools.count(1)
        self.cloud = cloud
        self.clock = clock
        self.administrator = cloud.client("cloudformation")
        self.administrator.create_stack(
            StackName="deployer",
            TemplateBody=source.text("deployer.yaml"),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        self.until(self.administrator, "deployer", "CREATE_COMPLETE")
        stack.prepare(cloud)
        iam = cloud.client("iam")
        made = iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        policy = f"arn:aws:iam::{ACCOUNT}:policy/deploy-{stack.STACK}"
        iam.attach_role_policy(RoleName="pipeline", PolicyArn=policy)
        assert made == PIPELINE
        self.stacks = cloud.client("cloudformation", PIPELINE)

    def deploy(self, role: str | None = ROLE, **parameters: str) -> dict[str, Any]:
        """What `sam deploy --role-arn` does, without its packaging: a change set, and its execution."""
        try:
            found = self.stacks.describe_stacks(StackName=stack.STACK)["Stacks"][0]["StackStatus"]
        except ClientError:
            found = ""
        change = f"change-{next(self._numbers)}"
        kind = "UPDATE" if found and found != "REVIEW_IN_PROGRESS" else "CREATE"
        self.stacks.create_change_set(
            StackName=stack.STACK,
            ChangeSetName=change,
            ChangeSetType=kind,
            TemplateURL=stack.TEMPLATE,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in {"BaseDomain": stack.BASE_DOMAIN, **parameters}.items()
            ],
            **({"RoleARN": role} if role else {}),
        )
        self.stacks.execute_change_set(StackName=stack.STACK, ChangeSetName=change)
        return self.until(self.stacks, stack.STACK)

    def until(self, stacks: Any, name: str, status: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}

        def done() -> bool:
            found.update(stacks.describe_stacks(StackName=name)["Stacks"][0])
            return not str(found["StackStatus"]).endswith("_IN_PROGRESS")

        self.clock.run_until(done)
        assert not status or found["StackStatus"] == status, self.reasons(name)
        return found

    def reasons(self, name: str = stack.STACK) -> list[str]:
        """What events say of failures, those of nested stacks included."""
        stacks = self.cloud.client("cloudformation")
        found = [each["StackId"] for each in stacks.list_stacks()["StackSummaries"] if name in each["StackName"]]
        return [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for each in found
            for event in pages(stacks, "describe_stack_events", "StackEvents", StackName=each)
            if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
        ]

    def remove(self, stack_id: str) -> None:
        self.stacks.delete_stack(StackName=stack_id, RoleARN=ROLE)
        assert self.until(self.stacks, stack_id)["StackStatus"] == "DELETE_COMPLETE", self.reasons()


@pytest.fixture
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        clock = ManualClock()
        settings = Settings(tmp_path_factory.mktemp("cloud"), extra={"handlers": {}})
        with LocalCloud(settings, clock, LatencyModel(spread=False)) as cloud:
            yield Pipeline(cloud, clock)
        clock.close()


def test_with_its_role_the_stack_is_made_changed_and_removed(pipeline: Pipeline) -> None:
    made = pipeline.deploy()
    assert made["StackStatus"] == "CREATE_COMPLETE", pipeline.reasons()
    assert made["RoleARN"] == ROLE
    # Every kind of thing that an update of parameters changes in place; the role stays the stack's.
    changed = pipeline.deploy(role=None, LogRetentionDays="30", Ownership="shared", AlarmEmail="ops@example.com")
    assert changed["StackStatus"] == "UPDATE_COMPLETE", pipeline.reasons()
    assert changed["RoleARN"] == ROLE
    pipeline.remove(made["StackId"])
    # All of it was the role's doing, nothing its asker's.
    mutating = {
        call.principal.split("/")[1]
        for call in pipeline.cloud.pipeline.calls()
        if call.mutating and not call.internal and call.service not in {"cloudformation", "sts"}
    }
    assert f"deploys-{stack.STACK}" in mutating
    assert "pipeline" not in mutating


@pytest.mark.parametrize(
    "action",
    ["iam:PutRolePolicy", "iam:PassRole", "ec2:CreateNatGateway", "apigateway:POST", "lambda:CreateEventSourceMapping"],
)
def test_a_deployment_that_lacks_one_action_fails_and_names_it(pipeline: Pipeline, action: str) -> None:
    iam = pipeline.cloud.client("iam")
    document = iam.get_role_policy(RoleName=f"deploys-{stack.STACK}", PolicyName="deploy")["PolicyDocument"]
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [each for each in actions if each != action] or ["sts:GetCallerIdentity"]
        if f"{action.partition(':')[0]}:*" in actions:
            document["Statement"].append({"Effect": "Deny", "Action": action, "Resource": "*"})
            break
    iam.put_role_policy(RoleName=f"deploys-{stack.STACK}", PolicyName="deploy", PolicyDocument=json.dumps(document))
    assert pipeline.deploy()["StackStatus"].startswith("ROLLBACK_")
    assert any(f"perform: {action} on resource: " in reason for reason in pipeline.reasons()), pipeline.reasons()


def test_who_deploys_can_do_nothing_but_by_the_role(pipeline: Pipeline) -> None:
    """Not by themselves, not by another role; nor can the role give itself, or anybody that is there, more rights."""
    for service, call in (("iam", "list_roles"), ("ec2", "describe_vpcs"), ("kms", "create_key")):
        with pytest.raises(ClientError, match="not authorized to perform"):
            getattr(pipeline.cloud.client(service, PIPELINE), call)()
    other = pipeline.cloud.client("iam").create_role(
        RoleName="administrator", AssumeRolePolicyDocument=json.dumps(TRUST).replace("AWS", "Service", 1)
    )["Role"]["Arn"]
    with pytest.raises(ClientError, match=f"iam:PassRole on resource: {other}"):
        pipeline.deploy(role=other)
    iam = pipeline.cloud.client("iam", ROLE)
    everything = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    for call, parameters in (
        (iam.put_role_policy, {"RoleName": ROLE.rpartition("/")[2], "PolicyName": "p", "PolicyDocument": everything}),
        (iam.put_role_policy, {"RoleName": "administrator", "PolicyName": "p", "PolicyDocument": everything}),
        (iam.create_role, {"RoleName": "another", "AssumeRolePolicyDocument": json.dumps(TRUST)}),
        (iam.create_user, {"UserName": "another"}),
    ):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            call(**parameters)
    made = f"{stack.STACK}-made"
    iam.create_role(RoleName=made, AssumeRolePolicyDocument=json.dumps(TRUST))
    with pytest.raises(ClientError, match="iam:AttachRolePolicy"):
        iam.attach_role_policy(RoleName=made, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


@pytest.mark.parametrize(("principal", "action"), [(ROLE, "s3:GetObject"), (PIPELINE, "s3:PutObject")])
def test_packages_go_through_a_bucket_of_the_account_alone(pipeline: Pipeline, principal: str, action: str) -> None:
    """Bucket names are the world's: who guesses sam's next one gets no template in, and no package out."""
    from springboard_local.services import iam  # noqa: PLC0415 - of moto, which the cloud has to prepare first

    del pipeline  # which has made both
    role = principal.rpartition("/")[2]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session"
    asker = iam.Principal(session, "AROA:session", ACCOUNT, "session", "AssumedRole", principal)
    package = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1/package.zip"
    assert iam.is_allowed(asker, action, package, {}) is None
    theirs = iam.is_allowed(asker, action, package, {"aws:resourceaccount": ("444455556666",)})
    assert f"because no identity-based policy allows the {action} action" in str(theirs)


def test_a_role_that_cloudformation_may_not_assume_is_refused(pipeline: Pipeline) -> None:
    made = pipeline.cloud.client("iam").create_role(RoleName="mine", AssumeRolePolicyDocument=json.dumps(TRUST))
    with pytest.raises(ClientError, match="is invalid or cannot be assumed"):
        pipeline.administrator.create_stack(
            StackName=stack.STACK, TemplateURL=stack.TEMPLATE, RoleARN=made["Role"]["Arn"]
        )
