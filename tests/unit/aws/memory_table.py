"""A table in memory whose transactions are atomic, as long as nothing is asked of them but what usage asks."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from typing_extensions import override

from aig.aws.json_api import PATIENCE_S, JsonApi
from aig.aws.sigv4 import Credentials
from aig.aws.table import Table, load
from aig.ports import StoreBusy

Outcome = Literal["done", "busy", "done but busy"]


class MemoryTable(Table):
    """`outcomes` says what becomes of each transaction; all that come after them are done."""

    def __init__(self, outcomes: Sequence[Outcome] = ()) -> None:
        super().__init__(JsonApi("dynamodb", "t", "1.0", "http://127.0.0.1:9", "r", Credentials("a", "b")), "usage")
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self._outcomes: Iterator[Outcome] = iter(outcomes)

    @override
    async def transact(self, actions: Sequence[dict[str, Any]], patience_s: float = PATIENCE_S) -> list[int]:
        keys = [load(action["Put"]["Item"] if "Put" in action else action["Update"]["Key"]) for action in actions]
        places = [(key["pk"], key["sk"]) for key in keys]
        assert 0 < len(actions) <= 100
        assert len(set(places)) == len(places), "DynamoDB takes one action an item"
        outcome = next(self._outcomes, "done")
        if outcome == "busy":
            raise StoreBusy(outcome)
        failed = [at for at, action in enumerate(actions) if "Put" in action and places[at] in self.items]
        if failed:
            return failed
        for place, action in zip(places, actions, strict=True):
            self._apply(place, action)
        if outcome == "done but busy":
            raise StoreBusy(outcome)
        return []

    def _apply(self, place: tuple[str, str], action: dict[str, Any]) -> None:
        if "Put" in action:
            self.items[place] = load(action["Put"]["Item"])
            return
        update = action["Update"]
        values, names = load(update["ExpressionAttributeValues"]), update["ExpressionAttributeNames"]
        sets, _, adds = update["UpdateExpression"].removeprefix("SET ").partition(" ADD ")
        item = self.items.setdefault(place, {"pk": place[0], "sk": place[1]})
        for part in sets.split(", "):
            name, value = part.split(" = ")
            item[names[name]] = values[value]
        for part in adds.split(", "):
            name, value = part.split(" ")
            item[names[name]] = item.get(names[name], 0) + values[value]
