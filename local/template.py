"""template.yaml, translated offline by the SAM translator and read into the parts that a local stack runs."""

import copy
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.intrinsics import REGION, Resolver
from local.machine_resources import Machine, machine
from local.queue_resources import Queue, QueueMapping, queue, queue_mapping

ROOT: Final = Path(__file__).resolve().parent.parent
TEMPLATE: Final = ROOT / "template.yaml"

_ANY_METHOD: Final = "x-amazon-apigateway-any-method"
_INTEGRATION: Final = "x-amazon-apigateway-integration"
_METHODS: Final = frozenset({"delete", "get", "head", "options", "patch", "post", "put"})
_INTEGRATION_FUNCTION: Final = re.compile(r"/functions/\$\{([A-Za-z0-9]+)(?:\.Arn)?\}/")
_RATE: Final = re.compile(r"rate\((\d+) (second|minute|hour|day)s?\)")
_UNIT_SECONDS: Final[Mapping[str, int]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# A variable that names one of these is left out: locally the values themselves come from environment variables.
_NOT_LOCAL: Final = frozenset({"AWS::SecretsManager::Secret"})
DEFAULT_INTEGRATION_SECONDS: Final = 29.0


@dataclass(frozen=True)
class Route:
    """One method of one path. `method` is "ANY" or a verb; `function` is a logical id; `timeout` is in seconds."""

    method: str
    path: str
    function: str
    streaming: bool
    timeout: float


@dataclass(frozen=True)
class Function:
    """One Lambda function. `timeout` is in seconds, `memory` in MB."""

    name: str
    handler: str
    environment: Mapping[str, str]
    timeout: int
    memory: int


@dataclass(frozen=True)
class Table:
    """One DynamoDB table; `definition` holds the arguments of boto3's create_table."""

    logical_id: str
    name: str
    definition: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True)
class Bucket:
    """One S3 bucket. `lifecycle` holds boto3's rules for it."""

    logical_id: str
    name: str
    lifecycle: tuple[Any, ...]


@dataclass(frozen=True)
class Schedule:
    """One rule that invokes a function. `every` is in seconds, or None when it is not a rate() expression."""

    name: str
    function: str
    expression: str
    every: float | None
    input: str | None


@dataclass(frozen=True)
class StreamMapping:
    """A function that is invoked with the records of a table's stream.

    `filters` are patterns, one of which a record has to match (none: all do); `window` is in seconds; `retries` is None
    for no end of them.
    """

    name: str
    function: str
    table: str
    from_the_start: bool
    batch: int
    window: float
    filters: tuple[Mapping[str, Any], ...]
    reports_failures: bool
    bisects: bool
    retries: int | None


@dataclass(frozen=True)
class GatewayResponse:
    """What API Gateway itself answers: status (None: the type's own), header expressions, body template."""

    status: int | None
    headers: Mapping[str, str]
    body: str | None


