"""Where one attempt goes: everything an adapter needs to know of a provider, and nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, to the first byte of a stream, between its chunks, and to a whole unstreamed answer."""

    connect: float = 3.0
    first_byte: float = 30.0
    idle: float = 60.0
    # API Gateway cuts a response that is silent for five minutes; an unstreamed answer is silent until it is done.
    total: float = 290.0


async def _always_first(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Upstream:
    """`model_id` is the provider's own name of the model. `session` names the (key, x-sandbox-id) of the caller."""

    provider: str
    model_id: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    session: str = ""
    # OpenAI's reasoning models refuse `max_tokens`; self-hosted servers know nothing else.
    max_tokens_field: str = "max_tokens"
    # Whether this is the first call ever with that text: the only memory an adapter has.
    first_time: Callable[[str], Awaitable[bool]] = _always_first
