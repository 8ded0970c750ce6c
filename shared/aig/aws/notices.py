"""What a change of a wallet tells its account, read from the table's stream."""

from collections.abc import Mapping
from typing import Any

from aig.aws.ledger import DynamoLedger, load_wallet
from aig.clock import Clock
from aig.ids import Ids
from aig.thresholds import event, falls_low

PATIENCE_S = 3.0


async def notice(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, ledger: DynamoLedger, clock: Clock, ids: Ids
) -> bool:
    """Write `balance.low` if this change of an item calls for it; whether it did. Raises StoreBusy.

    `old` and `new` are the images of a stream record, as `aig.aws.table.load` makes them. Any item may be shown, any
    number of times and in any order: an account is told once until money comes in again.
    """
    if old is None or new is None or new["sk"] != "wallet":
        return False
    wallet = load_wallet(new)
    if not falls_low(load_wallet(old), wallet):
        return False
    told = event("low", ids.new("evt"), new["pk"], wallet, int(clock.now()))
    return await ledger.mark("low", wallet, told, PATIENCE_S)
