"""The ports, built from the environment, once per container. Nothing connects before the first call."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aig import links
from aig.aws.blobs import Bucket
from aig.aws.cache import DynamoCache
from aig.aws.deliveries import DynamoDeliveries
from aig.aws.events import DynamoEvents
from aig.aws.files import S3Files
from aig.aws.health import DynamoHealth
from aig.aws.idempotency import DynamoIdempotency
from aig.aws.json_api import JsonApi
from aig.aws.keys import DynamoKeys
from aig.aws.ledger import DynamoLedger
from aig.aws.machines import StateMachine
from aig.aws.once import DynamoOnce
from aig.aws.queue import SqsQueue
from aig.aws.records import DynamoRecords
from aig.aws.secrets import Environment, SecretsManager
from aig.aws.sigv4 import Credentials
from aig.aws.sub_accounts import DynamoSubAccounts
from aig.aws.table import Table
from aig.aws.telemetry import JsonTelemetry
from aig.aws.topups import DynamoTopUps
from aig.aws.usage import DynamoUsage
from aig.aws.wallets import DynamoWallets
from aig.aws.webhooks import DynamoWebhooks
from aig.call import Gateway
from aig.catalog import model as catalog
from aig.clock import Clock, SystemClock
from aig.errors import InternalError
from aig.ids import Ids
from aig.limits import DAY_S, FreeTier
from aig.ports import Adapters, Secrets, Telemetry
from aig.topups import TopUpPorts
from aig.traffic import Traffic


class SystemResolver:
    async def addresses(self, host: str) -> Sequence[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True)
class Container:
    """What the functions share. `table` is for closing; the rest are ports."""

    table: Table
    keys: DynamoKeys
    sub_accounts: DynamoSubAccounts
    wallets: DynamoWallets
    ledger: DynamoLedger
    top_ups: DynamoTopUps
    idempotency: DynamoIdempotency
    events: DynamoEvents
    webhooks: DynamoWebhooks
    deliveries: DynamoDeliveries
    records: DynamoRecords
    health: DynamoHealth
    usage: DynamoUsage
    once: DynamoOnce
    cache: DynamoCache | None
    files: S3Files
    secrets: Secrets
    telemetry: Telemetry
    clock: Clock
    ids: Ids
    free_tier: FreeTier | None
    there: Mapping[str, Sequence[str]]  # which of a provider's models there are, by the variable that says so
    stage: str  # of the REST API: the first segment of its URL
    media_url: str | None  # where links to files lead; None: to where the client found us

    def gateway(self, adapters: Adapters) -> Gateway:
        """The metered call's needs, with the adapters that the function brings."""
        return Gateway(
            catalog=catalog.builtin().narrowed(self.there),
            adapters=adapters,
            secrets=self.secrets,
            keys=self.keys,
            wallets=self.wallets,
            traffic=Traffic(self.health, self.clock),
            once=self.once,
            resolver=SystemResolver(),
            telemetry=self.telemetry,
            clock=self.clock,
            ids=self.ids,
            free_tier=self.free_tier,
            cache=self.cache,
        )

    async def link_keys(self) -> Sequence[bytes]:
        """What links to files are opened with; the first signs them.

        One is made of the pepper, unless the secret has keys of their own. Raises InternalError where the operator has
        not set the pepper, or keys that are none.
        """
        current = await self.secrets.get("link_key")
        if current is None:
            pepper = await self.secrets.get("pepper")
            if pepper is None:
                raise InternalError("The gateway has no key pepper. The operator has to set it.", code="not_configured")
            return [links.link_key(pepper)]
        before, used_from = await self.secrets.get("link_key_before"), await self.secrets.get("link_key_from")
        try:
            return links.keys_in_use(current, before, used_from, self.clock.now())
        except ValueError:
            raise InternalError(
                "The gateway's link key is none. The operator has to rotate it.", code="not_configured"
            ) from None

    def top_up_ports(self) -> TopUpPorts:
        """What top-ups need."""
        return TopUpPorts(self.top_ups, self.wallets, self.secrets, self.telemetry, self.clock)

    async def close(self) -> None:
        await self.table.close()
        if self.cache is not None:
            await self.cache.close()
        await self.files.close()
        if isinstance(self.secrets, SecretsManager):
            await self.secrets.close()


def _credentials(env: Mapping[str, str]) -> Credentials:
    return Credentials(
        env.get("AWS_ACCESS_KEY_ID", ""), env.get("AWS_SECRET_ACCESS_KEY", ""), env.get("AWS_SESSION_TOKEN") or None
    )


def _telemetry(env: Mapping[str, str]) -> Telemetry:
    return JsonTelemetry(
        service=env.get("POWERTOOLS_SERVICE_NAME", "aigateway"),
        level=env.get("POWERTOOLS_LOG_LEVEL", "INFO").upper(),
        namespace=env.get("POWERTOOLS_METRICS_NAMESPACE", "AIgateway"),
    )


def _free_tier(text: str) -> FreeTier | None:
    """From `model requests-a-day until`, such as `moonshot/kimi-k2.6 100 2026-04-30`: that day is the last."""
    if not text.strip():
        return None
    model, requests, until = text.split()
    last_day = datetime.fromisoformat(until).replace(tzinfo=UTC)
    return FreeTier(model, int(requests), int(last_day.timestamp()) + DAY_S)


