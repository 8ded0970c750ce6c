"""The container of a deployed stack, or of the environment, for the operator's commands."""

import os
from collections.abc import Mapping

import boto3

from aig.aws.sigv4 import Credentials
from aig.wiring import Container, container


def environment(stack: str | None) -> Mapping[str, str]:
    """The tables and the secret as the stack's outputs say; without a stack, the environment as it is."""
    if stack is None:
        return dict(os.environ)
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Stacks"][0]["Outputs"]}
    # A shell that has been used with a local database must not send a stack's money there.
    inherited = {name: value for name, value in os.environ.items() if name != "AIG_DYNAMODB_ENDPOINT"}
    return {
        **inherited,
        "AWS_REGION": boto3.Session().region_name,
        "AIG_CORE_TABLE": outputs["CoreTable"],
        "AIG_USAGE_TABLE": outputs["UsageTable"],
        "AIG_SECRET_ARN": outputs["SecretArn"],
        "AIG_JOB_QUEUE": outputs["JobQueue"],
        "AIG_JOB_FAILURES": outputs["JobFailures"],
        "AIG_WEBHOOK_QUEUE": outputs["WebhookQueue"],
        "AIG_WEBHOOK_FAILURES": outputs["WebhookFailures"],
    }


def open_container(env: Mapping[str, str]) -> Container:
    """Ports that use the operator's own AWS credentials. Raises ValueError for none."""
    return container(env, credentials=credentials())


def credentials() -> Credentials:
    """The operator's own: a profile, SSO, or variables. Raises ValueError for none."""
    found = boto3.Session().get_credentials()
    if found is None:
        raise ValueError("there are no AWS credentials: set AWS_PROFILE, or run `aws configure`")
    frozen = found.get_frozen_credentials()
    if frozen.access_key is None or frozen.secret_key is None:
        raise ValueError("the AWS credentials are not complete: run `aws configure`")
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
