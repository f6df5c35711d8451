"""What the stack is made of, as users and other code rely on it."""

from __future__ import annotations

import ast
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from springboard.components.table import ROWS
from springboard.runtime import Settings
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = source.resources("AWS::Serverless::Function")


class Environ(dict[str, str]):
    """Notes which variables are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - dict's signature
        self.asked.add(key)
        return "1"


def test_functions_get_the_settings_that_they_read_and_no_others() -> None:
    environ = Environ()
    Settings.read(environ)
    variables = source.template()["Globals"]["Function"]["Environment"]["Variables"]
    given = {name for name in variables if not name.startswith("POWERTOOLS_")}
    assert given == environ.asked - {"AWS_REGION"}  # Lambda's own
    assert not [name for name, each in FUNCTIONS.items() if "Environment" in each["Properties"]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_is_there(name: str) -> None:
    *path, handler = FUNCTIONS[name]["Properties"]["Handler"].split(".")
    tree = ast.parse(source.text(f"functions/{'/'.join(path)}.py"))
    assert handler in set(_defined(tree))


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name


def test_every_handler_is_deployed() -> None:
    deployed = {each["Properties"]["Handler"] for each in FUNCTIONS.values()}
    folders = ("components", "flow", "triggers")
    written = {
        f"{folder}.{path.stem}.handler"
        for folder in folders
        for path in (source.ROOT / "functions" / folder).glob("*.py")
        if path.stem != "__init__"
    }
    assert written == deployed - {"api.app.handler"}


def test_a_plan_can_ask_every_component() -> None:
    variables = source.template()["Globals"]["Function"]["Environment"]["Variables"]
    said = variables["SPRINGBOARD_FUNCTIONS"]["Fn::Sub"]
    functions = dict(pair.split("=") for pair in said.split(","))
    assert functions == {row.name: f"${{Prefix}}-{row.name.replace('_', '-')}" for row in ROWS}
    names = {each["Properties"]["FunctionName"]["Fn::Sub"] for each in FUNCTIONS.values()}
    assert set(functions.values()) <= names


def test_the_api_answers_before_the_gateway_gives_up() -> None:
    timeout = FUNCTIONS["ApiFunction"]["Properties"]["Timeout"]
    assert timeout * 1000 < source.template()["Resources"]["ApiIntegration"]["Properties"]["TimeoutInMillis"] <= 30000
    assert source.template()["Resources"]["ApiRoute"]["Properties"]["AuthorizationType"] == "AWS_IAM"


def test_one_function_alone_is_in_the_vpc() -> None:
    inside = {name for name, each in FUNCTIONS.items() if "VpcConfig" in each["Properties"]}
    assert inside == {"WorkloadFunction"}


def test_the_record_survives_mistakes() -> None:
    table = source.template()["Resources"]["Table"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["SSESpecification"]["KMSMasterKeyId"] == {"Fn::GetAtt": ["Key", "Arn"]}
    assert properties["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert properties["TimeToLiveSpecification"]["Enabled"] is True


def watched(alarm: dict[str, Any]) -> list[tuple[str, Any]]:
    """Namespace and metric, and whose, of all that an alarm looks at."""
    series = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    return [(f"{each['Namespace']}/{each['MetricName']}", each["Dimensions"][0]["Value"]) for each in series or [alarm]]


def test_alarms_watch_springboard_itself_and_tell_somebody() -> None:
    alarms = {name: each["Properties"] for name, each in source.resources("AWS::CloudWatch::Alarm").items()}
    found: dict[str, list[Any]] = {}
    for each in alarms.values():
        assert each["AlarmActions"] == [{"Ref": "Topic"}]
        assert len(watched(each)) <= 10  # CloudWatch's limit of metric math
        for metric, whose in watched(each):
            found.setdefault(metric, []).append(whose)
    machines = [{"Ref": "ProvisionMachine"}, {"Ref": "TeardownMachine"}]
    for metric in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionThrottled"):
        assert found[f"AWS/States/{metric}"] == machines
    everybody = {name for name in FUNCTIONS if name != "ApiFunction"}  # whose errors are the API's 5xx
    assert {each["Ref"] for each in found["AWS/Lambda/Errors"]} == everybody
    assert {each["Ref"] for each in found["AWS/Lambda/Throttles"]} == set(FUNCTIONS)
    rules = [{"Ref": name} for name in sorted(source.resources("AWS::Events::Rule"))]
    for metric in ("FailedInvocations", "InvocationsFailedToBeSentToDlq"):
        assert sorted(found[f"AWS/Events/{metric}"], key=str) == rules
    letters = {
        name
        for name, each in FUNCTIONS.items()
        if "EventInvokeConfig" in each["Properties"] or name == "PublishEventsFunction"
    }
    assert {each["Ref"] for each in found["AWS/Lambda/DestinationDeliveryFailures"]} == letters
    assert found.keys() >= {
        "AWS/SQS/ApproximateNumberOfMessagesVisible",
        "AWS/SQS/ApproximateAgeOfOldestMessage",
        "AWS/ApiGateway/5xx",
        "AWS/Lambda/IteratorAge",
        "AWS/Lambda/Invocations",
        "AWS/Scheduler/TargetErrorCount",
        "AWS/Scheduler/InvocationDroppedCount",
        "AWS/SNS/NumberOfNotificationsFailed",
        "Springboard/StaleLocks",
    }


def test_queue_and_topic_are_encrypted_with_our_key() -> None:
    resources = source.template()["Resources"]
    for name, key in (("Topic", "KmsMasterKeyId"), ("DeadLetterQueue", "KmsMasterKeyId")):
        assert resources[name]["Properties"][key] == {"Fn::GetAtt": ["Key", "Arn"]}


def test_outputs_name_what_a_user_needs() -> None:
    outputs = source.template()["Outputs"]
    needed = {"ApiUrl", "CallerPolicy", "BaseDomain", "VpcId", "TopicArn", "BusName", "TableName"}
    operators = {"ProvisionMachineArn", "TeardownMachineArn", "DeadLetterQueueUrl", "OperationsLogGroupName"}
    operators |= {"PrivateSubnetIds", "PublicSubnetIds"}
    assert needed | operators <= set(outputs)
    project = tomllib.loads(source.text("pyproject.toml"))["project"]
    assert outputs["Version"]["Value"] == project["version"]  # which doctor compares with the command line's


def test_the_network_gives_and_gets_what_the_stack_says() -> None:
    network = source.network()
    stack = source.template()["Resources"]["Network"]["Properties"]
    required = {name for name, each in network["Parameters"].items() if "Default" not in each}
    assert required <= set(stack["Parameters"]) <= set(network["Parameters"])
    for name in ("VpcId", "PrivateSubnetIds", "PublicSubnetIds"):
        assert name in network["Outputs"]
        assert f"Outputs.{name}" in source.text("template.yaml")


def test_the_cli_reads_outputs_that_exist() -> None:
    outputs = set(source.template()["Outputs"])
    read = set()
    for path in (source.ROOT / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Subscript(
                    value=ast.Attribute(attr="outputs") | ast.Name(id="outputs"),
                    slice=ast.Constant(value=str() as name),
                ):
                    read.add(name)
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="outputs") | ast.Name(id="outputs"), attr="get"),
                    args=[ast.Constant(value=str() as name), *_],
                ):
                    read.add(name)
    assert read
    assert read <= outputs
