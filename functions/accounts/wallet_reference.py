"""The wallet's, the ledger's and the events' part of the OpenAPI document."""

from aig.http import pages
from aig.http.reference import operation, query

_WALLET = {
    "object": "wallet",
    "balance": "9.98",
    "in_flight": "0.00",
    "currency": "usd",
    "low_balance_threshold": "1.00",
}
_DEBIT = {
    "id": "txn_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "object": "transaction",
    "kind": "debit",
    "amount": "-0.00000525",
    "currency": "usd",
    "created_at": 1795305600,
    "request_id": "req_01KAP6V3J7M4V9X2C6B8N1Q5R3",
    "model": "sandbox/echo",
    "tag": None,
    "key_id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "sub_account": None,
    "cache_hit": False,
    "units": {"input_tokens": 1, "output_tokens": 2},
    "estimated": False,
    "service_tier": None,
}
_EVENT = {
    "id": "evt_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "object": "event",
    "type": "balance.low",
    "data": {"balance": "0.97", "in_flight": "0.00", "low_balance_threshold": "1.00", "currency": "usd"},
    "created_at": 1795305600,
}

RETRIEVE_WALLET = operation(
    "retrieveWallet",
    "The account's balance, what calls in flight hold of it, and below what it is told",
    "accounts",
    answer=_WALLET,
    errors=(401, 403, 503),
)
CHANGE_WALLET = operation(
    "changeWallet",
    "Below what balance the account is told",
    "accounts",
    request={
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "required": ["low_balance_threshold"],
            "properties": {"low_balance_threshold": {"type": "string", "description": "US dollars; 0 never tells."}},
        },
        "example": {"low_balance_threshold": "2.00"},
    },
    answer={**_WALLET, "low_balance_threshold": "2.00"},
    errors=(400, 401, 403, 413, 415, 503),
)
LIST_TRANSACTIONS = operation(
    "listTransactions",
    "The ledger: what came in, what calls cost, refunds and adjustments",
    "accounts",
    answer=pages.list_body([_DEBIT]),
    errors=(400, 401, 403, 503),
    parameters=(*pages.PARAMETERS, query("kind", "credit, debit, refund or adjustment; all if left out.")),
)
RETRIEVE_TRANSACTION = operation(
    "retrieveTransaction",
    "One row of the ledger",
    "accounts",
    answer=_DEBIT,
    errors=(401, 403, 404, 503),
)
LIST_EVENTS = operation(
    "listEvents",
    "What the account has been told in the last thirty days",
    "accounts",
    answer=pages.list_body([_EVENT]),
    errors=(400, 401, 403, 503),
    parameters=(*pages.PARAMETERS, query("type", "One type of event; all if left out.")),
)
