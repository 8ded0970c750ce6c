"""The payment routes' part of the OpenAPI document."""

from aig.http.idempotency import PARAMETER
from aig.http.reference import operation
from aig_providers.payments import DEFAULT

TOP_UP = {
    "id": "topup_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "object": "top_up",
    "amount": "25.00",
    "currency": "usd",
    "payment": DEFAULT,
    "status": "pending",
    "checkout_url": "https://pay.example.com/checkout/1",
    "expires_at": 1795388400,
    "transaction": None,
    "returned": "0.00",
    "created_at": 1795305600,
}
CREATE = operation(
    "createTopUp",
    "A page of the payment provider where the wallet is topped up",
    "payments",
    request={
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "required": ["amount", "success_url"],
            "properties": {
                "amount": {"type": "string", "description": "US dollars, whole cents, 5.00 to 10000.00."},
                "payment": {"type": "string", "default": DEFAULT},
                "success_url": {"type": "string", "description": "Where the browser goes after the payment."},
                "cancel_url": {"type": ["string", "null"], "description": "Where it goes without one."},
            },
        },
        "example": {"amount": "25.00", "success_url": "https://example.com/paid"},
    },
    answer=TOP_UP,
    errors=(400, 401, 403, 409, 413, 415, 502, 503, 504),
    parameters=(PARAMETER,),
)
RETRIEVE = operation(
    "retrieveTopUp",
    "What has become of a top-up",
    "payments",
    answer={**TOP_UP, "status": "paid", "checkout_url": None, "transaction": "topup_01KAP6YDV0H2J4K6M8N0P2Q4R6"},
    errors=(401, 403, 404, 503),
)
RECEIVE = operation(
    "receivePaymentEvent",
    "A payment provider's signed events",
    "payments",
    request={"schema": {"type": "object"}, "example": {"type": "checkout.session.completed"}},
    answer={"received": True},
    errors=(400, 404, 413, 502, 503),
    public=True,
)
