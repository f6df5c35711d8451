"""Tables, buckets, keys, queues, topics, logs, alarms, parameters."""

from __future__ import annotations

import json
from typing import Any, ClassVar, override

from springboard_local.services.cloudformation.resources.base import (
    Made,
    NeedsReplacementError,
    Properties,
    ResourceError,
    ResourceType,
    Work,
    boolean,
    changed,
    document,
    gone,
    only,
    picked,
    resource,
    tag_map,
    without,
)


@resource
class Table(ResourceType):
    """A DynamoDB table; recovery, time to live and tags are calls of their own."""

    TYPE = "AWS::DynamoDB::Table"
    replacing: ClassVar = frozenset({"TableName", "KeySchema", "LocalSecondaryIndexes"})
    _IN_CREATE = (
        "KeySchema",
        "AttributeDefinitions",
        "BillingMode",
        "ProvisionedThroughput",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "TableClass",
        "DeletionProtectionEnabled",
        "OnDemandThroughput",
    )
    _AFTER = (
        "TableName",
        "StreamSpecification",
        "SSESpecification",
        "PointInTimeRecoverySpecification",
        "TimeToLiveSpecification",
        "Tags",
        "ContributorInsightsSpecification",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, (*self._IN_CREATE, *self._AFTER))
        name = properties.get("TableName") or work.name(255)
        request = {
            **picked(properties, *self._IN_CREATE),
            "TableName": name,
            "Tags": work.tags(properties.get("Tags")),
            **self._settings(properties),
        }
        if not request["Tags"]:
            del request["Tags"]
        work.call("dynamodb", "CreateTable", request)
        work.exists(name)
        self._features(work, name, {}, properties)
        return self._made(work, name)

    @staticmethod
    def _settings(properties: Properties) -> Properties:
        settings: Properties = {}
        if stream := properties.get("StreamSpecification"):
            settings["StreamSpecification"] = {**without(stream, "ResourcePolicy"), "StreamEnabled": True}
        if encryption := properties.get("SSESpecification"):
            renamed = {
                "Enabled": encryption.get("SSEEnabled", False),
                **picked(encryption, "SSEType", "KMSMasterKeyId"),
            }
            settings["SSESpecification"] = renamed
        return settings

    @staticmethod
    def _features(work: Work, name: str, old: Properties, new: Properties) -> None:
        differing = changed(old, new)
        if "PointInTimeRecoverySpecification" in differing:
            wanted = new.get("PointInTimeRecoverySpecification") or {"PointInTimeRecoveryEnabled": False}
            request = {"TableName": name, "PointInTimeRecoverySpecification": wanted}
            work.call("dynamodb", "UpdateContinuousBackups", request)
        if "TimeToLiveSpecification" in differing:
            before, after = old.get("TimeToLiveSpecification", {}), new.get("TimeToLiveSpecification", {})
            wanted = after or {**before, "Enabled": False}
            if boolean(before.get("Enabled", False)) != boolean(wanted.get("Enabled", False)):
                request = {"TableName": name, "TimeToLiveSpecification": wanted}
                work.call("dynamodb", "UpdateTimeToLive", request)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, (*self._IN_CREATE, *self._AFTER))
        differing = changed(old, new)
        if differing & {"GlobalSecondaryIndexes", "AttributeDefinitions"}:
            self._indexes(work, physical_id, old, new)
        direct = picked(
            new,
            *sorted(
                differing
                & {
                    "BillingMode",
                    "ProvisionedThroughput",
                    "TableClass",
                    "DeletionProtectionEnabled",
                    "OnDemandThroughput",
                }
            ),
        )
        settings = self._settings(picked(new, *sorted(differing & {"StreamSpecification", "SSESpecification"})))
        if "StreamSpecification" in differing:
            if "StreamSpecification" in old:
                off = {"StreamEnabled": False}
                work.client("dynamodb").update_table(TableName=physical_id, StreamSpecification=off)
            if "StreamSpecification" in settings:
                request = {"TableName": physical_id, "StreamSpecification": settings.pop("StreamSpecification")}
                work.call("dynamodb", "UpdateTable", request)
        if direct or settings:
            work.call("dynamodb", "UpdateTable", {"TableName": physical_id, **direct, **settings})
        self._features(work, physical_id, old, new)
        made = self._made(work, physical_id)
        client, tags = work.client("dynamodb"), work.tags(new.get("Tags"))
        if removed := sorted(set(tag_map(old.get("Tags"))) - set(tag_map(tags))):
            client.untag_resource(ResourceArn=made.attributes["Arn"], TagKeys=removed)
        if tags:
            client.tag_resource(ResourceArn=made.attributes["Arn"], Tags=tags)
        return made

    @staticmethod
    def _indexes(work: Work, name: str, old: Properties, new: Properties) -> None:
        """Add and remove indexes; one call each, as the API wants it."""
        before = {index["IndexName"]: index for index in old.get("GlobalSecondaryIndexes", [])}
        after = {index["IndexName"]: index for index in new.get("GlobalSecondaryIndexes", [])}
        steps: list[Properties] = [
            {"Delete": {"IndexName": each}} for each in before if each not in after or before[each] != after[each]
        ]
        steps += [{"Create": after[each]} for each in after if before.get(each) != after[each]]
        for step in steps:
            request = {
                "TableName": name,
                "AttributeDefinitions": new["AttributeDefinitions"],
                "GlobalSecondaryIndexUpdates": [step],
            }
            work.call("dynamodb", "UpdateTable", request)

    @staticmethod
    def _made(work: Work, name: str) -> Made:
        table = work.client("dynamodb").describe_table(TableName=name)["Table"]
        attributes = {"Arn": table["TableArn"]}
        if stream := table.get("LatestStreamArn"):
            attributes["StreamArn"] = stream
        return Made(name, attributes)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("dynamodb").delete_table, TableName=physical_id)


