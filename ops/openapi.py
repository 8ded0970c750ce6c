"""One OpenAPI 3.1 document for all endpoint families: `python -m ops.openapi [--check]`."""

import argparse
import json
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from aig.http.event_reference import webhooks_section
from aig.http.reference import ERROR_SCHEMA

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "functions" / "models" / "openapi.json"
FAMILIES = (
    "chat",
    "embeddings",
    "images",
    "audio",
    "text",
    "vision",
    "files",
    "generations",
    "jobs",
    "models",
    "accounts",
    "payments",
    "requests",
    "usage",
    "webhooks",
)
TAGS = [
    {"name": "chat", "description": "Chat with any model of the catalog, by the OpenAI API."},
    {"name": "embeddings", "description": "Vectors for texts, by the OpenAI API."},
    {"name": "images", "description": "Pictures from prompts, by the OpenAI API."},
    {"name": "audio", "description": "Speech to text and text to speech, by the OpenAI API."},
    {"name": "text", "description": "Moderation by the OpenAI API; translation, classification, rerank."},
    {"name": "vision", "description": "The text of pictures and documents, and what is to be seen in pictures."},
    {"name": "jobs", "description": "Videos, music and 3D models, which take minutes, and what has become of them."},
    {"name": "files", "description": "Large files in, and links to files out."},
    {"name": "models", "description": "What there is, at what price, and how well it is."},
    {"name": "requests", "description": "What was asked and answered in the last thirty days."},
    {"name": "keys", "description": "API keys, with their scopes, caps and rates."},
    {"name": "sub-accounts", "description": "Customers of an account, each with its own keys, cap and rate."},
    {"name": "accounts", "description": "The caller's own wallet, ledger, key and events."},
    {"name": "payments", "description": "Top-ups through a payment provider."},
    {
        "name": "webhooks",
        "description": "Where accounts are told of events, how it is signed, what became of it.",
    },
    {"name": "usage", "description": "What was used and what it cost, by time, tag, model and sub-account."},
]


def _version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def _lift_definitions(document: dict[str, Any], schema: Any) -> None:
    """Pydantic leaves `$defs` inside the schema; the references to them point at the components."""
    if isinstance(schema, dict):
        document["components"]["schemas"].update(schema.pop("$defs", {}))
        for child in schema.values():
            _lift_definitions(document, child)
    elif isinstance(schema, list):
        for child in schema:
            _lift_definitions(document, child)


def document() -> dict[str, Any]:
    """The document, from the routes of every family's app."""
    merged: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "AIgateway",
            "version": _version(),
            "summary": "One OpenAI-compatible endpoint for every model, metered to the nano-dollar.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8787", "description": "make run"}],
        "tags": TAGS,
        "paths": {},
        "components": {
            "schemas": {"Error": ERROR_SCHEMA},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "sk-aig-..."}},
        },
    }
    for family in FAMILIES:
        app: FastAPI = import_module(f"functions.{family}.app").app
        paths = get_openapi(title="", version="", routes=app.routes)["paths"]
        for path in paths.values():
            for operation in path.values():
                operation["responses"].pop("422", None)  # FastAPI's own; bodies are read by aig.http.body
        merged["paths"] |= {path.replace(":path", ""): operations for path, operations in paths.items()}
    _lift_definitions(merged, merged["paths"])
    merged["webhooks"] = webhooks_section()
    return merged


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the document is not up to date")
    text = json.dumps(document(), indent=1, sort_keys=True) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        print(f"openapi: {TARGET.name} is not what the routes say: run `make openapi`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
