"""Provider keys, and the key of links to files, in the stack's one secret."""

import json
import secrets
from collections.abc import Mapping

import boto3

from aig import links
from aig_providers.payments import Payments


def set_provider_key(secret_arn: str, name: str, value: str) -> None:
    """Put one provider key beside what the secret holds; an empty value takes it out.

    Running functions see it within five minutes.
    """
    _put(secret_arn, {**_values(secret_arn), name: value})


def _values(secret_arn: str) -> dict[str, str]:
    told = boto3.client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"]
    values: dict[str, str] = json.loads(told)
    return values


def _put(secret_arn: str, values: Mapping[str, str]) -> None:
    kept = {key: text for key, text in values.items() if text}
    boto3.client("secretsmanager").put_secret_value(SecretId=secret_arn, SecretString=json.dumps(kept))


def rotate_link_key(secret_arn: str, now: int) -> None:
    """Sign links with another key, once all functions know it; those of the former key open until their time.

    A link of the key before that opens no more. Raises ValueError while the last rotation is not over.
    """
    values = _values(secret_arn)
    if now < int(values.get("link_key_from") or 0):
        raise ValueError(f"the last rotation is not over: wait {int(values['link_key_from']) - now} seconds")
    before = values.get("link_key") or links.link_key(values["pepper"]).hex()
    rotated = {
        "link_key": secrets.token_hex(32),
        "link_key_before": before,
        "link_key_from": str(now + links.SWITCH_S),
    }
    _put(secret_arn, {**values, **rotated})


def provider_key_names(secret_arn: str) -> list[str]:
    """Which provider keys are set; their values stay where they are."""
    return sorted(set(_values(secret_arn)) - {"pepper", "link_key", "link_key_before", "link_key_from"})


def payment_names() -> set[str]:
    """The names of what payment providers need."""
    adapters = [adapter for name in Payments().names() if (adapter := Payments().get(name))]
    return {name for one in adapters for name in (one.key_name, one.webhook_secret_name, one.base_url_name)}
