"""Alarms, dashboards and log groups leave nothing behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.elb.scenario import Account

ALARM: dict[str, Any] = {
    "AlarmName": "shop-5xx",
    "Namespace": "AWS/ApplicationELB",
    "MetricName": "HTTPCode_ELB_5XX_Count",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 5,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
ALARM_ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-5xx"


def test_alarms_go_with_their_tags_all_or_none(account: Account) -> None:
    cloudwatch = account.cloudwatch
    cloudwatch.put_metric_alarm(**ALARM, Tags=[{"Key": "team", "Value": "checkout"}])
    cloudwatch.put_metric_alarm(**{**ALARM, "Threshold": 2.0}, Tags=[{"Key": "team", "Value": "other"}])
    [found] = cloudwatch.describe_alarms(AlarmNames=["shop-5xx"])["MetricAlarms"]
    assert (found["Threshold"], found["StateValue"]) == (2.0, "INSUFFICIENT_DATA")
    tags = cloudwatch.list_tags_for_resource(ResourceARN=ALARM_ARN)["Tags"]
    assert tags == [{"Key": "team", "Value": "checkout"}]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cloudwatch.delete_alarms(AlarmNames=["shop-5xx", "nobodys"])
    cloudwatch.delete_alarms(AlarmNames=["shop-5xx"])
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        cloudwatch.list_tags_for_resource(ResourceARN=ALARM_ARN)


def test_dashboards_come_and_go(account: Account) -> None:
    body = json.dumps({"widgets": []})
    account.cloudwatch.put_dashboard(DashboardName="shop", DashboardBody=body)
    assert account.cloudwatch.get_dashboard(DashboardName="shop")["DashboardBody"] == body
    account.cloudwatch.delete_dashboards(DashboardNames=["shop"])
    with pytest.raises(ClientError, match="ResourceNotFound"):
        account.cloudwatch.get_dashboard(DashboardName="shop")


def test_log_groups_have_key_retention_and_tags(account: Account) -> None:
    name, key = "/aws/eks/shop/cluster", "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
    arn = f"arn:aws:logs:eu-west-1:111122223333:log-group:{name}"
    account.logs.create_log_group(logGroupName=name, tags={"team": "checkout"})
    account.logs.put_retention_policy(logGroupName=name, retentionInDays=30)
    with pytest.raises(ClientError, match="InvalidParameterException"):
        account.logs.put_retention_policy(logGroupName=name, retentionInDays=31)
    account.logs.associate_kms_key(logGroupName=name, kmsKeyId=key)
    [found] = account.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert (found["retentionInDays"], found["kmsKeyId"]) == (30, key)
    account.logs.disassociate_kms_key(resourceIdentifier=f"{arn}:*")
    assert account.logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "checkout"}
    account.logs.delete_log_group(logGroupName=name)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        account.logs.list_tags_for_resource(resourceArn=arn)
