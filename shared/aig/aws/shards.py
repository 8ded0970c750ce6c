"""The shards of a wallet: `wallet`, `wallet#1`, … under the account that pays, each with available and held.

How many there are stands in the account's row, and in `wallet`: `shards`, absent for one. They only ever become more.
An environment that believes in fewer is right all the same: before it says no it looks at all there are. The first
shard, where it is the one that refuses, tells of them in the refusal itself.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aig.aws.json_api import AwsError
from aig.aws.table import Table, telling
from aig.clock import Clock
from aig.money.shards import MOST_SHARDS, Heat, Taking, pick, plan, twins_gifts
from aig.money.units import Nano
from aig.ports import HoldRefused, Limit, StoreBusy

_REMEMBERED = 1024
# An attempt fails where others took what the plan counted on: somebody has got ahead each time.
_ATTEMPTS = 40
_COLLECTIONS = 8
PACE_S = 10  # between doublings: others must have heard of the last before they tell of heat again
GROW_S = 0.5
_EMPTY: Mapping[str, Any] = {"available": 0, "held": 0}
_HEAT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def shard_key(shard: int) -> str:
    """The sort key of a wallet's shard."""
    return f"wallet#{shard}" if shard else "wallet"


def _available(shards: Sequence[Mapping[str, Any]]) -> list[int]:
    return [int(shard["available"]) for shard in shards]


def counter_key(name: str, shard: int, capped: Collection[str]) -> str:
    """The sort key of a spend counter: one item where a cap binds, sharded with the wallet where it only counts."""
    return f"spend#{name}#{shard}" if shard and name not in capped else f"spend#{name}"


@dataclass(slots=True)
class _Known:
    """What this environment knows of a wallet."""

    shards: int = 1
    heat: Heat = field(default_factory=Heat)


