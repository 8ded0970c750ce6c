"""Test models: read by hand as the specification of glTF 2.0 has it, and by Khronos' own validator where npm is."""

import json
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from aig_providers.sandbox_font import BOX, GLYPHS
from aig_providers.sandbox_model import glb
from tests.downloads import CACHE, program, unpacked

PROMPTS = ["a cat", "", " \n", "\u65e5\u672c", "@" * 100, "A red fox jumps over the lazy dog in the snow", '"\\ \u00e9']
VALIDATOR: Final = "gltf-validator@2.0.0-dev.3.10"
INTEGRITY: Final = "sha512-odJ4k0tRkGXiDGn78yDBg+fBbAIvBnXxh3RwAta0emSxGtyagFE8B4xELB1oYe3S5RD8Ci3uZAsZaascH2LAEQ=="
VALIDATE: Final = """
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const { validateBytes } = createRequire(import.meta.url)(process.argv[2]);
for (const path of process.argv.slice(3)) {
  const report = await validateBytes(new Uint8Array(readFileSync(path)));
  console.log(JSON.stringify(report));
}
"""

Vector = tuple[float, ...]


def chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary part of a GLB, with nothing else in it."""
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, length, kind, size % 4) == (b"glTF", 2, len(data), b"JSON", 0)
    rest, binary_kind = struct.unpack_from("<I4s", data, 20 + size)
    assert (binary_kind, rest % 4, 28 + size + rest) == (b"BIN\0", 0, len(data))
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def read(described: dict[str, Any], binary: bytes, number: int) -> list[Vector]:
    """The values of an accessor, which fill their part of the buffer and have the limits that are told."""
    accessor = described["accessors"][number]
    view = described["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3}[accessor["type"]]
    letter, size = {5126: ("f", 4), 5123: ("H", 2)}[accessor["componentType"]]
    assert view["byteOffset"] % size == 0
    assert view["byteLength"] == accessor["count"] * width * size
    body = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    values = list(struct.iter_unpack(f"<{width}{letter}", body))
    assert accessor["min"] == [min(axis) for axis in zip(*values, strict=True)]
    assert accessor["max"] == [max(axis) for axis in zip(*values, strict=True)]
    return values


def cross(one: Vector, other: Vector) -> Vector:
    (a, b, c), (d, e, f) = one, other
    return (b * f - c * e, c * d - a * f, a * e - b * d)


def less(one: Vector, other: Vector) -> Vector:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def shape(data: bytes) -> tuple[list[Vector], list[Vector], list[int]]:
    """Places, normals and indices of its only mesh."""
    described, binary = chunks(data)
    ((primitive,),) = (mesh["primitives"] for mesh in described["meshes"])
    assert primitive["mode"] == 4
    names = (primitive["attributes"]["POSITION"], primitive["attributes"]["NORMAL"], primitive["indices"])
    places, normals, indices = (read(described, binary, number) for number in names)
    return places, normals, [int(index) for (index,) in indices]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_all_of_the_file_is_accounted_for(prompt: str) -> None:
    described, binary = chunks(glb(prompt))
    assert described["asset"]["version"] == "2.0"
    assert described["asset"]["extras"] == {"prompt": prompt}
    (buffer,) = described["buffers"]
    assert buffer["byteLength"] <= len(binary) < buffer["byteLength"] + 4
    ends = 0
    for view in described["bufferViews"]:
        assert (view["buffer"], view["byteOffset"]) == (0, ends)
        ends += view["byteLength"]
    assert ends == buffer["byteLength"]
    assert [view["target"] for view in described["bufferViews"]] == [34962, 34962, 34963]
    assert described["scenes"][described["scene"]]["nodes"] == [0]
    assert described["nodes"][0]["mesh"] == 0
    (material,) = described["materials"]
    colour = material["pbrMetallicRoughness"]["baseColorFactor"]
    assert len(colour) == 4
    assert all(0.2 <= part <= 1 for part in colour)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_it_is_a_solid_seen_from_outside(prompt: str) -> None:
    """Its triangles turn as their normals say, no edge is open, and it has as much room in it as its dots have."""
    places, normals, indices = shape(glb(prompt))
    assert len(places) == len(normals) < 65_535
    assert set(indices) == set(range(len(places)))
    edges, room = Counter[tuple[Vector, Vector]](), 0.0
    for at in range(0, len(indices), 3):
        corners = indices[at : at + 3]
        one, two, three = (places[corner] for corner in corners)
        outward = cross(less(two, one), less(three, one))
        length = sum(part * part for part in outward) ** 0.5
        assert length > 0
        assert {normals[corner] for corner in corners} == {tuple(part / length for part in outward)}
        edges.update([(one, two), (two, three), (three, one)])
        room += sum(a * b for a, b in zip(one, cross(two, three), strict=True)) / 6
    assert all(edges[edge] == edges[edge[::-1]] for edge in edges)
    dots = sum(normal == (0, 0, 1) for normal in normals) / 4
    assert room == pytest.approx(dots * 3 / 64**3)


def shown(data: bytes) -> list[str]:
    """What is seen from the front, a sign a dot."""
    places, normals, _ = shape(data)
    front = [places[at] for at in range(0, len(places), 4) if normals[at] == (0, 0, 1)]
    left, top = min(x for x, _, _ in front), max(y for _, y, _ in front)
    dots = {(round(64 * (x - left)), round(64 * (top - y))) for x, y, _ in front}
    width, height = (1 + max(axis) for axis in zip(*dots, strict=True))
    return ["".join(".o"[(x, y) in dots] for x in range(width)) for y in range(height)]


@pytest.mark.parametrize(("prompt", "letters"), [("HELP", "HELP"), ("", BOX), ("\u65e5", BOX), ("H\nL", "H\nL")])
def test_the_letters_can_be_read(prompt: str, letters: str) -> None:
    lines = []
    for line in letters.split("\n"):
        rows = zip(*(GLYPHS[letter] for letter in line), strict=True)
        lines += ["".join(".o"[dot] for dot in b"".join(row)) for row in rows]
    width = max(len(line.rstrip(".")) for line in lines)
    expected = [line[:width] for line in lines]
    while not expected[-1].strip("."):
        expected.pop()
    assert shown(glb(prompt)) == expected


def test_it_stands_in_the_middle_and_is_about_a_metre_wide() -> None:
    described, _ = chunks(glb("abcdefghijklmnop"))
    limits = described["accessors"][0]
    assert limits["min"] == [-part for part in limits["max"]]
    assert 1 < limits["max"][0] - limits["min"][0] < 1.2


def test_it_is_the_same_each_time() -> None:
    assert glb("a cat") == glb("a cat")
    colours = {tuple(chunks(glb(p))[0]["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"]) for p in PROMPTS}
    assert len(colours) == len(PROMPTS)


def test_the_validator_of_khronos_has_nothing_to_say(tmp_path: Path) -> None:
    node = program("node")
    package = unpacked(VALIDATOR, INTEGRITY, CACHE / "gltf-validator")
    script = tmp_path / "validate.mjs"
    script.write_text(VALIDATE)
    paths = [tmp_path / f"{number}.glb" for number in range(len(PROMPTS))]
    for path, prompt in zip(paths, PROMPTS, strict=True):
        path.write_bytes(glb(prompt))
    command: list[str | Path] = [node, script, package / "index.js", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["issues"]["messages"] for report in reports] == [[]] * len(PROMPTS)
    assert all(report["info"]["totalTriangleCount"] >= 12 for report in reports)
