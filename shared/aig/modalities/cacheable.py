"""What of a request decides its answer, and whether it decides all of it: how a modality joins the cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.demand import Demand


@dataclass(frozen=True, slots=True)
class CacheForm:
    """`parameters` are JSON values: all that can change the answer, but the models, which the demand names.

    A streamed answer has another form than a whole one, so that each is given again exactly as it was made.
    `deterministic` says that the same request may expect the same answer.
    """

    modality: str
    parameters: Mapping[str, Any]
    deterministic: bool
    streamed: bool = False


class Cacheable(Protocol):
    """A request of any modality, as the metered call takes it."""

    @property
    def demand(self) -> Demand: ...

    @property
    def cache_form(self) -> CacheForm: ...
