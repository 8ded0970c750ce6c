"""Compile catalog/*.toml into the JSON that is deployed: `python -m ops.catalog [--check]`."""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from aig.catalog.compile import compile_catalog
from aig.catalog.model import CATALOG_FILE

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "catalog"
TARGET = ROOT / "shared" / "aig" / "catalog" / CATALOG_FILE


def _rows(path: Path) -> list[dict[str, Any]]:
    """The models of one vendor's file, with what `[defaults]` and `[defaults.price]` say where they are silent."""
    table = tomllib.loads(path.read_text())
    defaults = table.get("defaults", {})
    price = defaults.pop("price", {})
    return [
        {**defaults, **model, "offer": [{**price, **offer} for offer in model.get("offer", ())]}
        for model in table["model"]
    ]


def rows() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is in catalog/: the providers by name, and the models."""
    providers = tomllib.loads((SOURCE / "providers.toml").read_text())
    return providers, [row for path in sorted((SOURCE / "models").glob("*.toml")) for row in _rows(path)]


def compiled() -> str:
    """The text of the deployed catalog, its prices compared with those in the one that is there."""
    before = json.loads(TARGET.read_text()) if TARGET.exists() else None
    return json.dumps(compile_catalog(*rows(), before), indent=1, sort_keys=True) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the compiled catalog is not up to date")
    check = parser.parse_args().check
    try:
        text = compiled()
    except (ValueError, KeyError) as error:
        print(f"catalog: {error}", file=sys.stderr)
        return 1
    if check and (not TARGET.exists() or TARGET.read_text() != text):
        print(f"catalog: {TARGET.name} is not what catalog/ says: run `make catalog`", file=sys.stderr)
        return 1
    if not check:
        TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
