"""/v1/account, /v1/wallet, /v1/key, /v1/keys and /v1/sub-accounts: callers' own settings, money and keys."""

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
from functions.accounts.account import AccountRoutes
from functions.accounts.keys import KeyRoutes
from functions.accounts.sub_accounts import SubAccountRoutes

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway accounts", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")
app.include_router(AccountRoutes(container, authenticated).router())
app.include_router(KeyRoutes(container, authenticated).router())
app.include_router(SubAccountRoutes(container, authenticated).router())


@app.get(
    "/v1/wallet",
    **operation(
        "retrieveWallet",
        "The account's balance, and what calls in flight hold of it",
        "accounts",
        answer={"object": "wallet", "balance": "9.98", "in_flight": "0.00", "currency": "usd"},
        errors=(401, 403, 503),
    ),
)
async def retrieve_wallet(caller: Annotated[Caller, Depends(authenticated("usage:read"))]) -> Response:
    wallet = await container.wallets.wallet(caller.account_id)
    return JsonAnswer(
        {"object": "wallet", "balance": usd(wallet.available), "in_flight": usd(wallet.held), "currency": "usd"}
    )