@resource
class Bucket(ResourceType):
    """A bucket; each of its settings is a call of its own."""

    TYPE = "AWS::S3::Bucket"
    replacing: ClassVar = frozenset({"BucketName"})
    _KNOWN = (
        "BucketName",
        "AccessControl",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
        "BucketEncryption",
        "VersioningConfiguration",
        "LifecycleConfiguration",
        "LoggingConfiguration",
        "Tags",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("BucketName") or work.name(63, lower=True)
        region = work.client("s3").meta.region_name
        work.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        work.exists(name)
        return self.update(work, name, {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, self._KNOWN)
        differing = changed(old, new)
        bucket = {"Bucket": physical_id}
        if "PublicAccessBlockConfiguration" in differing and (block := new.get("PublicAccessBlockConfiguration")):
            work.call("s3", "PutPublicAccessBlock", {**bucket, "PublicAccessBlockConfiguration": block})
        if "BucketEncryption" in differing and (encryption := new.get("BucketEncryption")):
            rules = [
                {
                    **without(rule, "ServerSideEncryptionByDefault"),
                    "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
                }
                for rule in encryption["ServerSideEncryptionConfiguration"]
            ]
            work.call("s3", "PutBucketEncryption", {**bucket, "ServerSideEncryptionConfiguration": {"Rules": rules}})
        if "VersioningConfiguration" in differing:
            wanted = new.get("VersioningConfiguration") or {"Status": "Suspended"}
            work.call("s3", "PutBucketVersioning", {**bucket, "VersioningConfiguration": wanted})
        if "LifecycleConfiguration" in differing:
            self._lifecycle(work, physical_id, new.get("LifecycleConfiguration"))
        if "OwnershipControls" in differing and (controls := new.get("OwnershipControls")):
            work.call("s3", "PutBucketOwnershipControls", {**bucket, "OwnershipControls": controls})
        if "LoggingConfiguration" in differing and (logging := new.get("LoggingConfiguration")):
            enabled = {
                "TargetBucket": logging["DestinationBucketName"],
                "TargetPrefix": logging.get("LogFilePrefix", ""),
            }
            work.call("s3", "PutBucketLogging", {**bucket, "BucketLoggingStatus": {"LoggingEnabled": enabled}})
        if tags := work.tags(new.get("Tags")):
            work.client("s3").put_bucket_tagging(**bucket, Tagging={"TagSet": tags})
        endpoint = {"Arn": f"arn:aws:s3:::{physical_id}", "DomainName": f"{physical_id}.s3.amazonaws.com"}
        endpoint["RegionalDomainName"] = f"{physical_id}.s3.{work.client('s3').meta.region_name}.amazonaws.com"
        return Made(physical_id, endpoint)

    @staticmethod
    def _lifecycle(work: Work, name: str, wanted: Any) -> None:
        if not wanted:
            work.client("s3").delete_bucket_lifecycle(Bucket=name)
            return
        rules = []
        for rule in wanted["Rules"]:
            known = (
                "Id",
                "Status",
                "Prefix",
                "ExpirationInDays",
                "NoncurrentVersionExpiration",
                "AbortIncompleteMultipartUpload",
                "ExpiredObjectDeleteMarker",
                "NoncurrentVersionExpirationInDays",
            )
            only(f"{Bucket.TYPE} LifecycleConfiguration", rule, known)
            made: Properties = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
            if "Id" in rule:
                made["ID"] = rule["Id"]
            if "ExpirationInDays" in rule:
                made["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
            if "NoncurrentVersionExpirationInDays" in rule:
                days = int(rule["NoncurrentVersionExpirationInDays"])
                made["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
            made |= picked(rule, "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
            rules.append(made)
        request = {"Bucket": name, "LifecycleConfiguration": {"Rules": rules}}
        work.call("s3", "PutBucketLifecycleConfiguration", request)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("s3").delete_bucket, Bucket=physical_id)


@resource
class BucketPolicy(ResourceType):
    """A bucket's policy."""

    TYPE = "AWS::S3::BucketPolicy"
    replacing: ClassVar = frozenset({"Bucket"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, properties["Bucket"], {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.client("s3").put_bucket_policy(Bucket=new["Bucket"], Policy=document(new["PolicyDocument"]))
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("s3").delete_bucket_policy, Bucket=properties["Bucket"])


@resource
class Key(ResourceType):
    """A KMS key; its deletion has a waiting period."""

    TYPE = "AWS::KMS::Key"
    replacing: ClassVar = frozenset({"KeySpec", "KeyUsage", "MultiRegion", "Origin"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {
            **without(
                properties,
                "KeyPolicy",
                "EnableKeyRotation",
                "RotationPeriodInDays",
                "PendingWindowInDays",
                "Enabled",
                "Tags",
            ),
            "Tags": [{"TagKey": each["Key"], "TagValue": each["Value"]} for each in work.tags(properties.get("Tags"))],
        }
        if "KeyPolicy" in properties:
            request["Policy"] = document(properties["KeyPolicy"])
        made = work.call("kms", "CreateKey", request)["KeyMetadata"]
        work.exists(made["KeyId"])
        self._settings(work, made["KeyId"], {}, properties)
        return Made(made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        client = work.client("kms")
        if "KeyPolicy" in changed(old, new) and "KeyPolicy" in new:
            client.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=document(new["KeyPolicy"]))
        if "Description" in changed(old, new):
            client.update_key_description(KeyId=physical_id, Description=new.get("Description", ""))
        self._settings(work, physical_id, old, new)
        arn = client.describe_key(KeyId=physical_id)["KeyMetadata"]["Arn"]
        if tags := work.tags(new.get("Tags")):
            pairs = [{"TagKey": each["Key"], "TagValue": each["Value"]} for each in tags]
            client.tag_resource(KeyId=physical_id, Tags=pairs)
        return Made(physical_id, {"Arn": arn, "KeyId": physical_id})

    @staticmethod
    def _settings(work: Work, key: str, old: Properties, new: Properties) -> None:
        client = work.client("kms")
        before, after = (boolean(each.get("EnableKeyRotation", False)) for each in (old, new))
        if before != after:
            (client.enable_key_rotation if after else client.disable_key_rotation)(KeyId=key)
        before, after = (boolean(each.get("Enabled", True)) for each in (old, new))
        if before != after:
            (client.enable_key if after else client.disable_key)(KeyId=key)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        days = int(properties.get("PendingWindowInDays", 30))
        gone(
            work.client("kms").schedule_key_deletion,
            "KMSInvalidStateException",
            KeyId=physical_id,
            PendingWindowInDays=days,
        )


@resource
class KeyAlias(ResourceType):
    """A name for a key."""

    TYPE = "AWS::KMS::Alias"
    replacing: ClassVar = frozenset({"AliasName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        work.call("kms", "CreateAlias", properties)
        return Made(properties["AliasName"])

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("kms", "UpdateAlias", new)
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("kms").delete_alias, AliasName=physical_id)


@resource
class Queue(ResourceType):
    """A queue; all its settings are attributes."""

    TYPE = "AWS::SQS::Queue"
    replacing: ClassVar = frozenset({"QueueName", "FifoQueue"})
    _ATTRIBUTES = (
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "DelaySeconds",
        "FifoQueue",
        "FifoThroughputLimit",
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "RedriveAllowPolicy",
        "RedrivePolicy",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, (*self._ATTRIBUTES, "QueueName", "Tags"))
        name = properties.get("QueueName") or work.name(75) + (".fifo" if properties.get("FifoQueue") else "")
        request: Properties = {"QueueName": name, "Attributes": picked(properties, *self._ATTRIBUTES)}
        if tags := tag_map(work.tags(properties.get("Tags"))):
            request["tags"] = tags
        url = work.call("sqs", "CreateQueue", request)["QueueUrl"]
        return self._made(work, url, name)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, (*self._ATTRIBUTES, "QueueName", "Tags"))
        attributes = without(picked(new, *self._ATTRIBUTES), "FifoQueue")
        if attributes:
            work.call("sqs", "SetQueueAttributes", {"QueueUrl": physical_id, "Attributes": attributes})
        if tags := tag_map(work.tags(new.get("Tags"))):
            work.client("sqs").tag_queue(QueueUrl=physical_id, Tags=tags)
        return self._made(work, physical_id, physical_id.rsplit("/", 1)[1])

    @staticmethod
    def _made(work: Work, url: str, name: str) -> Made:
        return Made(url, {"Arn": work.arn("sqs", name), "QueueName": name, "QueueUrl": url})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("sqs").delete_queue, QueueUrl=physical_id)


@resource
class QueuePolicy(ResourceType):
    """One policy for several queues."""

    TYPE = "AWS::SQS::QueuePolicy"

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, work.name(), {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        policy = {"Policy": document(new["PolicyDocument"])}
        for url in new["Queues"]:
            work.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=policy)
        self._drop(work, [url for url in old.get("Queues", []) if url not in new["Queues"]])
        return Made(physical_id, {"Id": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        self._drop(work, properties["Queues"])

    @staticmethod
    def _drop(work: Work, urls: list[str]) -> None:
        for url in urls:
            gone(work.client("sqs").set_queue_attributes, QueueUrl=url, Attributes={"Policy": ""})


@resource
class Topic(ResourceType):
    """A topic; all its settings are attributes."""

    TYPE = "AWS::SNS::Topic"
    replacing: ClassVar = frozenset({"TopicName", "FifoTopic"})
    _ATTRIBUTES = (
        "DisplayName",
        "KmsMasterKeyId",
        "FifoTopic",
        "ContentBasedDeduplication",
        "TracingConfig",
        "SignatureVersion",
        "DeliveryPolicy",
        "ArchivePolicy",
        "FifoThroughputScope",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, (*self._ATTRIBUTES, "TopicName", "Tags", "Subscription"))
        name = properties.get("TopicName") or work.name(256)
        request = {
            "Name": name,
            "Attributes": picked(properties, *self._ATTRIBUTES),
            "Tags": work.tags(properties.get("Tags")),
        }
        arn = work.call("sns", "CreateTopic", request)["TopicArn"]
        work.exists(arn)
        for each in properties.get("Subscription", []):
            work.call("sns", "Subscribe", {"TopicArn": arn, **each})
        return Made(arn, {"TopicArn": arn, "TopicName": name})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, (*self._ATTRIBUTES, "TopicName", "Tags", "Subscription"))
        client = work.client("sns")
        for name in sorted(changed(picked(old, *self._ATTRIBUTES), picked(new, *self._ATTRIBUTES))):
            value = new.get(name, "")
            text = json.dumps(value) if isinstance(value, (dict, bool)) else str(value)
            client.set_topic_attributes(TopicArn=physical_id, AttributeName=name, AttributeValue=text)
        if "Subscription" in changed(old, new):
            raise ResourceError("The local cloud cannot change Subscription of a topic; use AWS::SNS::Subscription")
        if tags := work.tags(new.get("Tags")):
            client.tag_resource(ResourceArn=physical_id, Tags=tags)
        return Made(physical_id, {"TopicArn": physical_id, "TopicName": physical_id.rsplit(":", 1)[1]})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("sns").delete_topic, TopicArn=physical_id)


@resource
class TopicPolicy(ResourceType):
    """One policy for several topics."""

    TYPE = "AWS::SNS::TopicPolicy"

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, work.name(), {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        text = document(new["PolicyDocument"])
        for arn in new["Topics"]:
            work.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=text)
        return Made(physical_id, {"Id": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """The topic's default policy comes back: its owner may do everything."""
        for arn in properties["Topics"]:
            owner = {"Effect": "Allow", "Principal": {"AWS": arn.split(":")[4]}, "Action": "sns:*", "Resource": arn}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [owner]})
            gone(work.client("sns").set_topic_attributes, TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


@resource
class Subscription(ResourceType):
    """A topic's subscriber."""

    TYPE = "AWS::SNS::Subscription"
    replacing: ClassVar = frozenset({"TopicArn", "Protocol", "Endpoint"})
    _ATTRIBUTES = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "DeliveryPolicy")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, (*self._ATTRIBUTES, "TopicArn", "Protocol", "Endpoint", "Region"))
        request = {
            **picked(properties, "TopicArn", "Protocol", "Endpoint"),
            "Attributes": picked(properties, *self._ATTRIBUTES),
            "ReturnSubscriptionArn": True,
        }
        arn = work.call("sns", "Subscribe", request)["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        for name in sorted(changed(picked(old, *self._ATTRIBUTES), picked(new, *self._ATTRIBUTES))):
            if name not in new:
                raise NeedsReplacementError
            value = new[name]
            text = json.dumps(value) if isinstance(value, (dict, bool)) else str(value)
            work.client("sns").set_subscription_attributes(
                SubscriptionArn=physical_id, AttributeName=name, AttributeValue=text
            )
        return Made(physical_id, {"Arn": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("sns").unsubscribe, SubscriptionArn=physical_id)


@resource
class LogGroup(ResourceType):
    """A log group with its retention and key."""

    TYPE = "AWS::Logs::LogGroup"
    replacing: ClassVar = frozenset({"LogGroupName", "LogGroupClass"})
    _KNOWN = ("LogGroupName", "LogGroupClass", "RetentionInDays", "KmsKeyId", "Tags", "DeletionProtectionEnabled")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, self._KNOWN)
        name = properties.get("LogGroupName") or work.name(512)
        request = {
            **picked(properties, "KmsKeyId", "LogGroupClass"),
            "logGroupName": name,
            "tags": tag_map(work.tags(properties.get("Tags"))),
        }
        work.call("logs", "CreateLogGroup", request if request["tags"] else without(request, "tags"))
        work.exists(name)
        return self._retain(work, name, {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, self._KNOWN)
        client = work.client("logs")
        if "KmsKeyId" in changed(old, new):
            if "KmsKeyId" in new:
                client.associate_kms_key(logGroupName=physical_id, kmsKeyId=new["KmsKeyId"])
            else:
                client.disassociate_kms_key(logGroupName=physical_id)
        if tags := tag_map(work.tags(new.get("Tags"))):
            client.tag_log_group(logGroupName=physical_id, tags=tags)
        return self._retain(work, physical_id, old, new)

    @staticmethod
    def _retain(work: Work, name: str, old: Properties, new: Properties) -> Made:
        client = work.client("logs")
        if "RetentionInDays" in new:
            client.put_retention_policy(logGroupName=name, retentionInDays=int(new["RetentionInDays"]))
        elif "RetentionInDays" in old:
            client.delete_retention_policy(logGroupName=name)
        return Made(name, {"Arn": work.arn("logs", f"log-group:{name}:*")})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("logs").delete_log_group, logGroupName=physical_id)


@resource
class MetricFilter(ResourceType):
    """A metric counted in a log group."""

    TYPE = "AWS::Logs::MetricFilter"
    replacing: ClassVar = frozenset({"FilterName", "LogGroupName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, properties.get("FilterName") or work.name(512), {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        transformations = []
        for each in new["MetricTransformations"]:
            made = without(each, "Dimensions")
            if each.get("Dimensions"):
                made["dimensions"] = tag_map(each["Dimensions"])
            transformations.append(made)
        request = {**new, "FilterName": physical_id, "MetricTransformations": transformations}
        work.call("logs", "PutMetricFilter", request)
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        group = properties["LogGroupName"]
        gone(work.client("logs").delete_metric_filter, logGroupName=group, filterName=physical_id)


class _AnyAlarm(ResourceType):
    """What both kinds of alarms share: a put is create and update in one."""

    replacing: ClassVar = frozenset({"AlarmName"})
    _operation: ClassVar[str]

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, properties.get("AlarmName") or work.name(255), {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = {**without(new, "Tags"), "AlarmName": physical_id}
        if tags := work.tags(new.get("Tags")):
            request["Tags"] = tags
        work.call("cloudwatch", self._operation, request)
        return Made(physical_id, {"Arn": work.arn("cloudwatch", f"alarm:{physical_id}")})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("cloudwatch").delete_alarms, AlarmNames=[physical_id])


@resource
class Alarm(_AnyAlarm):
    """An alarm on a metric or an expression."""

    TYPE = "AWS::CloudWatch::Alarm"
    _operation = "PutMetricAlarm"


@resource
class CompositeAlarm(_AnyAlarm):
    """An alarm on alarms."""

    TYPE = "AWS::CloudWatch::CompositeAlarm"
    _operation = "PutCompositeAlarm"


@resource
class Dashboard(ResourceType):
    """A dashboard."""

    TYPE = "AWS::CloudWatch::Dashboard"
    replacing: ClassVar = frozenset({"DashboardName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, properties.get("DashboardName") or work.name(255), {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        body = document(new["DashboardBody"])
        work.client("cloudwatch").put_dashboard(DashboardName=physical_id, DashboardBody=body)
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("cloudwatch").delete_dashboards, DashboardNames=[physical_id])


@resource
class Parameter(ResourceType):
    """A parameter of the Parameter Store."""

    TYPE = "AWS::SSM::Parameter"
    replacing: ClassVar = frozenset({"Name"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("Name") or work.name()
        tags = work.tags(properties.get("Tags"))
        work.call(
            "ssm", "PutParameter", {**without(properties, "Tags"), "Name": name, **({"Tags": tags} if tags else {})}
        )
        return Made(name, {"Type": properties["Type"], "Value": properties["Value"]})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("ssm", "PutParameter", {**without(new, "Tags"), "Name": physical_id, "Overwrite": True})
        return Made(physical_id, {"Type": new["Type"], "Value": new["Value"]})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ssm").delete_parameter, Name=physical_id)
