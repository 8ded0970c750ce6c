"""Sub-accounts: tenants of their own whose calls another account's wallet pays for. Pure."""

from dataclasses import dataclass

from aig.limits import Limits


@dataclass(frozen=True, slots=True)
class SubAccount:
    """`limits` bind all its keys together; `key_id` is the key that it was made with."""

    parent_id: str
    name: str
    limits: Limits
    key_id: str
    created_at: int
    active: bool = True
    default_tag: str | None = None

    @property
    def id(self) -> str:
        return self.limits.owner
