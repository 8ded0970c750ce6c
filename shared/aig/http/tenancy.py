"""What an account may do and its sub-accounts may not."""

from typing import Protocol

from aig.errors import Forbidden, NotFound
from aig.http.reference import query
from aig.ids import has_form
from aig.keys import Caller

PARAMETER = query("sub_account", "Those of this sub-account of yours instead.")


class SubAccounts(Protocol):
    async def get(self, parent_id: str, sub_account_id: str) -> object | None: ...


def paying_account(caller: Caller) -> str:
    """The id of the caller's account. Raises Forbidden for a sub-account's key: the wallet is its parent's business."""
    if caller.parent_id is not None:
        raise Forbidden(
            "A sub-account has no wallet: its parent pays. Use a key of the parent account.", code="sub_account"
        )
    return caller.account_id


async def tenant_meant(caller: Caller, sub_account: str | None, known: SubAccounts) -> str:
    """Whose objects are meant: the caller's own, or those of a sub-account of its. Raises NotFound."""
    if sub_account is None:
        return caller.account_id
    if not has_form(sub_account, "sub") or await known.get(caller.account_id, sub_account) is None:
        raise NotFound("There is no such sub-account. GET /v1/sub-accounts lists those there are.")
    return sub_account
