"""Draws results as a self-contained SVG: latency over load, one color per database.

The same results always give the same text, so that a test can compare a chart with its results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from compozy.bench.result import BenchResult, Stage
from compozy.config.database_rules import TITLES

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 64, 56
# Distinguishable for color-blind readers.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.s{font-size:12px;fill:#555}.g{stroke:#ddd}.b{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.s{fill:#aaa}.g{stroke:#444}.b{fill:#161616}}"
)
_TICKS = (1.0, 2.0, 5.0)
_MOST_TICKS = 7


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Maps a load (logarithmic) and a latency (linear, from zero) to coordinates."""

    max_load: int
    step_ms: float
    top_ms: float

    def x(self, load: int) -> float:
        width = _WIDTH - _LEFT - _RIGHT
        doublings = math.log2(self.max_load)
        return _LEFT + (width * math.log2(load) / doublings if doublings else width / 2)

    def y(self, milliseconds: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * milliseconds / self.top_ms


def draw_chart(results: Sequence[BenchResult]) -> str:
    """Return the SVG for some results: the median as a solid line, the 95th percentile dashed."""
    stages = [stage for result in results for stage in result.stages if stage.p95_ms is not None]
    scale = _scale(stages)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{_escape(_summary(results))}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="b" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text x="{_LEFT}" y="22">Latency by concurrent runs (solid: median, dashed: p95)</text>',
        *_grid(scale, sorted({stage.at_once for stage in stages})),
    ]
    for index, result in enumerate(results):
        parts += _series(result, scale, _COLORS[index % len(_COLORS)], index)
    return "\n".join([*parts, "</svg>", ""])


def _scale(stages: Sequence[Stage]) -> _Scale:
    highest = max(stage.p95_ms or 0.0 for stage in stages) if stages else 1.0
    highest = max(highest, 1.0)
    power = 10 ** math.floor(math.log10(highest / _MOST_TICKS))
    step = next(power * tick for tick in (*_TICKS, 10.0) if highest / (power * tick) <= _MOST_TICKS)
    top = step * math.ceil(highest / step)
    return _Scale(max_load=max((stage.at_once for stage in stages), default=1), step_ms=step, top_ms=top)


def _grid(scale: _Scale, loads: Sequence[int]) -> list[str]:
    parts: list[str] = []
    for number in range(round(scale.top_ms / scale.step_ms) + 1):
        y, shown = scale.y(number * scale.step_ms), f"{number * scale.step_ms:g}"
        parts.append(f'<line class="g" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="s" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{shown} ms</text>')
    below = _HEIGHT - _BOTTOM
    parts += [
        f'<text class="s" x="{scale.x(load):.1f}" y="{below + 20}" text-anchor="middle">{load}</text>' for load in loads
    ]
    parts.append(f'<text class="s" x="{_WIDTH / 2:g}" y="{below + 42}" text-anchor="middle">concurrent runs</text>')
    return parts


def _series(result: BenchResult, scale: _Scale, color: str, index: int) -> list[str]:
    stages = [stage for stage in result.stages if stage.p95_ms is not None]
    median = [(scale.x(stage.at_once), scale.y(stage.p50_ms or 0.0)) for stage in stages]
    slow = [(scale.x(stage.at_once), scale.y(stage.p95_ms or 0.0)) for stage in stages]
    x = _LEFT + 150 * index
    return [
        f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{_points(median)}"/>',
        f'<polyline fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="5 4" points="{_points(slow)}"/>',
        *(f'<circle cx="{at:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for at, y in (*median, *slow)),
        f'<rect x="{x}" y="34" width="12" height="12" fill="{color}"/>',
        f'<text x="{x + 18}" y="45">{TITLES[result.database]}</text>',
    ]


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _summary(results: Sequence[BenchResult]) -> str:
    peaks = ", ".join(f"{TITLES[result.database]} {result.peak_concurrency}" for result in results)
    return f"Latency by concurrent runs; peak concurrency: {peaks}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
