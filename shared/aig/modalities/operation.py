"""A call that takes one request and gives one whole answer: what every modality but chat consists of."""

from typing import Any, Protocol, TypeVar

from aig.modalities.cacheable import Cacheable
from aig.modalities.usage import Usage


class Result(Protocol):
    """What an adapter gives back. `usage` is None where the provider tells none."""

    @property
    def usage(self) -> Usage | None: ...


ResultT = TypeVar("ResultT", contravariant=True)


class Operation(Cacheable, Protocol[ResultT]):
    """A request that a whole answer is given to."""

    def estimate(self, result: ResultT) -> Usage:
        """What it consumed, where the provider does not say."""
        ...

    def answer(self, result: ResultT, usage: Usage) -> dict[str, Any]:
        """The JSON that the client gets, with its `usage`, but without the model's name and the cost."""
        ...