def _there(env: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    named = {name: value for name, value in env.items() if value and name.endswith(catalog.MODELS_VARIABLE)}
    return {name: [one.strip() for one in value.split(",")] for name, value in named.items()}


def _cache(
    env: Mapping[str, str], dynamodb: JsonApi, region: str, credentials: Credentials, clock: Clock
) -> DynamoCache | None:
    """None for a function that has no cache table."""
    name = env.get("AIG_CACHE_TABLE")
    if not name:
        return None
    large = env.get("AIG_CACHE_BUCKET")
    bucket = _bucket(env, large, region, credentials) if large else None
    return DynamoCache(Table(dynamodb, name), bucket, clock, int(env.get("AIG_CACHE_HOURS") or 24) * 3600)


def _bucket(env: Mapping[str, str], name: str, region: str, credentials: Credentials) -> Bucket:
    """`AIG_S3_ENDPOINT` is an S3 other than AWS's."""
    return Bucket(name, region, credentials, env.get("AIG_S3_ENDPOINT") or None)


def _region(env: Mapping[str, str]) -> str:
    return env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"


def queue(variable: str, env: Mapping[str, str] = os.environ, *, credentials: Credentials | None = None) -> SqsQueue:
    """The queue whose URL is in this variable, for the functions that send to it; `AIG_SQS_ENDPOINT` is another SQS."""
    region = _region(env)
    endpoint = env.get("AIG_SQS_ENDPOINT") or f"https://sqs.{region}.amazonaws.com"
    api = JsonApi("sqs", "AmazonSQS", "1.0", endpoint, region, credentials or _credentials(env))
    return SqsQueue(api, env.get(variable, ""))


def machine(variable: str, env: Mapping[str, str] = os.environ) -> StateMachine:
    """The state machine whose ARN is in this variable; `AIG_STATES_ENDPOINT` is another Step Functions."""
    region = _region(env)
    endpoint = env.get("AIG_STATES_ENDPOINT") or f"https://states.{region}.amazonaws.com"
    api = JsonApi("states", "AWSStepFunctions", "1.0", endpoint, region, _credentials(env))
    return StateMachine(api, env.get(variable, ""))


def allow_loopback(env: Mapping[str, str] = os.environ) -> bool:
    """Whether webhooks may go to this machine by http: on one's own machine only."""
    return env.get("AIG_ALLOW_LOOPBACK") == "true"


def time_scale(env: Mapping[str, str] = os.environ) -> float:
    """What waits of minutes and hours are multiplied by: 1, but on one's own machine. Raises ValueError."""
    scale = float(env.get("AIG_TIME_SCALE") or 1)
    if not 0 < scale <= 1:
        raise ValueError("AIG_TIME_SCALE is above 0 and at most 1")
    return scale


def container(
    env: Mapping[str, str] = os.environ, *, credentials: Credentials | None = None, clock: Clock | None = None
) -> Container:
    """Ports for an environment as template.yaml sets it; `AIG_SECRET_ARN` decides where secrets are."""
    clock = clock or SystemClock()
    credentials = credentials or _credentials(env)
    free_tier = _free_tier(env.get("AIG_FREE_TIER", ""))
    region = _region(env)
    endpoint = env.get("AIG_DYNAMODB_ENDPOINT") or f"https://dynamodb.{region}.amazonaws.com"
    dynamodb = JsonApi("dynamodb", "DynamoDB_20120810", "1.0", endpoint, region, credentials)
    table = Table(dynamodb, env.get("AIG_CORE_TABLE", "core"))
    records = DynamoRecords(Table(dynamodb, env.get("AIG_REQUESTS_TABLE", "requests")))
    free_requests = free_tier.requests_per_day if free_tier else 0
    wallets = DynamoWallets(table, records, free_requests=free_requests, clock=clock)
    secrets: Secrets
    if secret_arn := env.get("AIG_SECRET_ARN"):
        endpoint = f"https://secretsmanager.{region}.amazonaws.com"
        secrets = SecretsManager(
            JsonApi("secretsmanager", "secretsmanager", "1.1", endpoint, region, credentials), secret_arn, clock
        )
    else:
        secrets = Environment({**env, "pepper": env.get("AIG_KEY_PEPPER", "")})
    return Container(
        table=table,
        keys=DynamoKeys(table),
        sub_accounts=DynamoSubAccounts(table),
        wallets=wallets,
        ledger=DynamoLedger(table, wallets.shards),
        top_ups=DynamoTopUps(table, wallets.shards),
        idempotency=DynamoIdempotency(table),
        events=DynamoEvents(table),
        webhooks=DynamoWebhooks(table),
        deliveries=DynamoDeliveries(table),
        records=records,
        health=DynamoHealth(table),
        usage=DynamoUsage(Table(dynamodb, env.get("AIG_USAGE_TABLE", "usage"))),
        once=DynamoOnce(table, clock),
        cache=_cache(env, dynamodb, region, credentials, clock),
        files=S3Files(_bucket(env, env.get("AIG_MEDIA_BUCKET", "media"), region, credentials)),
        secrets=secrets,
        telemetry=_telemetry(env),
        clock=clock,
        ids=Ids(clock),
        free_tier=free_tier,
        there=_there(env),
        stage=env.get("AIG_STAGE", ""),
        media_url=env.get("AIG_MEDIA_URL") or None,
    )