class Watch:
    """Counts one transaction towards the heat of a wallet, by what becomes of the actions at these positions."""

    def __init__(self, heat: Heat, positions: Collection[int]) -> None:
        self._heat = heat
        self._positions = positions
        self._conflicts = 0

    def trouble(self, error: AwsError) -> None:
        codes = error.cancellation_codes
        self._conflicts += any(code in _HEAT for at, code in enumerate(codes) if at in self._positions)

    def over(self) -> None:
        self._heat.saw(self._conflicts)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an attempt took nothing; `shards` is what the first shard, if it refused, says of how many there are."""

    limits: frozenset[Limit]
    shards: int = 1


class Shards:
    """`grow_s` is how long a settle may wait for a split beside it."""

    def __init__(self, table: Table, clock: Clock, grow_s: float = GROW_S) -> None:
        self._table = table
        self._grow_s = grow_s
        self._clock = clock
        self._wallets: OrderedDict[str, _Known] = OrderedDict()

    def _known(self, payer_id: str) -> _Known:
        known = self._wallets.get(payer_id)
        if known is None:
            known = self._wallets[payer_id] = _Known()
            if len(self._wallets) > _REMEMBERED:
                self._wallets.popitem(last=False)
        else:
            self._wallets.move_to_end(payer_id)
        return known

    def count(self, payer_id: str, told: int = 1) -> int:
        """How many shards there are at the least; `told` is what somebody else knows."""
        known = self._known(payer_id)
        if told > known.shards:
            known.shards = told
            known.heat.forget()  # it was that of fewer
        return known.shards

    def watch(self, payer_id: str, positions: Collection[int]) -> Watch:
        return Watch(self._known(payer_id).heat, positions)

    def paying(self, payer_id: str, taking: Taking, amount: int, held: int) -> list[dict[str, Any]]:
        """The actions that take an amount out of `available`, of which `held` is set aside. All may refuse."""
        table, net = self._table, amount - sum(taking.gives.values())
        taken = table.update_action(
            payer_id,
            shard_key(taking.at),
            "SET available = available - :net, held = held + :held",
            {":net": net, ":held": held},
            "available >= :net",
        )
        return [telling(taken), *(self._giving(payer_id, shard, gift) for shard, gift in taking.gives.items())]

    def _giving(self, payer_id: str, shard: int, gift: int) -> dict[str, Any]:
        values = {":gift": gift}
        expression = "SET available = available - :gift"
        return self._table.update_action(payer_id, shard_key(shard), expression, values, "available >= :gift")

    async def covering(
        self,
        payer_id: str,
        amount: Nano,
        name: str,
        told: int,
        attempt: Callable[[Taking], Awaitable[Refused | None]],
    ) -> Taking:
        """The taking that an attempt succeeded with: of one shard first, then of whichever have the money.

        `name` decides which shard is the first. Raises HoldRefused, for the balance only when all shards together did
        not cover the amount at one moment, and StoreBusy.
        """
        taking = Taking(pick(name, self.count(payer_id, told)) if amount else 0)
        for _ in range(_ATTEMPTS):
            refused = await attempt(taking)
            if refused is None:
                return taking
            if "balance" not in refused.limits or self.count(payer_id, refused.shards) == 1:
                raise HoldRefused(refused.limits)
            covered = await self._plan(payer_id, taking.at, amount)
            if covered is None:
                raise HoldRefused(refused.limits)
            if others := refused.limits - {"balance"}:
                raise HoldRefused(others)
            taking = covered
        raise StoreBusy("WalletShards")

    async def _plan(self, payer_id: str, at: int, amount: int) -> Taking | None:
        """By a look that never has to wait; only what seems too little is read as of one moment."""
        found = plan(_available(await self.look(payer_id)), at, amount)
        return found or plan(_available(await self.read(payer_id)), at, amount)

    async def look(self, payer_id: str) -> Sequence[Mapping[str, Any]]:
        """All shards, each as it is, but not at one moment: what is being moved may be missing, or be there twice."""
        found = {item["sk"]: item for item in await self._table.family(payer_id, "wallet")}
        shards = self.count(payer_id, found.get("wallet", {}).get("shards", 1))
        return [found.get(shard_key(shard), _EMPTY) for shard in range(shards)]

    async def read(self, payer_id: str) -> Sequence[Mapping[str, Any]]:
        """All shards at one moment; an account without a wallet has one that is empty.

        Any write under way on one of many has it repeated: at a busy wallet it is StoreBusy in the end.
        """
        while True:
            shards = self.count(payer_id)
            if shards == 1:
                found = [await self._table.get(payer_id, "wallet")]
            else:
                found = await self._table.get_all([(payer_id, shard_key(shard)) for shard in range(shards)])
            items = [item or _EMPTY for item in found]
            if self.count(payer_id, items[0].get("shards", 1)) == shards:
                return items

    async def take_out(self, payer_id: str, amount: int, actions: Sequence[dict[str, Any]], at: int) -> list[int]:
        """A transaction whose action at this position takes an amount, which is no call's, out of the first shard.

        The positions of the actions that refused: the wallet's only if all shards together had less at one moment.
        Raises StoreBusy, also where calls were faster each time.
        """
        for _ in range(_COLLECTIONS):
            there = await self.collect(payer_id, amount)
            failed = await self._table.transact(actions)
            if failed != [at]:
                return failed
            if there < amount and sum(_available(await self.read(payer_id))) < amount:
                return failed
        raise StoreBusy("WalletShards")

    async def collect(self, payer_id: str, amount: int) -> int:
        """As much of an amount as there is, into the first shard; what a look saw in all of them.

        The richest give first, one at a time: a transaction of many busy shards would hardly ever get through. A gift
        that somebody else has taken by then is left out.
        """
        available = _available(await self.look(payer_id))
        missing = amount - available[0]
        for shard in sorted(range(1, len(available)), key=lambda shard: -available[shard]):
            gift = min(available[shard], missing)
            if gift <= 0:
                break
            if not await self._table.transact(self._moving(payer_id, shard, 0, gift)):
                missing -= gift
        return sum(available)

    def _moving(self, payer_id: str, giver: int, taker: int, gift: int) -> list[dict[str, Any]]:
        taken = "SET available = available + :gift"
        return [
            self._giving(payer_id, giver, gift),
            self._table.update_action(payer_id, shard_key(taker), taken, {":gift": gift}),
        ]

    def hot(self, payer_id: str) -> bool:
        known = self._known(payer_id)
        return known.heat.hot and known.shards < MOST_SHARDS

    async def grow(self, payer_id: str) -> None:
        """Twice as many shards, if nobody has just seen to that. Whatever goes wrong, no money does."""
        known = self._known(payer_id)
        known.heat.forget()
        try:
            async with asyncio.timeout(self._grow_s):
                if await self._open_twins(payer_id, known.shards):
                    await self._fill_twins(payer_id)
        except Exception:
            return

    async def _open_twins(self, payer_id: str, shards: int) -> bool:
        """Twins without money: of the shards only one is touched, so that heat does not keep it from being done."""
        table, now = self._table, int(self._clock.now())
        counted = "shards = :old" if shards > 1 else "attribute_not_exists(shards)"
        paced = "(attribute_not_exists(sharded_at) OR sharded_at <= :before)"
        values = {":double": 2 * shards, ":now": now, ":before": now - PACE_S}
        account = table.update_action(
            payer_id,
            "account",
            "SET shards = :double, sharded_at = :now",
            {**values, ":old": shards} if shards > 1 else values,
            f"attribute_exists(pk) AND {counted} AND {paced}",
        )
        marked = table.update_action(payer_id, "wallet", "SET shards = :double", {":double": 2 * shards})
        twins = [
            table.put_action({"pk": payer_id, "sk": shard_key(shard), "available": 0, "held": 0})
            for shard in range(shards, 2 * shards)
        ]
        failed = await table.transact_telling([telling(account), marked, *twins], self._grow_s)
        self.count(payer_id, failed[0].get("shards", 1) if 0 in failed else 2 * shards)
        return not failed

    async def _fill_twins(self, payer_id: str) -> None:
        """Each in a transaction of its own. A twin that stays empty is filled by the first hold that meets it."""
        available = _available(await self.look(payer_id))
        half = len(available) // 2
        await asyncio.gather(
            *(
                self._table.transact(self._moving(payer_id, shard, shard + half, gift))
                for shard, gift in twins_gifts(available).items()
            )
        )

    async def spent(self, tenant_id: str, name: str, *, gather: bool) -> tuple[int, int]:
        """What a counter counts in all its items, as (spent, used).

        With `gather` they become one: a cap that was set after they were sharded must see all of it.
        """
        items = await self._table.family(tenant_id, f"spend#{name}")
        aside = [item for item in items if item["sk"] != f"spend#{name}" and (item["spent"] or item["used"])]
        if gather and aside:
            await self._gather(tenant_id, name, aside)
            keys = [(tenant_id, sk) for sk in (f"spend#{name}", *(item["sk"] for item in aside))]
            items = [item for item in await self._table.get_all(keys) if item]
        spent, used = (sum(item.get(what, 0) for item in items) for what in ("spent", "used"))
        return spent, used

    async def _gather(self, tenant_id: str, name: str, aside: Sequence[Mapping[str, Any]]) -> None:
        """All of it or, where one counts at this moment, nothing: the next look tries again."""
        table, spent, used = self._table, 0, 0
        emptied: list[dict[str, Any]] = []
        for item in aside:
            spent, used = spent + item["spent"], used + item["used"]
            emptied.append(
                table.update_action(
                    tenant_id,
                    item["sk"],
                    "SET spent = :none, used = :none",
                    {":none": 0, ":spent": item["spent"], ":used": item["used"]},
                    "spent = :spent AND used = :used",
                )
            )
        whole = table.update_action(
            tenant_id, f"spend#{name}", "ADD used :used, spent :spent", {":used": used, ":spent": spent}
        )
        await table.transact([whole, *emptied])
