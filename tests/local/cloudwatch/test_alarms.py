"""Metrics from what happens, alarms judged by them, and who is told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from springboard_local.services import metric_math
from springboard_local.services.alarms import judge

if TYPE_CHECKING:
    from springboard_local.clock import ManualClock

MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "End",
    "States": {"End": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}},
}


def policy(service: str, action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def queue(aws: Any, name: str) -> tuple[str, str]:
    url = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return str(url), str(arn)


@pytest.fixture
def topic(aws: Any) -> str:
    """A topic that alarms may publish on, and a queue that hears it."""
    arn = aws("sns").create_topic(Name="people")["TopicArn"]
    allowed = policy("cloudwatch.amazonaws.com", "sns:Publish", arn)
    aws("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=allowed)
    url, heard = queue(aws, "heard")
    let_in = policy("sns.amazonaws.com", "sqs:SendMessage", heard)
    aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": let_in})
    aws("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=heard)
    return str(arn)


def heard(aws: Any) -> list[dict[str, Any]]:
    url = aws("sqs").get_queue_url(QueueName="heard")["QueueUrl"]
    messages = aws("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for each in messages:
        aws("sqs").delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return [json.loads(each["Body"]) for each in messages]


def put(aws: Any, name: str, namespace: str, metric: str, dimensions: dict[str, str], **settings: Any) -> None:
    given = {
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **settings,
    }
    aws("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        **given,
    )


def state(aws: Any, name: str) -> str:
    [found] = aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found["StateValue"])


def test_a_failed_execution_rings_once_and_ends(aws: Any, clock: ManualClock, topic: str) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws("iam").create_role(RoleName="m", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    machine = aws("stepfunctions").create_state_machine(name="m", definition=json.dumps(MACHINE), roleArn=role)
    arn = machine["stateMachineArn"]
    put(aws, "failed", "AWS/States", "ExecutionsFailed", {"StateMachineArn": arn}, AlarmActions=[topic])
    put(aws, "timed-out", "AWS/States", "ExecutionsTimedOut", {"StateMachineArn": arn}, AlarmActions=[topic])
    assert state(aws, "failed") == "INSUFFICIENT_DATA"
    clock.advance(61)
    assert (state(aws, "failed"), state(aws, "timed-out")) == ("OK", "OK")
    aws("stepfunctions").start_execution(stateMachineArn=arn)
    clock.advance(61)
    assert (state(aws, "failed"), state(aws, "timed-out")) == ("ALARM", "OK")
    for prefix, ringing in (("fail", ["failed"]), ("time", [])):
        found = aws("cloudwatch").describe_alarms(AlarmNamePrefix=prefix, StateValue="ALARM")["MetricAlarms"]
        assert [each["AlarmName"] for each in found] == ringing
    [told] = heard(aws)
    assert told["Subject"] == 'ALARM: "failed" in EU (Ireland)'
    message = json.loads(told["Message"])
    assert (message["AlarmName"], message["NewStateValue"], message["OldStateValue"]) == ("failed", "ALARM", "OK")
    assert "was greater than the threshold (0.0)" in message["NewStateReason"]
    clock.advance(300)
    assert state(aws, "failed") == "OK"
    assert heard(aws) == []  # nobody asked to be told of that
    items = aws("cloudwatch").describe_alarm_history(AlarmName="failed", ScanBy="TimestampAscending")
    assert [each["HistorySummary"] for each in items["AlarmHistoryItems"]] == [
        "Alarm 'failed' created",
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        f"Successfully executed action {topic}",
        "Alarm updated from ALARM to OK",
    ]


def test_a_queue_that_fills_rings_until_it_is_empty(aws: Any, clock: ManualClock) -> None:
    url, _ = queue(aws, "dead")
    level = {"Statistic": "Maximum", "Period": 60}
    put(aws, "dead", "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "dead"}, **level)
    aws("sqs").send_message(QueueUrl=url, MessageBody="lost")
    clock.advance(61)
    assert state(aws, "dead") == "ALARM"
    clock.advance(7_200)
    assert state(aws, "dead") == "ALARM"
    aws("sqs").purge_queue(QueueUrl=url)
    clock.advance(121)
    assert state(aws, "dead") == "OK"


def test_a_state_change_is_an_event(aws: Any, clock: ManualClock) -> None:
    url, arn = queue(aws, "events")
    aws("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": policy("events.amazonaws.com", "sqs:SendMessage", arn)}
    )
    pattern = {"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}
    aws("events").put_rule(Name="r", EventPattern=json.dumps(pattern))
    aws("events").put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
    put(aws, "a", "Shop", "Orders", {})
    aws("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Orders", "Value": 3}])
    clock.advance(61)
    [message] = aws("sqs").receive_message(QueueUrl=url)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert (event["detail"]["alarmName"], event["detail"]["previousState"]["value"]) == ("a", "INSUFFICIENT_DATA")


def test_an_action_that_is_not_let_in_is_in_the_history(aws: Any, clock: ManualClock) -> None:
    closed = aws("sns").create_topic(Name="closed")["TopicArn"]
    nobody = policy("lambda.amazonaws.com", "sns:Publish", closed)
    aws("sns").set_topic_attributes(TopicArn=closed, AttributeName="Policy", AttributeValue=nobody)
    put(aws, "a", "Shop", "Orders", {}, AlarmActions=[closed])
    aws("cloudwatch").set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="a try")
    clock.settle()
    [item] = aws("cloudwatch").describe_alarm_history(AlarmName="a", HistoryItemType="Action")["AlarmHistoryItems"]
    assert item["HistorySummary"].startswith(f"Failed to execute action {closed}")
    clock.advance(61)
    assert state(aws, "a") == "OK"  # the next judgement corrects what was set by hand


def test_statistics_of_what_was_put(aws: Any, clock: ManualClock) -> None:
    now = clock.now()
    aws("cloudwatch").put_metric_data(
        Namespace="Shop",
        MetricData=[
            {"MetricName": "Seconds", "Values": [1.0, 2.0], "Counts": [9.0, 1.0], "Unit": "Seconds"},
            {
                "MetricName": "Seconds",
                "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4},
                "Timestamp": now + timedelta(seconds=60),
            },
        ],
    )
    window = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5), "Period": 60}
    found = aws("cloudwatch").get_metric_statistics(
        Namespace="Shop", MetricName="Seconds", Statistics=["Average", "Maximum", "SampleCount"], **window
    )["Datapoints"]
    first, second = sorted(found, key=lambda each: each["Timestamp"])
    assert (first["Average"], first["Maximum"], first["SampleCount"]) == (1.1, 2.0, 10.0)
    assert (second["Average"], second["Maximum"], second["SampleCount"]) == (2.5, 4.0, 4.0)
    metric = {"Namespace": "Shop", "MetricName": "Seconds"}
    query = {"Id": "p", "MetricStat": {"Metric": metric, "Period": 600, "Stat": "p90"}}
    window.pop("Period")
    [answer] = aws("cloudwatch").get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"]
    assert answer["StatusCode"] == "Complete"
    assert [each["MetricName"] for each in aws("cloudwatch").list_metrics(Namespace="Shop")["Metrics"]] == ["Seconds"]
    with pytest.raises(ClientError, match="reserved"):
        aws("cloudwatch").put_metric_data(Namespace="AWS/States", MetricData=[{"MetricName": "x", "Value": 1}])


def test_log_lines_become_metrics(aws: Any, clock: ManualClock) -> None:
    logs = aws("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    transformation = {"metricName": "Errors", "metricNamespace": "Shop", "metricValue": "1"}
    logs.put_metric_filter(
        logGroupName="g", filterName="f", filterPattern='{ $.level = "ERROR" }', metricTransformations=[transformation]
    )
    embedded = {
        "_aws": {
            "Timestamp": int(clock.now().timestamp() * 1_000),
            "CloudWatchMetrics": [
                {"Namespace": "Shop", "Dimensions": [["Stack"]], "Metrics": [{"Name": "StaleLocks", "Unit": "Count"}]}
            ],
        },
        "Stack": "springboard",
        "StaleLocks": 2,
    }
    lines = [json.dumps({"level": level}) for level in ("INFO", "ERROR", "ERROR")] + ["no JSON", json.dumps(embedded)]
    stamp = int(clock.now().timestamp() * 1_000)
    logs.put_log_events(
        logGroupName="g", logStreamName="s", logEvents=[{"timestamp": stamp, "message": each} for each in lines]
    )
    put(aws, "errors", "Shop", "Errors", {}, Threshold=1.5)
    put(aws, "locks", "Shop", "StaleLocks", {"Stack": "springboard"}, Threshold=1.5)
    clock.advance(61)
    assert (state(aws, "errors"), state(aws, "locks")) == ("ALARM", "ALARM")
    with pytest.raises(ClientError):
        logs.put_metric_filter(
            logGroupName="g", filterName="x", filterPattern="[ip, user]", metricTransformations=[transformation]
        )


@pytest.mark.parametrize(
    ("points", "needed", "missing", "state"),
    [
        ([5.0], 1, "missing", "ALARM"),
        ([0.0], 1, "missing", "OK"),
        ([None], 1, "missing", "INSUFFICIENT_DATA"),
        ([None], 1, "ignore", None),
        ([None], 1, "breaching", "ALARM"),
        ([None], 1, "notBreaching", "OK"),
        ([5.0, 0.0, 5.0], 2, "missing", "ALARM"),
        ([5.0, 0.0, 0.0], 2, "missing", "OK"),
        ([5.0, None, None], 3, "notBreaching", "OK"),
        ([5.0, None, None], 3, "missing", None),
        ([5.0, None, 5.0], 2, "ignore", "ALARM"),
    ],
)
def test_how_datapoints_are_judged(points: list[float | None], needed: int, missing: str, state: str | None) -> None:
    found = judge(points, comparison="GreaterThanThreshold", threshold=1, needed=needed, missing=missing)
    assert found.state == state


def test_an_alarm_on_metric_math(aws: Any, clock: ManualClock) -> None:
    """A sum in which what has no data counts nothing; it wakes for each of its metrics."""

    def stat(name: str) -> dict[str, Any]:
        metric = {"Namespace": "Shop", "MetricName": name, "Dimensions": [{"Name": "At", "Value": "home"}]}
        return {"Id": name, "ReturnData": False, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}

    given = {"EvaluationPeriods": 1, "Threshold": 2, "ComparisonOperator": "GreaterThanThreshold"}
    total = {"Id": "total", "Expression": "SUM(FILL(METRICS(), 0))"}
    queries = [stat("lost"), stat("broken"), {**total, "ReturnData": True}]
    aws("cloudwatch").put_metric_alarm(AlarmName="math", Metrics=queries, **given)
    [found] = aws("cloudwatch").describe_alarms(AlarmNames=["math"])["MetricAlarms"]
    assert found["Metrics"] == queries
    assert "MetricName" not in found
    clock.advance(61)
    assert state(aws, "math") == "OK"
    at = [{"Name": "At", "Value": "home"}]
    aws("cloudwatch").put_metric_data(
        Namespace="Shop", MetricData=[{"MetricName": "broken", "Value": 3, "Dimensions": at}]
    )
    clock.advance(61)
    assert state(aws, "math") == "ALARM"
    clock.advance(121)
    assert state(aws, "math") == "OK"
    now = clock.now()
    window = {"StartTime": now - timedelta(minutes=10), "EndTime": now}
    answer = aws("cloudwatch").get_metric_data(MetricDataQueries=queries, **window)["MetricDataResults"]
    assert [(each["Id"], each["Values"]) for each in answer] == [("total", [3.0])]
    for wrong, said in (
        ([stat("lost"), {**total, "Expression": "SEARCH('x', 'Sum', 60)"}], "cannot work out|no SEARCH"),
        ([stat("lost"), {**total, "Expression": "lost + other"}], "names other"),
        ([stat("lost"), stat("broken")], "Exactly one"),
        ([*(stat(f"m{each}") for each in range(11)), total], "10 metrics"),
        ([stat("lost"), {**total, "Expression": "METRICS()"}], "several time series"),
    ):
        with pytest.raises(ClientError, match=said):
            aws("cloudwatch").put_metric_alarm(AlarmName="wrong", Metrics=wrong, **given)


def test_the_age_of_the_oldest_message(aws: Any, clock: ManualClock) -> None:
    url, _ = queue(aws, "old")
    level = {"Statistic": "Maximum", "Period": 60, "Threshold": 3_600}
    put(aws, "old", "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": "old"}, **level)
    aws("sqs").send_message(QueueUrl=url, MessageBody="first")
    clock.advance(3_000)
    aws("sqs").send_message(QueueUrl=url, MessageBody="second")
    assert state(aws, "old") == "OK"
    clock.advance(720)
    assert state(aws, "old") == "ALARM"
    [message] = aws("sqs").receive_message(QueueUrl=url)["Messages"]
    clock.advance(60)
    assert (message["Body"], state(aws, "old")) == ("first", "ALARM")  # in flight, and still there
    aws("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    clock.advance(121)
    assert state(aws, "old") == "OK"  # the second is younger


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("SUM(FILL(METRICS(), 0))", 5.0),
        ("SUM([a, b])", 5.0),
        ("a + b", None),
        ("FILL(b, 1) * a", 5.0),
        ("100 * a / (a + c)", 50.0),
        ("a / (a - c)", None),
        ("IF(a > 3, 1, 0)", 1.0),
        ("IF(b > 3, 1, 0)", None),
        ("MAX([a, c]) - MIN([a, c])", 0.0),
        ("AVG([a, b, 1])", 3.0),
        ("-a", -5.0),
    ],
)
def test_what_metric_math_gives(expression: str, value: float | None) -> None:
    assert metric_math.evaluate(expression, {"a": 5.0, "b": None, "c": 5.0}, ["a", "b"]) == value


@pytest.mark.parametrize(
    "expression", ["a +", "x", "a.b", "__import__('os')", "'a'", "SUM(a)", "ANOMALY_DETECTION_BAND(a)"]
)
def test_what_is_no_metric_math_here(expression: str) -> None:
    with pytest.raises(metric_math.ExpressionError, match=r"local cloud|expression|names"):
        metric_math.evaluate(expression, {"a": 1.0}, ["a"])
