"""Test models: the letters of a prompt as a solid, as a binary glTF 2.0. Pure, and the same for the same prompt."""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from aig_providers.sandbox_drawing import dots
from aig_providers.sandbox_font import BOX

_WIDTH, _HEIGHT = 76, 40  # dots: three lines of twelve letters
_METRES = 1 / 128  # half a dot; a fraction of two, so that no place is rounded
_DEPTH = 3  # dots
_FLOAT, _SHORT, _VERTICES, _INDICES, _TRIANGLES = 5126, 5123, 34962, 34963, 4  # as WebGL numbers them

Place = tuple[int, int, int]

# The normal of each side of a dot, and its corners, against the clock as seen from outside.
_SIDES: tuple[tuple[Place, tuple[Place, Place, Place, Place]], ...] = (
    ((0, 0, 1), ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))),
    ((0, 0, -1), ((1, 0, 0), (0, 0, 0), (0, 1, 0), (1, 1, 0))),
    ((1, 0, 0), ((1, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1))),
    ((-1, 0, 0), ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0))),
    ((0, 1, 0), ((0, 1, 1), (1, 1, 1), (1, 1, 0), (0, 1, 0))),
    ((0, -1, 0), ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1))),
)


def _ink(prompt: str) -> set[tuple[int, int]]:
    """Where there are dots, to the right and upwards; a prompt without any letter is a box."""
    text = prompt if prompt.strip() else BOX
    rows = dots(text, "", _WIDTH, _HEIGHT)
    return {(x, -y) for y, row in enumerate(rows) for x, dot in enumerate(row) if dot}


def _surface(ink: set[tuple[int, int]]) -> Iterator[tuple[Place, list[Place]]]:
    """The normal and the corners, in half dots from the middle, of each side that no other dot covers."""
    across, up = ([place[axis] for place in ink] for axis in (0, 1))
    middle = (min(across) + max(across) + 1, min(up) + max(up) + 1)
    for x, y in sorted(ink):
        for normal, corners in _SIDES:
            if normal[2] or (x + normal[0], y + normal[1]) not in ink:
                yield (
                    normal,
                    [
                        (2 * (x + right) - middle[0], 2 * (y + above) - middle[1], (2 * front - 1) * _DEPTH)
                        for right, above, front in corners
                    ],
                )


def _colour(prompt: str) -> list[float]:
    """Red, green, blue and opacity; not dark, so that it is seen in any light."""
    return [round(0.2 + 0.8 * byte / 255, 3) for byte in hashlib.sha256(prompt.encode()).digest()[:3]] + [1.0]


def _accessor(view: int, kind: int, count: int, shape: str, values: Sequence[Sequence[float]]) -> dict[str, Any]:
    least, most = ([side(axis) for axis in zip(*values, strict=True)] for side in (min, max))
    return {"bufferView": view, "componentType": kind, "count": count, "type": shape, "min": least, "max": most}


def _described(prompt: str, views: Sequence[tuple[bytes, int]], accessors: list[dict[str, Any]]) -> dict[str, Any]:
    """All of the file but its numbers; `views` are parts of the buffer and what they are for."""
    placed, at = [], 0
    for data, target in views:
        placed.append({"buffer": 0, "byteOffset": at, "byteLength": len(data), "target": target})
        at += len(data)
    surface = {"baseColorFactor": _colour(prompt), "metallicFactor": 0.1, "roughnessFactor": 0.6}
    shape = {"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0, "mode": _TRIANGLES}
    return {
        "asset": {"version": "2.0", "generator": "sandbox/3d", "extras": {"prompt": prompt}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "letters", "mesh": 0}],
        "meshes": [{"name": "letters", "primitives": [shape]}],
        "materials": [{"name": "colour", "pbrMetallicRoughness": surface}],
        "accessors": accessors,
        "bufferViews": placed,
        "buffers": [{"byteLength": at}],
    }


def _chunk(kind: bytes, body: bytes, filler: bytes) -> bytes:
    body += filler * (-len(body) % 4)
    return struct.pack("<I4s", len(body), kind) + body


def glb(prompt: str) -> bytes:
    """Three lines of letters at most, about a metre wide, facing +Z, in a colour of the prompt's own."""
    surface = list(_surface(_ink(prompt)))
    places = [tuple(_METRES * axis for axis in corner) for _, corners in surface for corner in corners]
    normals = [normal for normal, _ in surface for _ in range(4)]
    indices = [4 * side + corner for side in range(len(surface)) for corner in (0, 1, 2, 0, 2, 3)]
    views = [
        (b"".join(struct.pack("<3f", *place) for place in places), _VERTICES),
        (b"".join(struct.pack("<3f", *normal) for normal in normals), _VERTICES),
        (struct.pack(f"<{len(indices)}H", *indices), _INDICES),
    ]
    accessors = [
        _accessor(0, _FLOAT, len(places), "VEC3", places),
        _accessor(1, _FLOAT, len(normals), "VEC3", normals),
        _accessor(2, _SHORT, len(indices), "SCALAR", [(index,) for index in indices]),
    ]
    described = json.dumps(_described(prompt, views, accessors), separators=(",", ":"), ensure_ascii=False)
    chunks = _chunk(b"JSON", described.encode(), b" ") + _chunk(b"BIN\0", b"".join(data for data, _ in views), b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
