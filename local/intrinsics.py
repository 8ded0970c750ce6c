"""CloudFormation's intrinsic functions, resolved to the values that a resource has on this machine."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any

REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"
STACK_NAME: Final = "aigateway"

_PSEUDO_PARAMETERS: Final[Mapping[str, str]] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK_NAME}/local",
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}
_VARIABLE: Final = re.compile(r"\$\{(!?)([^}]+)\}")
# What `Ref` and `.Arn` of a type look like. `{name}` is the physical name.
_ARNS: Final[Mapping[str, str]] = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{name}}",
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{name}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{name}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{name}}",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{name}}",
}
_REF_IS_ARN: Final = frozenset({"AWS::SecretsManager::Secret", "AWS::StepFunctions::StateMachine", "AWS::SNS::Topic"})
_NAME_PROPERTIES: Final = ("TableName", "FunctionName", "QueueName", "BucketName", "StateMachineName", "Name")
# Attributes that are the physical name, by the type that has them.
_NAME_ATTRIBUTES: Final = frozenset({("AWS::SQS::Queue", "QueueName"), ("AWS::StepFunctions::StateMachine", "Name")})


class NoValue:
    """Stands for AWS::NoValue: the key or list entry that holds it is dropped."""


_NO_VALUE: Final = NoValue()


@dataclass
class Resolver:
    """Resolves values of one translated template.

    `referenced` collects the logical ids that were looked up, so that a caller can tell what a value depends on.
    Raises ValueError for an intrinsic function or a name that it does not know.
    """

    resources: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Any]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    referenced: set[str] = field(default_factory=set)

    def resolve(self, value: Json) -> Json:
        """The value with every intrinsic function replaced; plain data comes back as it is."""
        if isinstance(value, list):
            resolved = (self.resolve(item) for item in value)
            return [item for item in resolved if not isinstance(item, NoValue)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::") or name == "Condition":
                return self._call(name, argument)
        pairs = ((key, self.resolve(item)) for key, item in value.items())
        return {key: item for key, item in pairs if not isinstance(item, NoValue)}

    def named(self, value: Json) -> str:
        """The logical id of the one resource that the value refers to. Raises ValueError when it is not one."""
        self.referenced.clear()
        resolved = self.resolve(value)
        if len(self.referenced) != 1:
            raise ValueError(f"template.yaml should name one resource where it has {resolved}")
        return next(iter(self.referenced))

    def function(self, value: Json) -> str:
        """The logical id of the function that the value names, be it by an alias of the function."""
        return self.behind_alias(self.named(value))

    def behind_alias(self, logical_id: str) -> str:
        """The logical id of the function that an alias stands for; any other comes back as it is."""
        resource = self.resources[logical_id]
        if resource["Type"] == "AWS::Lambda::Alias":
            return str(resource["Properties"]["FunctionName"]["Ref"])
        return logical_id

    def physical_name(self, logical_id: str) -> str:
        """What the resource is called on this machine: its own name property, else stack and logical id."""
        properties = self.resources[logical_id].get("Properties", {})
        for key in _NAME_PROPERTIES:
            if key in properties:
                name = self.resolve(properties[key])
                if isinstance(name, str):
                    return name
        name = f"{STACK_NAME}-{logical_id}"
        # The name of a bucket is a host's.
        return name.lower() if self.resources[logical_id]["Type"] == "AWS::S3::Bucket" else name

    def _call(self, name: str, argument: Json) -> Json:
        functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": lambda a: str(a[0]).join(str(item) for item in self.resolve(a[1])),
            "Fn::Select": lambda a: self.resolve(a[1])[int(self.resolve(a[0]))],
            "Fn::Split": lambda a: str(self.resolve(a[1])).split(a[0]),
            "Fn::FindInMap": lambda a: self.mappings[self.resolve(a[0])][self.resolve(a[1])][self.resolve(a[2])],
            "Fn::If": lambda a: self.resolve(a[1] if self._condition(a[0]) else a[2]),
            "Fn::Equals": lambda a: str(self.resolve(a[0])) == str(self.resolve(a[1])),
            "Fn::Not": lambda a: not self.resolve(a[0]),
            "Fn::And": lambda a: all(self.resolve(item) for item in a),
            "Fn::Or": lambda a: any(self.resolve(item) for item in a),
            "Condition": self._condition,
        }
        if name not in functions:
            raise ValueError(f"the local stack does not know {name} (in template.yaml)")
        return functions[name](argument)

    def _condition(self, name: str) -> bool:
        return bool(self.resolve(self.conditions[name]))

    def _ref(self, name: str) -> Json:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in _PSEUDO_PARAMETERS:
            return _PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        if name not in self.resources:
            raise ValueError(f"template.yaml refers to {name!r}, which it does not define")
        self.referenced.add(name)
        kind = self.resources[name]["Type"]
        if kind == "AWS::SQS::Queue":
            # The address that AWS gives it: of all that, SQS reads account and name only.
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self.physical_name(name)}"
        return self._arn(name) if kind in _REF_IS_ARN else self.physical_name(name)

    def _get_att(self, argument: Json) -> str:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        if logical_id not in self.resources:
            raise ValueError(f"template.yaml refers to {logical_id!r}, which it does not define")
        self.referenced.add(logical_id)
        if (self.resources[logical_id]["Type"], attribute) in _NAME_ATTRIBUTES:
            return self.physical_name(logical_id)
        arn = self._arn(logical_id)
        return arn if attribute == "Arn" else f"{arn}/{attribute}"

    def _arn(self, logical_id: str) -> str:
        kind = self.resources[logical_id]["Type"]
        pattern = _ARNS.get(kind, f"arn:aws:local:{REGION}:{ACCOUNT}:{{name}}")
        return pattern.format(name=self.physical_name(logical_id))

    def _sub(self, argument: Json) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in extra:
                return str(self.resolve(extra[name]))
            return str(self._get_att(name) if "." in name else self._ref(name))

        return _VARIABLE.sub(replace, text)
