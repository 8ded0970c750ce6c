"""Line charts as SVG, several to a picture, drawn by hand: the environment has nothing that draws."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 58, 46
_COLOURS: Final = ("#0b6e99", "#c2410c", "#4d7c0f", "#7c3aed", "#525252")
_DASHES: Final = ("", "6 3", "2 3", "9 3 2 3", "")


@dataclass(frozen=True, slots=True)
class Panel:
    """`series` by name, each a list of (x, y). With `doubling`, x is drawn by its logarithm."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    x_ticks: Sequence[float]
    doubling: bool = False


def svg(panels: Sequence[Panel], columns: int = 2) -> str:
    """The picture's text."""
    rows = math.ceil(len(panels) / columns)
    width, height = columns * WIDTH, rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        parts.append(f'<g transform="translate({column * WIDTH} {row * HEIGHT})">')
        parts += _drawn(panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _ceiling(value: float) -> float:
    """The next number with one digit that is at least the value and halves well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _drawn(panel: Panel) -> Iterable[str]:
    scale = math.log2 if panel.doubling else float
    low, high = scale(panel.x_ticks[0]), scale(panel.x_ticks[-1])
    top = _ceiling(max(y for points in panel.series.values() for _, y in points))
    across, down = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + across * (scale(x) - low) / (high - low), _TOP + down * (1 - y / top)

    yield f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(panel.title)}</text>'
    for step in range(5):
        value = top * step / 4
        _, y = place(panel.x_ticks[0], value)
        yield f'<line x1="{_LEFT}" x2="{_LEFT + across}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    for tick in panel.x_ticks:
        x, y = place(tick, 0)
        yield f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle">{tick:g}</text>'
    yield (
        f'<text x="{_LEFT + across / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(panel.x_label)}</text>'
        f'<text transform="translate(14 {_TOP + down / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(panel.y_label)}</text>"
    )
    at = float(_LEFT)
    for number, (name, points) in enumerate(panel.series.items()):
        style = f'stroke="{_COLOURS[number]}" stroke-width="2" stroke-dasharray="{_DASHES[number]}"'
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        yield f'<polyline points="{line}" fill="none" {style}/>'
        if len(points) <= 16:
            for x, y in (place(*point) for point in points):
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_COLOURS[number]}"/>'
        yield f'<line x1="{at}" x2="{at + 18}" y1="38" y2="38" {style}/>'
        yield f'<text x="{at + 22}" y="42">{escape(name)}</text>'
        at += 32 + 5.6 * len(name)
