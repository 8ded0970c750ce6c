"""What `make build` packs, made by the same Makefiles that `sam build` calls, each in a copy of its folder as there."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.template import ROOT

STREAMING = ("audio", "chat", "embeddings", "images", "text", "vision")
FAMILIES = (*STREAMING, "accounts", "files", "models", "payments", "requests", "rollup", "summary", "sweeper", "usage")
# Lambda's limit for a function with all its layers is 250 MB unzipped.
LIMIT_BYTES = 250_000_000
DEPENDENCIES_BUDGET_BYTES = 70_000_000
AARCH64 = 0xB7

Build = Callable[[str, str], Path]


def _environment() -> dict[str, str]:
    """This process's, with the project's own uv first, and without what a `make test` around it hands down."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return {**inherited, "PATH": f"{ROOT / '.uv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def uv() -> str:
    found = shutil.which("uv", path=_environment()["PATH"])
    if found is None:
        pytest.skip("uv is neither in .uv/bin nor on PATH; `make build` brings it")
    return found


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build("shared", "SharedLayer") -> the folder that would be zipped."""
    made: dict[str, Path] = {}

    def run(source: str, logical_id: str) -> Path:
        if logical_id not in made:
            scratch = tmp_path_factory.mktemp(logical_id)
            shutil.copytree(ROOT / source, scratch / "source")
            artifacts = scratch / "artifacts"
            artifacts.mkdir()
            command = ["make", f"build-{logical_id}", f"ARTIFACTS_DIR={artifacts}"]
            subprocess.run(command, cwd=scratch / "source", env=_environment(), check=True)
            made[logical_id] = artifacts
        return made[logical_id]

    return run


def _files(root: Path) -> set[str]:
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {path for path in found if "__pycache__" not in path.split("/")}


def _bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_function_holds_its_own_family_only(build: Build, family: str) -> None:
    artifacts = build("functions", f"{family.capitalize()}Function")
    own = {f"functions/{family}/{path}" for path in _files(ROOT / "functions" / family)}
    assert own
    served = {"functions/serve.sh"} if f"functions/{family}/run.sh" in own else set[str]()
    assert _files(artifacts) == {"functions/__init__.py"} | served | own
    assert not list(artifacts.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("source", "logical_id", "package"),
    [("layers/providers", "ProvidersLayer", "aig_providers"), ("shared", "SharedLayer", "aig")],
)
def test_a_code_layer_holds_the_whole_package(build: Build, source: str, logical_id: str, package: str) -> None:
    artifacts = build(source, logical_id)
    own = {f"python/{package}/{path}" for path in _files(ROOT / source / package)}
    assert f"python/{package}/__init__.py" in own
    assert _files(artifacts) == own
    assert not list(artifacts.rglob("__pycache__"))


@pytest.mark.parametrize("family", STREAMING)
def test_the_entry_scripts_are_executable_and_parse(build: Build, family: str) -> None:
    folder = build("functions", f"{family.capitalize()}Function") / "functions"
    for script in (folder / family / "run.sh", folder / "serve.sh"):
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_packed_can_be_imported(build: Build, tmp_path: Path, family: str) -> None:
    """Third-party packages come from this environment; all else, data files included, from what was built."""
    packed = (
        build("functions", f"{family.capitalize()}Function"),
        build("layers/providers", "ProvidersLayer") / "python",
        build("shared", "SharedLayer") / "python",
    )
    environment = {"PYTHONPATH": os.pathsep.join(map(str, packed)), "AIG_KEY_PEPPER": "pepper"}
    command = [sys.executable, "-B", "-c", f"import functions.{family}.app"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)


def test_the_requirements_are_those_of_the_lock(uv: str) -> None:
    """The head of requirements.txt says how it is made."""
    requirements = ROOT / "layers" / "dependencies" / "requirements.txt"
    export = ["export", "--quiet", "--frozen", "--offline", "--no-default-groups", "--no-emit-project", "--no-annotate"]
    wanted = subprocess.run([uv, *export], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = [line for line in requirements.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert found == [line for line in wanted.splitlines() if not line.startswith("#")]


@pytest.mark.timeout(300)
class TestDependencies:
    @pytest.fixture
    def packages(self, build: Build, uv: str) -> Path:
        return build("layers/dependencies", "DependenciesLayer") / "python"

    def test_extensions_are_for_lambda(self, packages: Path) -> None:
        extensions = list(packages.rglob("*.so"))
        assert extensions
        for extension in extensions:
            with extension.open("rb") as file:
                header = file.read(20)
            assert header[:4] == b"\x7fELF", extension
            assert struct.unpack_from("<H", header, 18) == (AARCH64,), extension
            assert ".cpython-313-aarch64-" in extension.name or ".abi3." in extension.name, extension

    @pytest.mark.parametrize("package", ["aiohttp", "httptools", "pydantic_core", "uvloop"])
    def test_the_fast_packages_are_compiled(self, packages: Path, package: str) -> None:
        assert list((packages / package).rglob("*.so"))

    @pytest.mark.parametrize("package", ["aws_lambda_powertools", "fastapi", "mangum", "starlette", "uvicorn"])
    def test_what_the_functions_import_is_there(self, packages: Path, package: str) -> None:
        assert (packages / package / "__init__.py").is_file()

    @pytest.mark.parametrize("package", ["boto3", "botocore", "aws_xray_sdk", "pip", "bin"])
    def test_what_they_do_not_need_is_not(self, packages: Path, package: str) -> None:
        assert not (packages / package).exists()

    def test_sizes(self, packages: Path, build: Build) -> None:
        dependencies = _bytes(packages)
        assert dependencies < DEPENDENCIES_BUDGET_BYTES
        code = _bytes(build("layers/providers", "ProvidersLayer")) + _bytes(build("shared", "SharedLayer"))
        largest = max(_bytes(build("functions", f"{family.capitalize()}Function")) for family in FAMILIES)
        assert dependencies + code + largest < LIMIT_BYTES
