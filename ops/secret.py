"""Provider keys in the stack's one secret."""

import json

import boto3

from aig_providers.payments import Payments


def set_provider_key(secret_arn: str, name: str, value: str) -> None:
    """Put one provider key beside what the secret holds; an empty value takes it out.

    Running functions see it within five minutes.
    """
    client = boto3.client("secretsmanager")
    values = json.loads(client.get_secret_value(SecretId=secret_arn)["SecretString"])
    values[name] = value
    kept = {key: text for key, text in values.items() if text}
    client.put_secret_value(SecretId=secret_arn, SecretString=json.dumps(kept))


def provider_key_names(secret_arn: str) -> list[str]:
    """Which provider keys are set; their values stay where they are."""
    values = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"])
    return sorted(set(values) - {"pepper"})


def payment_names() -> set[str]:
    """The names of what payment providers need."""
    adapters = [adapter for name in Payments().names() if (adapter := Payments().get(name))]
    return {name for one in adapters for name in (one.key_name, one.webhook_secret_name, one.base_url_name)}
