"""Which local models `MODELS=` leaves."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from local.models.registry import MODALITIES, UnknownModelError, choose, groups

ROOT = Path(__file__).parents[3]


def names(wanted: str) -> list[str]:
    return [source.model for modality in choose(wanted) for source in modality.sources]


def test_none_and_all() -> None:
    assert choose("none") == ()
    assert choose("") == MODALITIES
    assert choose(" , ") == MODALITIES


def test_a_modality_brings_all_its_models_and_a_model_comes_alone() -> None:
    assert names("classify") == ["minilm-zeroshot", "vader-sentiment"]
    assert names("vader-sentiment") == ["vader-sentiment"]
    assert names("chat, local/bergamot") == ["smollm2-135m-instruct", "bergamot"]
    assert names("vader-sentiment,classify") == ["minilm-zeroshot", "vader-sentiment"]


@pytest.mark.parametrize("wanted", ["gpt-9", "chat,gpt-9", "none,gpt-9"])
def test_an_unknown_name_is_refused_with_the_known_ones(wanted: str) -> None:
    with pytest.raises(UnknownModelError, match=r"gpt-9.*embed.*bergamot"):
        choose(wanted)


def test_only_the_packages_of_what_is_chosen_are_wanted() -> None:
    assert groups(choose("chat")) == {"models-chat"}
    assert groups(choose("embed,bergamot")) == {"models-text"}


def test_no_model_has_the_name_of_another_or_of_a_modality() -> None:
    models = [source.model for modality in MODALITIES for source in modality.sources]
    taken = models + [modality.name for modality in MODALITIES]
    assert sorted(set(taken)) == sorted(taken)


def test_every_group_is_one_of_the_project_and_in_models() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    included = {row["include-group"] for row in table["models"]}
    assert groups(MODALITIES) == included
    assert included < set(table)


def test_every_package_of_a_model_is_in_its_group() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for modality in MODALITIES:
        for source in modality.sources:
            listed = {re.split("[;=>]", row)[0] for row in table[source.group]}
            assert set(source.packages.values()) <= listed, source.model


def test_every_route_has_paths_of_its_own() -> None:
    paths = [path for modality in MODALITIES for path in import_module(modality.route).PATHS]
    assert len(set(paths)) == len(paths)


def test_the_set_up_script_can_read_the_rows_before_anything_is_installed() -> None:
    code = "import sys; from local.models import registry; print(registry.groups(registry.choose('chat')))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout.strip() == "{'models-chat'}", done.stderr
