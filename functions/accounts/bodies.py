"""The bodies of requests about keys and sub-accounts. Every field may be left out; null takes a limit away."""

from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from aig.http.headers import TAG_FORM, is_tag
from aig.keys import Scope
from aig.limits import Reset
from aig.modalities.invalid import invalid_field
from aig.money.units import parse_usd

MAX_GRACE_S = 7 * 24 * 3600

T = TypeVar("T")


def _dollars(text: str) -> str:
    parse_usd(text)
    return text


def _tag(text: str) -> str:
    if not is_tag(text):
        raise ValueError(f"a tag has {TAG_FORM}")
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[^<>\x00-\x1f\x7f]{1,128}$")]
Dollars = Annotated[str, AfterValidator(_dollars), Field(description='USD as a decimal string, such as "25.00".')]
Tag = Annotated[str, AfterValidator(_tag), Field(description=TAG_FORM)]
_Glob = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._/*?-]{1,128}$")]


@with_config(ConfigDict(strict=True, extra="forbid"))
class LimitsBody(TypedDict):
    """What keys and sub-accounts have in common."""

    spend_cap: NotRequired[Dollars | None]
    spend_cap_reset: NotRequired[Reset]
    rpm: NotRequired[Annotated[int, Field(ge=1, le=1_000_000)] | None]
    allowed_models: NotRequired[Annotated[list[_Glob], Field(max_length=100)]]
    default_tag: NotRequired[Tag | None]


_Scopes = Annotated[list[Scope], Field(min_length=1, max_length=3)]
_Expiry = Annotated[int, Field(ge=0, lt=2**40, description="Unix seconds.")]


@with_config(ConfigDict(strict=True, extra="forbid"))
class KeyBody(LimitsBody):
    """Body of POST /v1/keys."""

    name: Name
    scopes: NotRequired[_Scopes]
    expires_at: NotRequired[_Expiry | None]


@with_config(ConfigDict(strict=True, extra="forbid"))
class KeyChanges(LimitsBody):
    """Body of PATCH /v1/keys/{key_id}."""

    name: NotRequired[Name]
    scopes: NotRequired[_Scopes]
    expires_at: NotRequired[_Expiry | None]


@with_config(ConfigDict(strict=True, extra="forbid"))
class SubAccountBody(LimitsBody):
    """Body of POST /v1/sub-accounts. `scopes` are those of its first key."""

    name: Name
    scopes: NotRequired[_Scopes]


@with_config(ConfigDict(strict=True, extra="forbid"))
class SubAccountChanges(LimitsBody):
    """Body of PATCH /v1/sub-accounts/{sub_account_id}."""

    name: NotRequired[Name]
    disabled: NotRequired[bool]


@with_config(ConfigDict(strict=True, extra="forbid"))
class RotationBody(TypedDict):
    """Body of a rotation: for how long the former secret goes on working, a day if left out."""

    grace_period_s: NotRequired[Annotated[int, Field(ge=0, le=MAX_GRACE_S)]]


@with_config(ConfigDict(strict=True, extra="forbid"))
class AccountChanges(TypedDict):
    """Body of PATCH /v1/account."""

    name: NotRequired[Name]
    request_retention: NotRequired[Literal["full", "none"]]
    # What is spent in a day, or a month, of which the account is told when it is passed.
    daily_usage_threshold: NotRequired[Dollars | None]
    monthly_usage_threshold: NotRequired[Dollars | None]


ACCOUNT_CHANGES: TypeAdapter[AccountChanges] = TypeAdapter(AccountChanges)
KEY: TypeAdapter[KeyBody] = TypeAdapter(KeyBody)
KEY_CHANGES: TypeAdapter[KeyChanges] = TypeAdapter(KeyChanges)
SUB_ACCOUNT: TypeAdapter[SubAccountBody] = TypeAdapter(SubAccountBody)
SUB_ACCOUNT_CHANGES: TypeAdapter[SubAccountChanges] = TypeAdapter(SubAccountChanges)
ROTATION: TypeAdapter[RotationBody] = TypeAdapter(RotationBody)


def check(adapter: TypeAdapter[T], body: dict[str, Any]) -> T:
    """Raises InvalidRequest, naming the field."""
    try:
        return adapter.validate_python(body)
    except ValidationError as error:
        raise invalid_field(error, body) from None


def schema(adapter: TypeAdapter[Any], example: dict[str, Any]) -> dict[str, Any]:
    """What the OpenAPI document says of a body."""
    return {"schema": adapter.json_schema(ref_template="#/components/schemas/{model}"), "example": example}
