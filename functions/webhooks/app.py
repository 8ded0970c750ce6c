"""/v1/webhook-secret and /v1/webhooks: what signs webhooks, where they go, and what became of them."""

from mangum import Mangum

from aig import wiring
from aig.http.app import create_app
from aig.http.auth import Authenticator
from functions.webhooks.deliveries import DeliveryRoutes
from functions.webhooks.endpoints import EndpointRoutes
from functions.webhooks.signing import SigningRoutes

container = wiring.container()
queue = wiring.queue("AIG_WEBHOOK_QUEUE")
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway webhooks", container.ids, container.telemetry, queue.close, container.close)
handler = Mangum(app, lifespan="off")
app.include_router(SigningRoutes(container, authenticated).router())
app.include_router(EndpointRoutes(container, authenticated, queue, wiring.allow_loopback()).router())
app.include_router(DeliveryRoutes(container, authenticated, queue).router())
