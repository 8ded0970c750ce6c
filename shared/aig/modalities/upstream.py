"""Where one attempt goes: everything an adapter needs to know of a provider, and nothing else."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aig.modalities.usage import Unit

# In what a provider, or a model of it, departs from its wire. Rows of the catalog name them; adapters ask for them.
QUIRKS = {
    "tells_clients": "is a server of ours: what it says of a request is for the client",
    "fixed_sampling": "refuses temperature, top_p and top_k other than the usual",
    "adaptive_thinking": "thinking is steered by an effort; a budget of tokens is refused",
    "responses": "takes tools beside reasoning at the Responses API only",
    "always_thinks": "refuses to have its thinking switched off",
    "thinking_level": "thinking is steered by a level; a budget of tokens is not",
    "keeps_cache_control": "takes cache_control marks in messages and tools",
    "keeps_reasoning_content": "wants reasoning_content of earlier turns back",
    "keeps_reasoning_details": "wants reasoning_details of earlier turns back",
    "takes_thinking": "has `thinking` to switch its reasoning, beside the effort or in place of it",
    "three_efforts": "knows the efforts low, medium and high only",
    "developer_role": "tells developers from the system",
    "closed_fields": "refuses every field and role that is not its own",
    "no_strict_tools": "refuses `strict` in a tool",
    "no_stream_options": "refuses stream_options",
    "no_encoding_format": "embeds to lists of floats only and refuses encoding_format",
    "prefix_input_type": "tells queries from documents by a field input_type",
    "wants_labels": "classifies by labels of the request only",
    "no_response_format": "gives pictures inline and refuses response_format; takes output_format and background",
    "plain_transcripts": "transcribes to json without times and knows no verbose_json",
    "ten_seconds_least": "bills any recording as ten seconds or more",
    "speech_events": "tells what speech consumed, in a stream of events only",
    "no_instructions": "is not told how to speak",
}


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


def _always() -> bool:
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
    quirks: frozenset[str] = frozenset()
    max_output: int = 0  # tokens that are paid for
    # The most inputs, and the most tokens of all of them, that one request for embeddings may hold.
    max_batch: int = 1
    max_batch_tokens: int | None = None
    dimensions: int | None = None  # what the model embeds to if nobody asks otherwise
    credits: Mapping[Unit, int] = field(default_factory=dict)  # what one second, or asset, costs of the provider's own
    sandbox_seconds: float = 3.0  # how long a job of the sandbox takes
    # Whether this is the first call ever with that text: the only memory an adapter has.
    first_time: Callable[[str], Awaitable[bool]] = _always_first
    # Whether an adapter that sends several requests for a call may send one of them again; it is counted then.
    may_ask_again: Callable[[], bool] = _always