@dataclass(frozen=True)
class Stack:
    """Everything in the template that runs locally. `translated` is the plain CloudFormation it was read from."""

    routes: tuple[Route, ...]
    functions: Mapping[str, Function]
    tables: tuple[Table, ...]
    buckets: tuple[Bucket, ...]
    schedules: tuple[Schedule, ...]
    streams: tuple[StreamMapping, ...]
    queues: tuple[Queue, ...]
    queue_mappings: tuple[QueueMapping, ...]
    machines: tuple[Machine, ...]
    gateway_responses: Mapping[str, GatewayResponse]
    binary_media_types: tuple[str, ...]
    stage: str
    translated: Mapping[str, Any]


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def translate(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as the SAM translator makes it: plain CloudFormation, parameters and intrinsics still in it."""
    # The translator asks boto3 for a region and nothing else.
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    # It warns about its own feature toggles on every run.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    source = copy.deepcopy(yaml_parse(path.read_text(encoding="utf-8")))
    _point_code_at_s3(source)
    translated: dict[str, Any] = transform(source, {}, _NoManagedPolicies())
    return translated


def load(path: Path = TEMPLATE, parameters: Mapping[str, Any] | None = None) -> Stack:
    """Reads the template with its parameters' defaults, overridden by `parameters`.

    Raises ValueError when the template uses what the local stack does not know.
    """
    translated = translate(path)
    resources: Mapping[str, Mapping[str, Any]] = translated["Resources"]
    defaults = {name: declared.get("Default", "") for name, declared in translated.get("Parameters", {}).items()}
    resolver = Resolver(
        resources=resources,
        parameters=defaults | dict(parameters or {}),
        conditions=translated.get("Conditions", {}),
        mappings=translated.get("Mappings", {}),
    )
    bodies = [api["Properties"]["Body"] for api in _of_type(resources, "AWS::ApiGateway::RestApi").values()]
    stages = _of_type(resources, "AWS::ApiGateway::Stage").values()
    streams, queue_mappings = _event_sources(resources, resolver)
    return Stack(
        routes=tuple(route for body in bodies for route in _routes(body, resolver)),
        functions={
            name: _function(name, resource["Properties"], resolver)
            for name, resource in _of_type(resources, "AWS::Lambda::Function").items()
        },
        tables=tuple(
            _table(name, resource["Properties"], resolver)
            for name, resource in _of_type(resources, "AWS::DynamoDB::Table").items()
        ),
        buckets=tuple(
            _bucket(name, resource["Properties"], resolver)
            for name, resource in _of_type(resources, "AWS::S3::Bucket").items()
        ),
        schedules=tuple(_schedules(resources, resolver)),
        streams=streams,
        queues=tuple(
            queue(name, resource.get("Properties", {}), resolver)
            for name, resource in _of_type(resources, "AWS::SQS::Queue").items()
        ),
        queue_mappings=queue_mappings,
        machines=tuple(
            machine(name, resource["Properties"], resolver, path.parent)
            for name, resource in _of_type(resources, "AWS::StepFunctions::StateMachine").items()
        ),
        gateway_responses={
            kind: _gateway_response(answer)
            for body in bodies
            for kind, answer in body.get("x-amazon-apigateway-gateway-responses", {}).items()
        },
        binary_media_types=tuple(
            media for body in bodies for media in body.get("x-amazon-apigateway-binary-media-types", [])
        ),
        stage=next((str(resolver.resolve(stage["Properties"]["StageName"])) for stage in stages), "local"),
        translated=translated,
    )


def _point_code_at_s3(source: dict[str, Any]) -> None:
    """Local folders become an S3 address: the translator accepts nothing else, and `sam deploy` does the same."""
    blocks = [resource.get("Properties", {}) for resource in source.get("Resources", {}).values()]
    blocks.extend(source.get("Globals", {}).values())
    for block in blocks:
        for key in ("CodeUri", "ContentUri", "DefinitionUri"):
            if isinstance(block.get(key), str):
                block[key] = f"s3://local/{block[key].strip('/') or 'code'}"


def _of_type(resources: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Mapping[str, Any]]:
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def _routes(body: Mapping[str, Any], resolver: Resolver) -> list[Route]:
    routes = []
    for path, methods in body.get("paths", {}).items():
        for name, method in methods.items():
            if name != _ANY_METHOD and name not in _METHODS:
                continue
            integration = method[_INTEGRATION]
            if str(integration["type"]).lower() != "aws_proxy":
                continue
            uri = integration["uri"]["Fn::Sub"]
            streaming = integration.get("responseTransferMode") == "STREAM" and "/response-streaming-invocations" in uri
            routes.append(
                Route(
                    method="ANY" if name == _ANY_METHOD else name.upper(),
                    path=path,
                    function=_integration_function(uri, resolver),
                    streaming=streaming,
                    timeout=integration.get("timeoutInMillis", DEFAULT_INTEGRATION_SECONDS * 1000) / 1000,
                )
            )
    return routes


def _integration_function(uri: str, resolver: Resolver) -> str:
    match = _INTEGRATION_FUNCTION.search(uri)
    if match is None or match[1] not in resolver.resources:
        raise ValueError(f"an integration of template.yaml does not name a function: {uri}")
    return resolver.behind_alias(match[1])


def _function(name: str, properties: Mapping[str, Any], resolver: Resolver) -> Function:
    environment = {}
    for key, value in properties.get("Environment", {}).get("Variables", {}).items():
        resolver.referenced.clear()
        resolved = resolver.resolve(value)
        if not any(resolver.resources[used]["Type"] in _NOT_LOCAL for used in resolver.referenced):
            environment[key] = str(resolved)
    return Function(
        name=name,
        handler=str(properties["Handler"]),
        environment=environment,
        timeout=int(resolver.resolve(properties.get("Timeout", 3))),
        memory=int(resolver.resolve(properties.get("MemorySize", 128))),
    )


def _table(logical_id: str, properties: Mapping[str, Any], resolver: Resolver) -> Table:
    resolved = resolver.resolve(properties)
    name = resolver.physical_name(logical_id)
    definition: dict[str, Any] = {"TableName": name}
    for key in ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if key in resolved:
            definition[key] = resolved[key]
    if "StreamSpecification" in resolved:
        definition["StreamSpecification"] = {"StreamEnabled": True, **resolved["StreamSpecification"]}
    ttl = resolved.get("TimeToLiveSpecification", {})
    return Table(
        logical_id=logical_id,
        name=name,
        definition=definition,
        ttl_attribute=ttl["AttributeName"] if ttl.get("Enabled") else None,
    )


def _bucket(logical_id: str, properties: Mapping[str, Any], resolver: Resolver) -> Bucket:
    rules = resolver.resolve(properties.get("LifecycleConfiguration", {})).get("Rules", [])
    return Bucket(logical_id, resolver.physical_name(logical_id), tuple(map(_lifecycle_rule, rules)))


def _lifecycle_rule(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """boto3's words for one of the template's."""
    named = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        named["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "AbortIncompleteMultipartUpload" in rule:
        named["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return named


def _schedules(resources: Mapping[str, Mapping[str, Any]], resolver: Resolver) -> list[Schedule]:
    schedules = []
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Events::Rule" and "ScheduleExpression" in properties:
            targets = properties["Targets"]
        elif resource["Type"] == "AWS::Scheduler::Schedule":
            targets = [properties["Target"]]
        else:
            continue
        if properties.get("State", "ENABLED") != "ENABLED":
            continue
        expression = str(resolver.resolve(properties["ScheduleExpression"]))
        for target in targets:
            function = resolver.function(target["Arn"])
            given = resolver.resolve(target.get("Input"))
            schedules.append(Schedule(name, function, expression, rate_seconds(expression), given))
    return schedules


def _event_sources(
    resources: Mapping[str, Mapping[str, Any]], resolver: Resolver
) -> tuple[tuple[StreamMapping, ...], tuple[QueueMapping, ...]]:
    streams, queues = [], []
    for name, resource in _of_type(resources, "AWS::Lambda::EventSourceMapping").items():
        properties = resource["Properties"]
        if not resolver.resolve(properties.get("Enabled", True)):
            continue
        source = resolver.named(properties["EventSourceArn"])
        kind = resources[source]["Type"]
        if kind == "AWS::DynamoDB::Table":
            streams.append(_stream(name, properties, source, resolver))
        elif kind == "AWS::SQS::Queue":
            queues.append(queue_mapping(name, properties, source, resolver))
        else:
            raise ValueError(f"{name} reads {source}: only streams of tables and queues are read locally")
    return tuple(streams), tuple(queues)


def _stream(name: str, properties: Mapping[str, Any], table: str, resolver: Resolver) -> StreamMapping:
    retries = int(properties.get("MaximumRetryAttempts", -1))
    return StreamMapping(
        name=name,
        function=resolver.function(properties["FunctionName"]),
        table=resolver.physical_name(table),
        from_the_start=properties["StartingPosition"] == "TRIM_HORIZON",
        batch=int(properties.get("BatchSize", 100)),
        window=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        filters=tuple(
            json.loads(entry["Pattern"]) for entry in properties.get("FilterCriteria", {}).get("Filters", ())
        ),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ()),
        bisects=bool(properties.get("BisectBatchOnFunctionError", False)),
        retries=None if retries < 0 else retries,
    )


def rate_seconds(expression: str) -> float | None:
    """The seconds of an expression like "rate(5 minutes)"; None for any other schedule."""
    match = _RATE.fullmatch(expression.strip())
    return None if match is None else float(int(match[1]) * _UNIT_SECONDS[match[2]])


def _gateway_response(answer: Mapping[str, Any]) -> GatewayResponse:
    prefix = "gatewayresponse.header."
    parameters = answer.get("responseParameters") or {}
    status = answer.get("statusCode")
    return GatewayResponse(
        status=None if status is None else int(status),
        headers={key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix)},
        body=(answer.get("responseTemplates") or {}).get("application/json"),
    )
