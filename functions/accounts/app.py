"""/v1/account, /v1/wallet, /v1/events, /v1/key, /v1/keys and /v1/sub-accounts: callers' own settings, money, keys."""

from mangum import Mangum

from aig import wiring
from aig.http.app import create_app
from aig.http.auth import Authenticator
from functions.accounts import wallet
from functions.accounts.account import AccountRoutes
from functions.accounts.keys import KeyRoutes
from functions.accounts.sub_accounts import SubAccountRoutes

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway accounts", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")
app.include_router(wallet.router(container, authenticated))
app.include_router(AccountRoutes(container, authenticated).router())
app.include_router(KeyRoutes(container, authenticated).router())
app.include_router(SubAccountRoutes(container, authenticated).router())
