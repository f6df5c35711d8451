"""Stacks as CloudFormation's clients see them: create, change, fail, roll back, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.clock import ManualClock

    type Template = dict[str, Any]
    type Deploy = Callable[..., dict[str, Any]]

QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": {"Ref": "Seconds"}}}
TEMPLATE: Template = {
    "Parameters": {"Seconds": {"Type": "Number", "Default": 30, "MaxValue": 43_200}},
    "Resources": {
        "Queue": QUEUE,
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::Sub": "of ${Queue.QueueName}"}}},
    },
    "Outputs": {"Url": {"Value": {"Ref": "Queue"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-url"}}}},
}
UNKNOWN = {"Type": "AWS::Quantum::Computer", "DependsOn": "Topic"}


def with_resources(template: Template, **resources: Any) -> Template:
    return {**template, "Resources": {**template["Resources"], **resources}}


def parameters(**values: str) -> list[dict[str, str]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]


@pytest.fixture
def stacks(aws: Any) -> Any:
    return aws("cloudformation")


@pytest.fixture
def deploy(stacks: Any, clock: ManualClock) -> Deploy:
    """Create or update a stack, wait, and describe it."""

    def deployed(name: str, template: Template, *, update: bool = False, **request: Any) -> dict[str, Any]:
        action = stacks.update_stack if update else stacks.create_stack
        stack = action(StackName=name, TemplateBody=yaml.safe_dump(template), **request)["StackId"]
        return finished(stacks, clock, stack)

    return deployed


def finished(stacks: Any, clock: ManualClock, stack: str) -> dict[str, Any]:
    described: dict[str, Any] = {}

    def done() -> bool:
        described.update(stacks.describe_stacks(StackName=stack)["Stacks"][0])
        return not described["StackStatus"].endswith("_IN_PROGRESS")

    clock.run_until(done)
    return described


def events(stacks: Any, stack: str) -> list[tuple[str, str]]:
    found = stacks.describe_stack_events(StackName=stack)["StackEvents"]
    return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in reversed(found)]


def attribute(aws: Any, url: str, name: str) -> str:
    return str(aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def message_of(call: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**request)
    return str(raised.value.response["Error"]["Message"])


def test_a_stack_makes_what_its_template_says(aws: Any, stacks: Any, deploy: Deploy) -> None:
    stack = deploy("shop", TEMPLATE, Parameters=parameters(Seconds="45"), Tags=[{"Key": "team", "Value": "checkout"}])
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    url = stack["Outputs"][0]["OutputValue"]
    assert attribute(aws, url, "VisibilityTimeout") == "45"
    assert aws("sqs").list_queue_tags(QueueUrl=url)["Tags"] == {"team": "checkout"}
    assert events(stacks, "shop")[:2] == [("shop", "CREATE_IN_PROGRESS"), ("Queue", "CREATE_IN_PROGRESS")]
    assert events(stacks, "shop")[-1] == ("shop", "CREATE_COMPLETE")
    kinds = [each["ResourceType"] for each in stacks.list_stack_resources(StackName="shop")["StackResourceSummaries"]]
    assert kinds == ["AWS::SQS::Queue", "AWS::SNS::Topic"]
    assert stacks.list_exports()["Exports"][0]["Name"] == "shop-url"


def test_events_are_never_of_the_same_millisecond(stacks: Any, deploy: Deploy) -> None:
    deploy("shop", TEMPLATE)
    moments = [each["Timestamp"] for each in stacks.describe_stack_events(StackName="shop")["StackEvents"]]
    assert len(set(moments)) == len(moments)


def test_an_update_touches_what_differs_and_nothing_else(aws: Any, stacks: Any, deploy: Deploy) -> None:
    before = deploy("shop", TEMPLATE)
    after = deploy("shop", TEMPLATE, update=True, Parameters=parameters(Seconds="60"))
    assert after["StackStatus"] == "UPDATE_COMPLETE"
    assert after["Outputs"] == before["Outputs"]
    assert attribute(aws, after["Outputs"][0]["OutputValue"], "VisibilityTimeout") == "60"
    assert ("Topic", "UPDATE_IN_PROGRESS") not in events(stacks, "shop")
    assert "No updates" in message_of(
        stacks.update_stack, StackName="shop", UsePreviousTemplate=True, Parameters=parameters(Seconds="60")
    )


def test_what_no_update_can_change_is_replaced_and_the_old_one_goes(aws: Any, deploy: Deploy) -> None:
    def named(name: str) -> Template:
        queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
        return {"Resources": {"Queue": queue}, "Outputs": {"Url": {"Value": {"Ref": "Queue"}}}}

    deploy("shop", named("old"))
    after = deploy("shop", named("new"), update=True)
    assert after["Outputs"][0]["OutputValue"].endswith("/new")
    assert [url.rsplit("/", 1)[1] for url in aws("sqs").list_queues()["QueueUrls"]] == ["new"]


def test_what_leaves_the_template_leaves_the_account(aws: Any, deploy: Deploy) -> None:
    deploy("shop", TEMPLATE)
    smaller = {**TEMPLATE, "Resources": {"Queue": QUEUE}}
    assert deploy("shop", smaller, update=True)["StackStatus"] == "UPDATE_COMPLETE"
    assert aws("sns").list_topics()["Topics"] == []


def test_a_failed_create_rolls_back_and_says_why(aws: Any, stacks: Any, deploy: Deploy) -> None:
    stack = deploy("shop", with_resources(TEMPLATE, Bad=UNKNOWN))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "QueueUrls" not in aws("sqs").list_queues()
    assert aws("sns").list_topics()["Topics"] == []
    failed = [
        each["ResourceStatusReason"]
        for each in stacks.describe_stack_events(StackName="shop")["StackEvents"]
        if each["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert failed == ["Resource type AWS::Quantum::Computer is not part of the local cloud"]
    assert "ROLLBACK_COMPLETE" in message_of(
        stacks.update_stack, StackName="shop", TemplateBody=yaml.safe_dump(TEMPLATE)
    )


def test_a_role_that_fails_half_way_leaves_nothing(aws: Any, deploy: Deploy) -> None:
    trust = {"Version": "2012-10-17", "Statement": []}
    policies = [{"PolicyName": "p", "PolicyDocument": "no document"}]
    broken = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust, "Policies": policies}}
    stack = deploy("shop", {"Resources": {"Role": broken}}, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert aws("iam").list_roles()["Roles"] == []


def test_a_failed_update_restores_what_was(aws: Any, deploy: Deploy) -> None:
    before = deploy("shop", TEMPLATE)
    extra = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "extra"}}
    worse = with_resources(TEMPLATE, Extra=extra, Bad=UNKNOWN)
    after = deploy("shop", worse, update=True, Parameters=parameters(Seconds="60"))
    assert after["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert after["Parameters"] == before["Parameters"]
    assert attribute(aws, before["Outputs"][0]["OutputValue"], "VisibilityTimeout") == "30"
    assert len(aws("sqs").list_queues()["QueueUrls"]) == 1
    better = deploy("shop", TEMPLATE, update=True, Parameters=parameters(Seconds="90"))
    assert better["StackStatus"] == "UPDATE_COMPLETE"


def test_a_property_that_nobody_knows_fails_the_stack(stacks: Any, deploy: Deploy) -> None:
    table = {"Type": "AWS::SNS::Topic", "Properties": {"Colour": "red"}}
    assert deploy("shop", {"Resources": {"Topic": table}})["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = [e.get("ResourceStatusReason", "") for e in stacks.describe_stack_events(StackName="shop")["StackEvents"]]
    assert any("Colour" in reason for reason in reasons)


def test_deletion_ends_with_nothing_but_what_is_retained(aws: Any, stacks: Any, deploy: Deploy, clock: Any) -> None:
    kept = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "Properties": {"QueueName": "kept"}}
    stack = deploy("shop", with_resources(TEMPLATE, Kept=kept))
    stacks.delete_stack(StackName="shop")
    assert finished(stacks, clock, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert [url.rsplit("/", 1)[1] for url in aws("sqs").list_queues()["QueueUrls"]] == ["kept"]
    assert "does not exist" in message_of(stacks.describe_stacks, StackName="shop")
    stacks.delete_stack(StackName="shop")


def test_an_export_in_use_holds_its_stack(stacks: Any, deploy: Deploy) -> None:
    deploy("base", TEMPLATE)
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::ImportValue": "base-url"}}}
    user = deploy("user", {"Resources": {"Topic": topic}})
    assert user["StackStatus"] == "CREATE_COMPLETE"
    assert "in use by user" in message_of(stacks.delete_stack, StackName="base")
    assert stacks.list_imports(ExportName="base-url")["Imports"] == ["user"]


def test_a_change_set_shows_what_it_would_do_and_does_it(stacks: Any, deploy: Deploy, clock: Any) -> None:
    deploy("shop", TEMPLATE)
    body = with_resources({**TEMPLATE, "Resources": {"Queue": QUEUE}}, New={"Type": "AWS::SQS::Queue"})
    request = {"StackName": "shop", "ChangeSetName": "next", "Parameters": parameters(Seconds="60")}
    stacks.create_change_set(**request, TemplateBody=yaml.safe_dump(body))
    described = stacks.describe_change_set(StackName="shop", ChangeSetName="next")
    changes = {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"] for each in described["Changes"]}
    assert {name: each["Action"] for name, each in changes.items()} == {
        "Queue": "Modify",
        "New": "Add",
        "Topic": "Remove",
    }
    assert changes["Queue"]["Replacement"] == "False"
    stacks.execute_change_set(StackName="shop", ChangeSetName="next")
    assert finished(stacks, clock, "shop")["StackStatus"] == "UPDATE_COMPLETE"


def test_a_change_set_without_changes_fails_in_the_words_that_sam_looks_for(stacks: Any, deploy: Deploy) -> None:
    deploy("shop", TEMPLATE)
    stacks.create_change_set(StackName="shop", ChangeSetName="same", TemplateBody=yaml.safe_dump(TEMPLATE))
    described = stacks.describe_change_set(StackName="shop", ChangeSetName="same")
    assert described["Status"] == "FAILED"
    assert "The submitted information didn't contain changes." in described["StatusReason"]


def test_a_stack_may_begin_as_a_change_set(stacks: Any, clock: Any) -> None:
    request = {"StackName": "shop", "ChangeSetName": "first", "ChangeSetType": "CREATE"}
    stacks.create_change_set(**request, TemplateBody=yaml.safe_dump(TEMPLATE))
    assert stacks.describe_stacks(StackName="shop")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    stacks.execute_change_set(StackName="shop", ChangeSetName="first")
    assert finished(stacks, clock, "shop")["StackStatus"] == "CREATE_COMPLETE"


def test_nested_stacks_give_their_outputs_and_go_with_their_parent(
    aws: Any, stacks: Any, deploy: Deploy, clock: Any
) -> None:
    location = {"LocationConstraint": "eu-west-1"}
    aws("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration=location)
    aws("s3").put_object(Bucket="artifacts", Key="inner.yaml", Body=yaml.safe_dump(TEMPLATE))
    nested = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {
            "TemplateURL": "https://s3.eu-west-1.amazonaws.com/artifacts/inner.yaml",
            "Parameters": {"Seconds": 75},
        },
    }
    outer = {
        "Resources": {"Inner": nested},
        "Outputs": {"Url": {"Value": {"Fn::GetAtt": ["Inner", "Outputs.Url"]}}},
    }
    stack = deploy("outer", outer)
    assert attribute(aws, stack["Outputs"][0]["OutputValue"], "VisibilityTimeout") == "75"
    assert deploy("second", with_resources(outer, Bad={"Type": "AWS::Quantum::Computer", "DependsOn": "Inner"}))[
        "StackStatus"
    ] == ("ROLLBACK_COMPLETE")
    assert len(aws("sqs").list_queues()["QueueUrls"]) == 1
    stacks.delete_stack(StackName="outer")
    assert finished(stacks, clock, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert "QueueUrls" not in aws("sqs").list_queues()


def test_a_network_waits_for_its_gateway_and_goes_again(aws: Any, stacks: Any, deploy: Deploy, clock: Any) -> None:
    network = yaml.safe_load("""
    Resources:
      Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16, EnableDnsHostnames: true}}
      Public:
        Type: AWS::EC2::Subnet
        Properties:
          VpcId: {Ref: Vpc}
          CidrBlock: {"Fn::Select": [0, {"Fn::Cidr": [{"Fn::GetAtt": Vpc.CidrBlock}, 2, 8]}]}
          AvailabilityZone: {"Fn::Select": [0, {"Fn::GetAZs": ""}]}
      Gateway: {Type: AWS::EC2::InternetGateway}
      Attachment:
        Type: AWS::EC2::VPCGatewayAttachment
        Properties: {VpcId: {Ref: Vpc}, InternetGatewayId: {Ref: Gateway}}
      Group:
        Type: AWS::EC2::SecurityGroup
        Properties:
          GroupDescription: nodes
          VpcId: {Ref: Vpc}
          SecurityGroupEgress: [{IpProtocol: tcp, FromPort: "443", ToPort: 443, CidrIp: 0.0.0.0/0}]
      Self:
        Type: AWS::EC2::SecurityGroupIngress
        Properties: {GroupId: {Ref: Group}, IpProtocol: "-1", SourceSecurityGroupId: {Ref: Group}}
      Table: {Type: AWS::EC2::RouteTable, Properties: {VpcId: {Ref: Vpc}}}
      Route:
        Type: AWS::EC2::Route
        DependsOn: Attachment
        Properties: {RouteTableId: {Ref: Table}, DestinationCidrBlock: 0.0.0.0/0, GatewayId: {Ref: Gateway}}
    Outputs: {Group: {Value: {Ref: Group}}}
    """)
    stack = deploy("network", network)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    group = aws("ec2").describe_security_groups(GroupIds=[stack["Outputs"][0]["OutputValue"]])["SecurityGroups"][0]
    assert [each["FromPort"] for each in group["IpPermissionsEgress"]] == [443]
    stacks.delete_stack(StackName="network")
    assert finished(stacks, clock, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("Resources: {}", "At least one Resources member"),
        ("Resources: [", "not well-formed"),
        ("Resources: {A: {Type: AWS::SNS::Topic}, A: {Type: AWS::SNS::Topic}}", "duplicate keys A"),
        ("Resources: {A: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Ref Gone}}}", "[Gone]"),
        (
            "Resources: {A: {Type: AWS::SNS::Topic, DependsOn: B}, B: {Type: AWS::SNS::Topic, DependsOn: A}}",
            "Circular dependency between resources: [A, B]",
        ),
        ("Parameters: {P: {Type: String}}\nResources: {A: {Type: AWS::SNS::Topic}}", "[P] must have values"),
        (
            "Parameters: {P: {Type: Number, Default: 9, MaxValue: 5}}\nResources: {A: {Type: AWS::SNS::Topic}}",
            "Parameter 'P' must be between",
        ),
        ("Transform: MyMacro\nResources: {A: {Type: AWS::SNS::Topic}}", "MyMacro is not part of the local cloud"),
    ],
)
def test_a_template_that_is_wrong_is_refused_before_anything_is_made(stacks: Any, template: str, told: str) -> None:
    assert told in message_of(stacks.create_stack, StackName="shop", TemplateBody=template)
    assert stacks.list_stacks()["StackSummaries"] == []


def test_capabilities_have_to_be_acknowledged(stacks: Any) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": policy}}
    named = {**role, "Properties": {**role["Properties"], "RoleName": "mine"}}  # type: ignore[dict-item]
    for resource, capability in ((role, "CAPABILITY_IAM"), (named, "CAPABILITY_NAMED_IAM")):
        body = yaml.safe_dump({"Resources": {"Role": resource}})
        assert capability in message_of(stacks.create_stack, StackName="shop", TemplateBody=body)


def test_a_sam_template_is_expanded_without_asking_aws(aws: Any, deploy: Deploy, stacks: Any) -> None:
    machine = {
        "Type": "AWS::Serverless::StateMachine",
        "Properties": {
            "Definition": {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "Result": "${What}", "End": True}}},
            "DefinitionSubstitutions": {"What": {"Ref": "Table"}},
            "Policies": ["AWSLambdaExecute", {"DynamoDBReadPolicy": {"TableName": {"Ref": "Table"}}}],
        },
    }
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {"Machine": machine, "Table": {"Type": "AWS::Serverless::SimpleTable"}},
        "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}},
    }
    stack = deploy("shop", template, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE", stacks.describe_stack_events(StackName="shop")["StackEvents"]
    definition = aws("stepfunctions").describe_state_machine(stateMachineArn=stack["Outputs"][0]["OutputValue"])
    assert aws("dynamodb").list_tables()["TableNames"][0] in definition["definition"]
    processed = stacks.get_template(StackName="shop", TemplateStage="Processed")["TemplateBody"]
    assert processed["Resources"]["Table"]["Type"] == "AWS::DynamoDB::Table"
    assert "Serverless" in str(stacks.get_template(StackName="shop")["TemplateBody"])


def test_what_the_sam_transform_refuses_fails_the_change_set(stacks: Any) -> None:
    body = yaml.safe_dump(
        {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"F": {"Type": "AWS::Serverless::Function"}}}
    )
    stacks.create_change_set(StackName="s", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=body)
    described = stacks.describe_change_set(StackName="s", ChangeSetName="c")
    assert described["Status"] == "FAILED"
    assert "[F]" in described["StatusReason"]


def test_values_come_from_the_parameter_store_and_secrets_stay_hidden(aws: Any, deploy: Deploy) -> None:
    aws("ssm").put_parameter(Name="/shop/seconds", Value="55", Type="String")
    template = {
        "Parameters": {
            "Seconds": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/shop/seconds"},
            "Password": {"Type": "String", "NoEcho": True},
        },
        "Resources": {
            "Queue": QUEUE,
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "{{resolve:ssm:/shop/seconds}}"}},
        },
        "Outputs": TEMPLATE["Outputs"],
    }
    stack = deploy("shop", template, Parameters=parameters(Password="hidden"))
    assert attribute(aws, stack["Outputs"][0]["OutputValue"], "VisibilityTimeout") == "55"
    shown = {each["ParameterKey"]: each for each in stack["Parameters"]}
    assert (shown["Seconds"]["ResolvedValue"], shown["Password"]["ParameterValue"]) == ("55", "****")
    topic = aws("sns").list_topics()["Topics"][0]["TopicArn"]
    assert aws("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "55"
