"""What an account may do and its sub-accounts may not."""

from aig.errors import Forbidden
from aig.keys import Caller


def paying_account(caller: Caller) -> str:
    """The id of the caller's account. Raises Forbidden for a sub-account's key: the wallet is its parent's business."""
    if caller.parent_id is not None:
        raise Forbidden(
            "A sub-account has no wallet: its parent pays. Use a key of the parent account.", code="sub_account"
        )
    return caller.account_id
