"""API Gateway: HTTP APIs of plain resources."""

from __future__ import annotations

from typing import ClassVar, override

from springboard_local.services.cloudformation.resources.base import (
    Made,
    Properties,
    ResourceError,
    ResourceType,
    Work,
    gone,
    picked,
    resource,
    tag_map,
    without,
)


@resource
class Api(ResourceType):
    """An HTTP API. Its endpoint is the local one: the AWS name would not resolve on a laptop."""

    TYPE = "AWS::ApiGatewayV2::Api"
    replacing: ClassVar = frozenset({"ProtocolType"})
    _FROM_BODY = ("Body", "BodyS3Location", "BasePath", "FailOnWarnings")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {
            **without(properties, *self._FROM_BODY, "Tags"),
            "Name": properties.get("Name") or work.name(128),
            "ProtocolType": properties.get("ProtocolType", "HTTP"),
            "Tags": tag_map(work.tags(properties.get("Tags"))),
        }
        if request["ProtocolType"] != "HTTP":
            raise ResourceError("WebSocket APIs are not part of the local cloud")
        if any(name in properties for name in self._FROM_BODY):
            raise ResourceError("APIs from an OpenAPI body are not part of the local cloud; use routes as resources")
        made = work.call("apigatewayv2", "CreateApi", request)
        return self._made(work, made["ApiId"])

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = without(new, *self._FROM_BODY, "Tags", "ProtocolType")
        work.call("apigatewayv2", "UpdateApi", {**request, "ApiId": physical_id})
        if tags := tag_map(work.tags(new.get("Tags"))):
            arn = f"arn:aws:apigateway:{work.client('apigatewayv2').meta.region_name}::/apis/{physical_id}"
            work.client("apigatewayv2").tag_resource(ResourceArn=arn, Tags=tags)
        return self._made(work, physical_id)

    @staticmethod
    def _made(work: Work, api: str) -> Made:
        return Made(api, {"ApiId": api, "ApiEndpoint": f"{work.endpoint}/_apigw/{api}"})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("apigatewayv2").delete_api, ApiId=physical_id)


class _Part(ResourceType):
    """A part of an API that has an ID of its own."""

    replacing: ClassVar = frozenset({"ApiId"})
    _part: ClassVar[str]

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        made = work.call("apigatewayv2", f"Create{self._part}", properties)
        return self._made(made[f"{self._part}Id"])

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("apigatewayv2", f"Update{self._part}", {**new, f"{self._part}Id": physical_id})
        return self._made(physical_id)

    def _made(self, physical_id: str) -> Made:
        return Made(physical_id, {f"{self._part}Id": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        action = getattr(work.client("apigatewayv2"), f"delete_{self._part.lower()}")
        gone(action, **picked(properties, "ApiId"), **{f"{self._part}Id": physical_id})


@resource
class Route(_Part):
    """A route; its target is integrations/ID."""

    TYPE = "AWS::ApiGatewayV2::Route"
    _part = "Route"


@resource
class Integration(_Part):
    """What a route leads to."""

    TYPE = "AWS::ApiGatewayV2::Integration"
    _part = "Integration"


@resource
class Authorizer(_Part):
    """A JWT or Lambda authorizer."""

    TYPE = "AWS::ApiGatewayV2::Authorizer"
    _part = "Authorizer"


@resource
class Stage(ResourceType):
    """A stage."""

    TYPE = "AWS::ApiGatewayV2::Stage"
    replacing: ClassVar = frozenset({"ApiId", "StageName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        tags = tag_map(work.tags(properties.get("Tags")))
        work.call("apigatewayv2", "CreateStage", {**without(properties, "Tags"), **({"Tags": tags} if tags else {})})
        return Made(properties["StageName"])

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("apigatewayv2", "UpdateStage", without(new, "Tags"))
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("apigatewayv2").delete_stage, **picked(properties, "ApiId", "StageName"))


@resource
class Deployment(ResourceType):
    """A deployment; with AutoDeploy off the stage names one."""

    TYPE = "AWS::ApiGatewayV2::Deployment"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        made = work.call("apigatewayv2", "CreateDeployment", properties)
        return Made(made["DeploymentId"], {"DeploymentId": made["DeploymentId"]})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("apigatewayv2").delete_deployment, **picked(properties, "ApiId"), DeploymentId=physical_id)
