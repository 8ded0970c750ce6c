"""Every model's slot, found by modality and name; models of one module share a slot, and so one engine."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from local.models.errors import NotFoundError
from local.models.hangup import unless_gone
from local.models.registry import Modality, Source
from local.models.slot import Emit, Slot

PieceT = TypeVar("PieceT")


class Slots:
    """The slots of the models that are served."""

    def __init__(self, modalities: Sequence[Modality]) -> None:
        """Loads nothing yet: `start` does for the sources marked `preload`, a first request for the others."""
        self.sources = [(modality.name, source) for modality in modalities for source in modality.sources]
        self._by_module: dict[str, Slot[Any]] = {}
        for _, source in self.sources:
            self._by_module.setdefault(source.module, Slot(source.load))

    def start(self) -> None:
        """Begin to load what is to be ready early."""
        for _, source in self.sources:
            if source.preload:
                self._of(source).start()

    def close(self) -> None:
        """Make every answer that is being made end now, and refuse the ones that wait."""
        for slot in self._by_module.values():
            slot.close()

    def health(self) -> dict[str, Any]:
        """What each model's engine is doing."""
        return {source.model: self._of(source).health() for _, source in self.sources}

    def find(self, modality: str, model: str) -> Slot[Any]:
        """The slot of a model. Raises `NotFoundError` for one that is not served or does other work."""
        for kind, source in self.sources:
            if (kind, source.model) == (modality, model):
                return self._of(source)
        serving = [source.model for kind, source in self.sources if kind == modality]
        raise NotFoundError(
            f"There is no local model {model!r} here that can {modality}; there is {', '.join(serving) or 'none'}.",
            param="model",
            code="model_not_found",
        )

    async def ask(
        self, request: Request, modality: str, model: str, work: Callable[[Any], Iterable[PieceT]]
    ) -> list[PieceT]:
        """All pieces that `work(engine)` yields in the engine's thread.

        When the client hangs up, the work ends at its next piece: yield one for every second or so of work. Raises
        `NotFoundError`, `ClientDisconnect`, and the `ApiError` that the work or the loading raised.
        """
        slot = self.find(modality, model)

        def emit_all(engine: Any, emit: Emit[PieceT]) -> None:
            for piece in work(engine):
                if emit(piece):
                    return

        async def collect() -> list[PieceT]:
            return [piece async for piece in slot.run(emit_all)]

        return await unless_gone(request, collect())

    def _of(self, source: Source) -> Slot[Any]:
        return self._by_module[source.module]
