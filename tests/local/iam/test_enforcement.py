"""Calls over HTTP, allowed and denied as AWS would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from springboard_local.cloud import ACCOUNT, ADMIN_ACCESS_KEY, REGION
from tests.local.iam.conftest import allow, deny, document, trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.iam.conftest import Account

TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/records"


def denied(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def table(account: Account, **more: Any) -> None:
    account.client("dynamodb").create_table(
        TableName="records",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )


def test_the_missing_action_and_its_resource_are_named(account: Account) -> None:
    table(account)
    role = account.role("reader", allow("dynamodb:GetItem", TABLE))
    client = account.client("dynamodb", role)
    client.get_item(TableName="records", Key={"pk": {"S": "a"}})
    code, message = denied(client.put_item, TableName="records", Item={"pk": {"S": "a"}})
    assert code == "AccessDeniedException"
    assert message == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/reader/local-cloud is not authorized to perform: dynamodb:PutItem "
        f"on resource: {TABLE} because no identity-based policy allows the dynamodb:PutItem action"
    )


def test_each_service_has_its_own_word_for_it(account: Account) -> None:
    role = account.role("nobody")
    calls: tuple[tuple[str, str], ...] = (
        ("ec2", "describe_vpcs"),
        ("sns", "list_topics"),
        ("iam", "list_roles"),
        ("s3", "list_buckets"),
        ("elbv2", "describe_load_balancers"),
        ("eks", "list_clusters"),
        ("route53", "list_hosted_zones"),
    )
    codes = {service: denied(getattr(account.client(service, role), call))[0] for service, call in calls}
    assert codes == {
        "ec2": "UnauthorizedOperation",
        "sns": "AuthorizationError",
        "iam": "AccessDenied",
        "s3": "AccessDenied",
        "elbv2": "AccessDenied",
        "eks": "AccessDeniedException",
        "route53": "AccessDenied",
    }


def test_an_explicit_deny_is_said_to_be_one(account: Account) -> None:
    role = account.role("limited", allow("*"), deny("eks:ListClusters"))
    _, message = denied(account.client("eks", role).list_clusters)
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_a_read_that_knows_no_resource_needs_a_star(account: Account) -> None:
    role = account.role("narrow", allow("ec2:DescribeVpcs", f"arn:aws:ec2:*:{ACCOUNT}:vpc/*"))
    assert denied(account.client("ec2", role).describe_vpcs)[0] == "UnauthorizedOperation"


def test_a_transaction_is_the_actions_of_its_items(account: Account) -> None:
    table(account)
    role = account.role("writer", allow("dynamodb:PutItem", TABLE))
    client = account.client("dynamodb", role)
    put = {"Put": {"TableName": "records", "Item": {"pk": {"S": "a"}}}}
    check = {
        "ConditionCheck": {
            "TableName": "records",
            "Key": {"pk": {"S": "b"}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }
    client.transact_write_items(TransactItems=[put])
    _, message = denied(client.transact_write_items, TransactItems=[put, check])
    assert "dynamodb:ConditionCheckItem" in message


def test_leading_keys_bound_what_a_role_sees(account: Account) -> None:
    table(account)
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}
    role = account.role("tenant", allow(["dynamodb:GetItem", "dynamodb:Query"], TABLE, condition=own))
    client = account.client("dynamodb", role)
    client.get_item(TableName="records", Key={"pk": {"S": "mine"}})
    denied(client.get_item, TableName="records", Key={"pk": {"S": "yours"}})
    query = {"TableName": "records", "KeyConditionExpression": "#p = :v", "ExpressionAttributeNames": {"#p": "pk"}}
    client.query(**query, ExpressionAttributeValues={":v": {"S": "mine"}})
    denied(client.query, **query, ExpressionAttributeValues={":v": {"S": "yours"}})


def test_a_table_under_a_key_needs_the_key_too(account: Account) -> None:
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    table(account, SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
    role = account.role("reader", allow("dynamodb:GetItem", TABLE))
    get = {"TableName": "records", "Key": {"pk": {"S": "a"}}}
    assert "kms:Decrypt" in denied(account.client("dynamodb", role).get_item, **get)[1]
    via = {"StringEquals": {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}}
    reader = account.role("holder", allow("dynamodb:GetItem", TABLE), allow("kms:Decrypt", key, condition=via))
    account.client("dynamodb", reader).get_item(**get)


CLUSTER: dict[str, Any] = {
    "name": "shop",
    "roleArn": f"arn:aws:iam::{ACCOUNT}:role/cluster",
    "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]},
    "tags": {"team": "checkout"},
}


def test_creating_a_cluster_demands_its_dependent_actions(account: Account) -> None:
    account.role("cluster", trusts=trust("eks.amazonaws.com"))
    statements = [allow("eks:CreateCluster", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/*")]
    passing = {"StringEquals": {"iam:PassedToService": "eks.amazonaws.com"}}
    linked = {"StringEquals": {"iam:AWSServiceName": "eks.amazonaws.com"}}
    missing = []
    for statement in (
        allow("iam:PassRole", CLUSTER["roleArn"], condition=passing),
        allow("eks:TagResource", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/*"),
        allow(["ec2:DescribeSubnets", "ec2:DescribeVpcs"]),
        allow("iam:CreateServiceLinkedRole", "*", condition=linked),
    ):
        role = account.role(f"creator-{len(statements)}", *statements)
        missing.append(
            denied(account.client("eks", role).create_cluster, **CLUSTER)[1].split("perform: ")[1].split()[0]
        )
        statements.append(statement)
    assert missing == ["iam:PassRole", "eks:TagResource", "ec2:DescribeSubnets", "iam:CreateServiceLinkedRole"]


def test_a_role_may_be_passed_only_to_the_service_named(account: Account) -> None:
    account.role("cluster", trusts=trust("eks.amazonaws.com"))
    passing = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    role = account.role("creator", allow("eks:*"), allow("iam:PassRole", "*", condition=passing))
    assert "iam:PassRole" in denied(account.client("eks", role).create_cluster, **CLUSTER)[1]


def test_tags_on_create_need_create_tags_with_the_create_action(account: Account) -> None:
    vpc = account.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = {
        "GroupName": "alb",
        "Description": "d",
        "VpcId": vpc,
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": [{"Key": "owner", "Value": "us"}]}],
    }
    role = account.role("plain", allow("ec2:CreateSecurityGroup"))
    assert "ec2:CreateTags" in denied(account.client("ec2", role).create_security_group, **group)[1]
    only = {"StringEquals": {"ec2:CreateAction": "CreateSecurityGroup", "aws:RequestTag/owner": "us"}}
    tagger = account.role("tagger", allow("ec2:CreateSecurityGroup"), allow("ec2:CreateTags", condition=only))
    made = account.client("ec2", tagger).create_security_group(**group)["GroupId"]
    assert denied(account.client("ec2", tagger).create_tags, Resources=[made], Tags=[{"Key": "owner", "Value": "us"}])


def test_existing_tags_decide_who_may_delete(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ours, theirs = (
        ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"] for name in ("ours", "theirs")
    )
    ec2.create_tags(Resources=[ours], Tags=[{"Key": "owner", "Value": "us"}])
    owned = {"StringEquals": {"aws:ResourceTag/owner": "us"}}
    role = account.role("sweeper", allow("ec2:DeleteSecurityGroup", condition=owned))
    denied(account.client("ec2", role).delete_security_group, GroupId=theirs)
    account.client("ec2", role).delete_security_group(GroupId=ours)


def test_a_version_is_made_on_a_launch_template_that_is_there(account: Account) -> None:
    ec2 = account.client("ec2")
    tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "owner", "Value": "us"}]}]
    ec2.create_launch_template(LaunchTemplateName="ours", LaunchTemplateData={}, TagSpecifications=tags)
    ec2.create_launch_template(LaunchTemplateName="theirs", LaunchTemplateData={})
    owned = {"StringEquals": {"aws:ResourceTag/owner": "us"}}
    role = account.role("versions", allow("ec2:CreateLaunchTemplateVersion", condition=owned))
    versions = account.client("ec2", role)
    denied(versions.create_launch_template_version, LaunchTemplateName="theirs", LaunchTemplateData={})
    made = versions.create_launch_template_version(LaunchTemplateName="ours", LaunchTemplateData={})
    assert made["LaunchTemplateVersion"]["VersionNumber"] == 2


def test_records_are_bounded_by_name_type_and_action(account: Account) -> None:
    zone = account.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    prefix = "route53:ChangeResourceRecordSets"
    bounds = {
        "ForAllValues:StringLike": {f"{prefix}NormalizedRecordNames": "*.dev.example.com"},
        "ForAllValues:StringEquals": {f"{prefix}RecordTypes": ["A"], f"{prefix}Actions": ["UPSERT"]},
    }
    role = account.role("dns", allow(f"{prefix}", f"arn:aws:route53:::{zone.strip('/')}", condition=bounds))
    client = account.client("route53", role)

    def change(action: str, name: str, kind: str, value: str) -> dict[str, Any]:
        record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
        return {"HostedZoneId": zone, "ChangeBatch": {"Changes": [{"Action": action, "ResourceRecordSet": record}]}}

    client.change_resource_record_sets(**change("UPSERT", "Shop.dev.example.com.", "A", "10.0.0.1"))
    denied(client.change_resource_record_sets, **change("UPSERT", "www.example.com", "A", "10.0.0.1"))
    denied(client.change_resource_record_sets, **change("UPSERT", "x.dev.example.com", "TXT", '"a"'))
    denied(client.change_resource_record_sets, **change("DELETE", "shop.dev.example.com", "A", "10.0.0.1"))


def test_a_permissions_boundary_narrows(account: Account) -> None:
    iam = account.client("iam")
    boundary = iam.create_policy(PolicyName="bound", PolicyDocument=document(allow("sqs:*")))["Policy"]["Arn"]
    role = account.role("bounded", allow("*"))
    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=boundary)
    account.client("sqs", role).list_queues()
    assert "no permissions boundary allows" in denied(account.client("eks", role).list_clusters)[1]


def session(account: Account, keys: dict[str, str]) -> Any:
    return boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        region_name=REGION,
    ).client("sqs", endpoint_url=account.cloud.endpoint)


def test_a_session_policy_narrows(account: Account) -> None:
    role = account.role("wide", allow("*"))
    keys = account.client("sts").assume_role(
        RoleArn=role, RoleSessionName="session", Policy=document(allow("sqs:ListQueues"))
    )["Credentials"]
    session(account, keys).list_queues()
    assert "session policy" in denied(session(account, keys).create_queue, QueueName="q")[1]


def test_users_have_their_own_policies_and_their_groups(account: Account) -> None:
    iam = account.client("iam")
    iam.create_user(UserName="ada")
    keys = iam.create_access_key(UserName="ada")["AccessKey"]
    client = session(account, keys)
    denied(client.list_queues)
    iam.create_group(GroupName="people")
    iam.put_group_policy(GroupName="people", PolicyName="p", PolicyDocument=document(allow("sqs:ListQueues")))
    iam.add_user_to_group(GroupName="people", UserName="ada")
    client.list_queues()
    iam.update_access_key(UserName="ada", AccessKeyId=keys["AccessKeyId"], Status="Inactive")
    assert denied(client.list_queues)[0] == "InvalidClientTokenId"


@pytest.mark.parametrize("token", [None, "forged"])
def test_a_key_without_its_token_is_no_key(account: Account, token: str | None) -> None:
    role = account.role("wide", allow("*"))
    keys = account.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    stolen = {**keys, "SessionToken": token}
    assert denied(session(account, stolen).list_queues)[0] == "InvalidClientTokenId"


def test_an_unknown_key_is_refused(account: Account) -> None:
    keys = {"AccessKeyId": "AKIAUNKNOWN", "SecretAccessKey": "secret"}
    assert denied(session(account, keys).list_queues)[0] == "InvalidClientTokenId"


def test_only_whom_a_trust_policy_names_may_assume(account: Account) -> None:
    first = account.role("first", allow("sts:AssumeRole"))
    account.role("for-lambda", trusts=trust("lambda.amazonaws.com"))
    account.role("for-first", trusts=trust(aws=first))
    second = account.role("second")
    sts, other = account.client("sts", first), account.client("sts", second)
    prefix = f"arn:aws:iam::{ACCOUNT}:role/"
    assert denied(sts.assume_role, RoleArn=prefix + "for-lambda", RoleSessionName="session")[0] == "AccessDenied"
    assert denied(other.assume_role, RoleArn=prefix + "for-first", RoleSessionName="session")[0] == "AccessDenied"
    sts.assume_role(RoleArn=prefix + "for-first", RoleSessionName="session")
    # The account's trust alone is not enough: the caller's own policies count as well.
    assert denied(other.assume_role, RoleArn=prefix + "second", RoleSessionName="session")[0] == "AccessDenied"


def test_a_queue_policy_lets_a_role_in(account: Account) -> None:
    role = account.role("sender")
    url = account.queue("open")
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:open"
    denied(account.client("sqs", role).send_message, QueueUrl=url, MessageBody="a")
    statement = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "sqs:SendMessage", "Resource": arn}
    account.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    account.client("sqs", role).send_message(QueueUrl=url, MessageBody="a")


def test_a_key_policy_that_does_not_name_the_account_shuts_iam_out(account: Account) -> None:
    other = account.role("other")
    statement = {"Effect": "Allow", "Principal": {"AWS": other}, "Action": "kms:*", "Resource": "*"}
    key = account.client("kms").create_key(Policy=document(statement))["KeyMetadata"]["KeyId"]
    role = account.role("wide", allow("*"))
    account.client("kms", other).describe_key(KeyId=key)
    assert "no resource-based policy" in denied(account.client("kms", role).describe_key, KeyId=key)[1]


def test_a_function_in_a_network_needs_a_role_that_can_join_it(account: Account) -> None:
    from springboard_local.services import iam  # noqa: PLC0415 - after moto has its account

    role = account.role("f", allow("logs:*"), trusts=trust("lambda.amazonaws.com"))
    assert "CreateNetworkInterface" in (iam.vpc_role_problem(role) or "")
    fit = account.role("g", allow("ec2:*"), trusts=trust("lambda.amazonaws.com"))
    assert iam.vpc_role_problem(fit) is None


def test_the_principal_is_recorded(account: Account) -> None:
    role = account.role("caller", allow("sqs:*"))
    account.client("sqs", role).list_queues()
    record = account.cloud.pipeline.calls()[-1]
    assert record.principal == f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/local-cloud"


def test_services_get_a_role_only_with_its_trust(account: Account) -> None:
    from springboard_local.services import iam  # noqa: PLC0415 - after moto has its account

    bound = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": "arn:aws:scheduler:*:*:schedule/*"},
    }
    statement = json.loads(trust("scheduler.amazonaws.com"))["Statement"][0] | {"Condition": bound}
    role = account.role("bound", trusts=document(statement))
    source = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/x"
    with pytest.raises(iam.NotAuthorizedError):
        iam.assume_for_service(role, "scheduler.amazonaws.com", "s")
    with pytest.raises(iam.NotAuthorizedError):
        iam.assume_for_service(role, "lambda.amazonaws.com", "s", source_arn=source)
    keys = iam.assume_for_service(role, "scheduler.amazonaws.com", "s", source_arn=source)
    assert iam.secret_of(keys.access_key) == keys.secret_key
    assert iam.principal_of(ADMIN_ACCESS_KEY).administrator  # type: ignore[union-attr]


def test_everybody_is_who_they_are(account: Account) -> None:
    role = account.role("caller")
    assert account.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    identity = account.client("sts", role).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/local-cloud"
    assert identity["UserId"].endswith(":local-cloud")


def test_a_node_group_with_a_launch_template_launches_with_the_callers_rights(account: Account) -> None:
    node = account.role("node", trusts=trust("ec2.amazonaws.com"))
    group = {
        "clusterName": "shop",
        "nodegroupName": "workers",
        "nodeRole": node,
        "subnets": ["subnet-1"],
        "launchTemplate": {"id": "lt-1", "version": "1"},
    }
    rest = allow(["eks:*", "iam:*", "ec2:Describe*"])
    role = account.role("creator", rest)
    assert "ec2:RunInstances" in denied(account.client("eks", role).create_nodegroup, **group)[1]
    launching = account.role("launching", rest, allow("ec2:RunInstances"))
    assert "ec2:CreateTags" in denied(account.client("eks", launching).create_nodegroup, **group)[1]
