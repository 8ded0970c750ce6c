"""What a request asks of whoever serves it: all that routing and the hold need to know, whatever the modality."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aig.modalities.usage import Unit

# Some providers keep prompts of themselves, and charge for that: no mark of the client's has to ask for it.
TEXT_IN: frozenset[Unit] = frozenset({"input_tokens", "cached_input_tokens", "cache_write_tokens"})
TEXT_OUT: frozenset[Unit] = frozenset({"output_tokens", "reasoning_tokens"})
BYTES_PER_TOKEN = 4
USUAL_IMAGE = 1_000  # tokens
USUAL_FILE = 4_000
UNSAID = 0  # seconds of what is to be made: the model decides
UNBOUNDED_TOKENS = 10**9  # of an input that only the model's context bounds


@dataclass(frozen=True, slots=True)
class Demand:
    """`models` are slugs to try in order, none meaning any; token counts are upper bounds, None is unbounded.

    `images` are not among the input tokens: how many those of a picture are, the model decides. `input_units` and
    `output_units` are the classes that its tokens may turn out to be of; `counts` bounds what is billed by other units.
    `usual` is what it may well come to of them, and of output that is counted apart, where that is not the bound.
    `may_be_short` says that fewer output tokens than that are worth something. `sampling` names the settings of
    sampling that are asked to be other than usual, which some models refuse; `fields` names what asks for a
    capability, where that is no matter of course.
    """

    models: tuple[str, ...]
    capabilities: frozenset[str]
    input_tokens: int
    output_tokens: int | None
    samples: int = 1
    inputs: int = 1
    images: int = 0
    input_units: frozenset[Unit] = TEXT_IN
    output_units: frozenset[Unit] = TEXT_OUT
    counts: Mapping[Unit, int] = field(default_factory=dict)
    usual: Mapping[Unit, int] = field(default_factory=dict)
    may_be_short: bool = False
    preferences: Mapping[str, Any] = field(default_factory=dict)
    service_tier: str | None = None
    sampling: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    image_hosts: frozenset[str] = frozenset()

    @property
    def smaller(self) -> str:
        """What a client is told to send in its place, where this is too much."""
        return "a smaller max_tokens" if self.may_be_short else "a smaller request"

    @property
    def usual_units(self) -> Mapping[Unit, int]:
        """What it may well come to, without an answer's text: for comparing, and for what a failed attempt took."""
        return {"input_tokens": self.usual_input, **self.counts, **self.usual}

    @property
    def usual_input(self) -> int:
        """What its input usually comes to, in tokens; its upper bound is a token a byte."""
        read = USUAL_FILE if self.input_tokens >= UNBOUNDED_TOKENS else self.input_tokens // BYTES_PER_TOKEN
        return read + self.images * USUAL_IMAGE
