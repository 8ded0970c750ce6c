"""The embeddings route's part of the OpenAPI document."""

from aig.http.reference import METERED_HEADERS, operation
from aig.modalities.embed_body import body_schema

EMBEDDINGS = operation(
    "createEmbedding",
    "Turn texts, or token ids, into vectors",
    "embeddings",
    request={"schema": body_schema(), "example": {"model": "sandbox/embed", "input": ["hello", "world"]}},
    answer={
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.6, -0.8]}],
        "model": "sandbox/embed",
        "usage": {"prompt_tokens": 1, "total_tokens": 1, "cost": "0.000000105"},
    },
    errors=(400, 401, 402, 403, 404, 413, 415, 429, 502, 503, 504),
    parameters=METERED_HEADERS,
)
