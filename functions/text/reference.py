"""The text routes' part of the OpenAPI document."""

from aig.http.reference import METERED_ERRORS, METERED_HEADERS, operation
from aig.modalities import classify_body, moderate_body, rerank_body, translate_body
from aig.modalities.moderate import CATEGORIES

MODERATIONS = operation(
    "createModeration",
    "Say what in texts and pictures is objectionable",
    "text",
    request={"schema": moderate_body.body_schema(), "example": {"model": "sandbox/moderate", "input": "flagme"}},
    answer={
        "id": "modr_req_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
        "object": "moderation",
        "results": [
            {
                "flagged": True,
                "categories": {name: name == "harassment" for name in CATEGORIES},
                "category_scores": {name: float(name == "harassment") for name in CATEGORIES},
                "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
            }
        ],
        "model": "sandbox/moderate",
        "usage": {"input_tokens": 1, "cost": "0.00000105"},
    },
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
TRANSLATIONS = operation(
    "createTranslation",
    "Translate texts",
    "text",
    request={
        "schema": translate_body.body_schema(),
        "example": {"model": "sandbox/translate", "text": "hello", "source_lang": "en", "target_lang": "pt-BR"},
    },
    answer={
        "object": "translation",
        "translations": [{"text": "[pt-BR] hello", "source_lang": "en", "target_lang": "pt-BR"}],
        "model": "sandbox/translate",
        "usage": {"characters": 5, "cost": "0.00000525"},
    },
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
CLASSIFICATIONS = operation(
    "createClassification",
    "Sort texts by the model's labels or by your own",
    "text",
    request={
        "schema": classify_body.body_schema(),
        "example": {"model": "sandbox/classify", "input": "my card was charged twice", "labels": ["card", "delivery"]},
    },
    answer={
        "object": "classification",
        "results": [
            {
                "index": 0,
                "label": "card",
                "score": 0.9,
                "labels": [{"label": "card", "score": 0.9}, {"label": "delivery", "score": 0.1}],
            }
        ],
        "model": "sandbox/classify",
        "usage": {"input_tokens": 5, "cost": "0.00000525"},
    },
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
RERANK = operation(
    "createRerank",
    "Put the documents first that answer a query",
    "text",
    request={
        "schema": rerank_body.body_schema(),
        "example": {"model": "sandbox/rerank", "query": "red apples", "documents": ["green pears", "red apples"]},
    },
    answer={
        "object": "rerank",
        "results": [{"index": 1, "relevance_score": 1.0}, {"index": 0, "relevance_score": 0.0}],
        "model": "sandbox/rerank",
        "usage": {"search_units": 1, "cost": "0.0105"},
    },
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
