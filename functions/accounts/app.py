"""GET /v1/key, the caller's own key; its wallet is in functions/accounts/wallet.py."""

from typing import Annotated

from fastapi import Depends
from mangum import Mangum
from starlette.responses import Response

from aig import wiring
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation
from aig.keys import Caller
from aig.money.units import usd
from functions.accounts import wallet

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway accounts", container.ids, container.telemetry, container.close)
app.include_router(wallet.router(container, authenticated))
handler = Mangum(app, lifespan="off")


@app.get(
    "/v1/key",
    **operation(
        "retrieveKey",
        "The key that the request was made with: its limits and what it has spent",
        "accounts",
        answer={
            "object": "api_key",
            "id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
            "name": "default",
            "hint": "sk-aig-k3v9x2ab…",
            "scopes": ["inference", "usage:read"],
            "rate_limit": {"rpm": None},
            "allowed_models": [],
            "default_tag": None,
            "expires_at": None,
            "spent": "0.02",
            "remaining": None,
        },
        errors=(401, 503),
    ),
)
async def retrieve_key(caller: Annotated[Caller, Depends(authenticated())]) -> Response:
    spend = await container.wallets.key_spend(caller.account_id, caller.key_id)
    return JsonAnswer(
        {
            "object": "api_key",
            "id": caller.key_id,
            "name": caller.key_name,
            "hint": caller.hint,
            "scopes": sorted(caller.scopes),
            "rate_limit": {"rpm": caller.rpm},
            "allowed_models": list(caller.allowed_models),
            "default_tag": caller.default_tag,
            "expires_at": caller.expires_at,
            "spent": usd(spend.spent),
            "remaining": None if spend.room is None else usd(spend.room),
        }
    )
