"""What a file is that a model has made, by its first bytes alone, and how its name has to end.

A provider's page of an error may come in its place, with status 200 and any type: so text is a file only where it is
the one kind of model that is written as text.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from aig.modalities.media import flac, matroska, mp3, mp4, ogg, wav


@dataclass(frozen=True, slots=True)
class Kind:
    """`ending` is that of a file's name, without the dot."""

    media_type: str
    ending: str


UNKNOWN = Kind("application/octet-stream", "bin")
_ARCHIVE = Kind("application/zip", "zip")
_SCENE = Kind("model/vnd.usdz+zip", "usdz")
_OBJECT = Kind("model/obj", "obj")
_MP3 = Kind("audio/mpeg", "mp3")
_MP4, _SOUND, _MOVIE = Kind("video/mp4", "mp4"), Kind("audio/mp4", "m4a"), Kind("video/quicktime", "mov")
_WEBM, _MATROSKA = Kind("video/webm", "webm"), Kind("video/x-matroska", "mkv")

_KINDS: tuple[tuple[Kind, Callable[[bytes], bool]], ...] = (
    (Kind("image/png", "png"), lambda data: data.startswith(b"\x89PNG\r\n\x1a\n")),
    (Kind("image/jpeg", "jpg"), lambda data: data.startswith(b"\xff\xd8\xff")),
    (Kind("image/gif", "gif"), lambda data: data.startswith((b"GIF87a", b"GIF89a"))),
    (Kind("image/webp", "webp"), lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP"),
    (Kind("audio/wav", "wav"), wav.is_wav),
    (Kind("audio/flac", "flac"), flac.is_flac),
    (Kind("audio/ogg", "ogg"), ogg.is_ogg),
    (Kind("model/gltf-binary", "glb"), lambda data: data.startswith((b"glTF\1\0\0\0", b"glTF\2\0\0\0"))),
    # No type is registered for it.
    (Kind("application/octet-stream", "fbx"), lambda data: data.startswith(b"Kaydara FBX Binary  \0")),
)
MEDIA_TYPES = {
    kind.ending: kind.media_type
    for kind in (
        *(kind for kind, _ in _KINDS),
        *(UNKNOWN, _ARCHIVE, _SCENE, _OBJECT, _MP3, _MP4, _SOUND, _MOVIE, _WEBM, _MATROSKA),
    )
}

_SOUND_BRANDS = (b"M4A ", b"M4B ")
_ATOMS = (b"moov", b"mdat", b"wide", b"skip", b"free", b"pnot")  # what a film of QuickTime may begin with
_OBJECT_LINE = re.compile(rb"#|(?:mtllib|usemtl|o|g) +\S|(?:v|vn|vt|vp|f|l|p) +[-\d]|s +(?:off|\d)")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_TAGS = (b"ID3\2", b"ID3\3", b"ID3\4")
_BEFORE_TEXT = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def sniffed(first_bytes: bytes) -> Kind | None:
    """What begins so, UNKNOWN for what nobody knows, and None for what must not be kept: text, and nothing at all.

    The first 4096 bytes are enough. HTML and JSON are text, and so is SVG: nothing of ours is ever a page.
    """
    if not first_bytes or first_bytes.startswith(_BEFORE_TEXT):
        return None
    for kind, matches in _KINDS:
        if matches(first_bytes):
            return kind
    found = _film(first_bytes) or _archive(first_bytes)
    if found is not None:
        return found
    if first_bytes.startswith(_TAGS) or mp3.is_mp3(first_bytes):  # a tag may hold a picture, and be long
        return _MP3
    if not _is_text(first_bytes):
        return UNKNOWN
    return _OBJECT if _is_object(first_bytes) else None


def _film(data: bytes) -> Kind | None:
    brand = mp4.brand(data)
    if mp4.is_mp4(data):
        return _MOVIE if brand == b"qt  " else _SOUND if brand in _SOUND_BRANDS else _MP4
    if brand is None and data[4:8] in _ATOMS and data[:1] == b"\0":
        return _MOVIE
    if matroska.is_matroska(data):
        return _WEBM if b"webm" in data[:64] else _MATROSKA
    return None


def _archive(data: bytes) -> Kind | None:
    if not data.startswith(b"PK\3\4"):
        return None
    name = data[30 : 30 + int.from_bytes(data[26:28], "little")].lower()
    return _SCENE if name.endswith((b".usd", b".usda", b".usdc")) else _ARCHIVE


def _is_text(data: bytes) -> bool:
    try:
        # The last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return _CONTROLS.search(text) is None


def _is_object(data: bytes) -> bool:
    """Whether its first lines are those of Wavefront's; the last of them may be cut."""
    lines = [line.strip() for line in data.split(b"\n")[:20]]
    told = [line for line in lines if line]
    whole = told[:-1] or told
    return any(line[:1] != b"#" for line in whole) and all(map(_OBJECT_LINE.match, whole))
