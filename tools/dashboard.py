"""Draws the dashboard of template.yaml as an SVG picture, from example data.

Rule: the widgets, their titles, places and queries are those of the template. Only the data is ours, and the picture
says so. A query that has no example data here is an error, so the picture cannot drift from the template.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.text import read_yaml

ROOT: Final = Path(__file__).resolve().parent.parent
PICTURE: Final = ROOT / "docs" / "dashboard.svg"

MINUTES: Final = range(0, 181, 5)
"""Minutes after nine o'clock. At 10:30 a version of /billing with a bug is deployed, and is rolled back at 10:50."""
_BUG: Final = range(90, 111)
_COLUMN, _ROW, _HEAD, _GAP = 52, 46, 64, 8
_COLOURS: Final = ("#3b82f6", "#f59e0b", "#14a38b", "#e0559b", "#8b5cf6", "#7d8590", "#d9480f")
_STYLE: Final = """
.page{fill:#f4f5f7}.card{fill:#fff;stroke:#d5d9e0}.grid{stroke:#e6e9ee}.axis{stroke:#9aa3af}
text{fill:#1c2430;font:14px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
.muted{fill:#5b6472}.small{font-size:12.5px}.title{font-weight:600}.big{font-size:19px;font-weight:600}
.badge{fill:#fff3cd;stroke:#d9a400}.badge-text{fill:#6b5200;font-weight:600}.limit{stroke:#d1242f;stroke-dasharray:6 4}
.limit-text{fill:#c01f2a}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.card{fill:#161b22;stroke:#30363d}.grid{stroke:#262c36}
.axis{stroke:#6e7681}text{fill:#e6edf3}.muted{fill:#9aa4b0}.badge{fill:#3a2f0b;stroke:#b08800}.badge-text{fill:#f2cc60}
.limit{stroke:#ff7b72}.limit-text{fill:#ff7b72}}
"""


def picture(template: Path = ROOT / "template.yaml") -> str:
    """The dashboard of a template as SVG."""
    resources = read_yaml(template.read_text(encoding="utf-8"), str(template))
    widgets = dashboard_body(resources)["widgets"]
    width = max(one["x"] + one["width"] for one in widgets) * _COLUMN + 2 * _GAP
    height = max(one["y"] + one["height"] for one in widgets) * _ROW + _HEAD + _GAP
    drawn = "\n".join(part for widget in widgets for part in _widget(widget))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d">
<title id="t">The dashboard of template.yaml, with example data</title>
<desc id="d">{escape(", ".join(one["properties"]["title"] for one in widgets))}</desc>
<style>{_STYLE}</style>
<rect class="page" width="{width}" height="{height}"/>
<text class="big" x="{2 * _GAP}" y="40">The dashboard of template.yaml</text>
<rect class="badge" x="{width - 160}" y="18" width="144" height="32" rx="6"/>
<text class="badge-text" x="{width - 88}" y="39" text-anchor="middle">Example data</text>
{drawn}
</svg>
"""


def dashboard_body(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body of the template's dashboard, with the defaults of its parameters."""
    text = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    values = {name: one.get("Default", "") for name, one in template["Parameters"].items()}
    values |= {"AWS::Region": "eu-west-1", "AWS::StackName": "bridge", "BridgeLogs": "/aws/lambda/bridge"}
    found: Mapping[str, Any] = json.loads(re.sub(r"\$\{([\w:]+)\}", lambda match: str(values[match[1]]), text))
    return found


# ---- example data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: in the legend.
        values: one for each of MINUTES.
    """

    name: str
    values: Sequence[float]


def _wave(level: float, swing: float, phase: float) -> list[float]:
    """A load that changes slowly, and a little from point to point. The same on every machine."""
    return [
        level + swing * math.sin(minute / 34 + phase) + 0.12 * level * math.sin(minute * 1.7 + phase * 5)
        for minute in MINUTES
    ]


def _during(values: Sequence[float], factor: float) -> list[float]:
    """Values that differ while the bug is deployed."""
    return [value * (factor if minute in _BUG else 1) for minute, value in zip(MINUTES, values, strict=True)]


def _only(high: float, low: float = 0.0) -> list[float]:
    return [high + 0.2 * high * math.sin(minute) if minute in _BUG else low for minute in MINUTES]


_METRICS: Final[Mapping[tuple[str, str], tuple[Series, ...]]] = {
    ("Requests", "Backend"): (
        Series("/orders", _wave(620, 140, 0.4)),
        Series("/billing", _wave(260, 50, 1.8)),
        Series("/", _wave(120, 20, 3.0)),
    ),
    ("Refusals", "Reason"): (
        Series("no_rule", [3 + 22 * (minute >= 130) + 2 * math.sin(minute) for minute in MINUTES]),
        Series("tenant_not_allowed", [2 + 1.5 * math.sin(minute / 9) for minute in MINUTES]),
        Series("token_invalid", [4 + 3 * math.sin(minute / 21 + 1) for minute in MINUTES]),
    ),
    ("Errors", "Reason"): (
        Series("backend_raised", _only(38)),
        Series("ok", [1 + math.sin(minute / 7) for minute in MINUTES]),
        Series("throttled", [5.0 if minute in (60, 65, 155) else 0.0 for minute in MINUTES]),
    ),
    ("Latency", "Backend"): (
        Series("/orders", _wave(84, 12, 0.2)),
        Series("/billing", _during(_wave(122, 16, 2.0), 2.1)),
        Series("/", _wave(41, 6, 1.0)),
    ),
    ("Overhead", "Backend"): (
        Series("/orders", _wave(4.1, 0.5, 0.9)),
        Series("/billing", _wave(4.6, 0.4, 2.5)),
        Series("/", _wave(3.2, 0.3, 0.1)),
    ),
    ("UniqueContributors", ""): (Series("tenants", [1180 + 190 * math.sin(minute / 60) for minute in MINUTES]),),
}
"""(metric, dimension by which it is grouped) → its lines."""
_STEPS: Final[Mapping[str, Sequence[float]]] = {
    "parse_ms": _wave(0.4, 0.05, 0.3),
    "decide_ms": _wave(0.6, 0.1, 1.4),
    "encode_ms": _wave(0.5, 0.05, 2.2),
    "invoke_ms": _during(_wave(88, 10, 0.7), 1.7),
    "reply_ms": _wave(0.9, 0.1, 0.5),
}
_TABLES: Final[Mapping[str, Sequence[str]]] = {
    "tenant": ("blue", "green", "amber", "violet", "silver"),
    "requests": ("41,208", "28,514", "9,377", "4,120", "1,002"),
    "p99_ms": ("96.4", "104.8", "88.1", "131.9", "79.5"),
    "@timestamp": ("11:58:41", "11:58:12", "11:57:50", "11:56:03", "11:55:37"),
    "status": ("403", "403", "401", "403", "403"),
    "reason": ("no_rule", "no_rule", "token_invalid", "tenant_not_allowed", "no_rule"),
    "path": ("/orders/7", "/orders/7", "/billing", "/orders", "/orders/9"),
}
"""Column → its cells."""
_LEFT_OUT: Final = frozenset({"detail", "rule", "tenant", "method", "requestId"})
"""Columns of "Last refusals" that are left out, since the picture is narrower than the console."""


def series(widget: Mapping[str, Any]) -> list[Series]:
    """The lines of a chart, by its queries.

    Raises:
        KeyError: a query has no example data.
    """
    properties = widget["properties"]
    if widget["type"] == "log":
        names = re.findall(r" as (\w+)", properties["query"])
        return [Series(name, _STEPS[name]) for name in names]
    found: list[Series] = []
    for (metric,) in properties["metrics"]:
        expression = metric["expression"]
        name = re.search(r"SUM\((\w+)\)|MetricName=\"(\w+)\"|'(UniqueContributors)'", expression)
        group = re.search(r"GROUP BY (\w+)|,(\w+)\} MetricName", expression)
        assert name is not None, expression
        key = next(filter(None, name.groups())), next(filter(None, group.groups())) if group else ""
        label = f"{key[0]} " if expression.startswith("SEARCH") else ""
        found += [Series(f"{label}{one.name}", one.values) for one in _METRICS[key]]
    return found


def columns(widget: Mapping[str, Any]) -> list[str]:
    """The columns of a table, by its query.

    Raises:
        KeyError: a column has no example data.
    """
    query = widget["properties"]["query"]
    fields = re.search(r"\| fields ([^|]+)", query)
    if fields is None:
        by = re.search(r" by (\w+)", query)
        assert by is not None, query
        names = [by[1], *re.findall(r" as (\w+)", query)]
    else:
        names = [name for name in re.split(r"[,\s]+", fields[1].strip()) if name not in _LEFT_OUT]
    return [name for name in names if _TABLES[name]]


# ---- drawing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Box:
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float


def _widget(widget: Mapping[str, Any]) -> Iterator[str]:
    outer = _Box(
        widget["x"] * _COLUMN + _GAP + _GAP / 2,
        widget["y"] * _ROW + _HEAD,
        widget["width"] * _COLUMN - _GAP,
        widget["height"] * _ROW - _GAP,
    )
    properties = widget["properties"]
    size = f'width="{outer.width:g}" height="{outer.height:g}"'
    yield f'<rect class="card" x="{outer.x:g}" y="{outer.y:g}" {size} rx="6"/>'
    yield _text(outer.x + 14, outer.y + 26, properties["title"], "title")
    if properties["view"] == "table":
        yield from _table(outer, columns(widget))
        return
    lines = series(widget)
    limits = properties.get("annotations", {}).get("horizontal", [])
    yield from _chart(outer, lines, limits, is_stacked=bool(properties.get("stacked")))
    yield from _legend(outer, [one.name for one in lines])


def _chart(
    outer: _Box, lines: Sequence[Series], limits: Sequence[Mapping[str, Any]], *, is_stacked: bool
) -> Iterator[str]:
    rows = math.ceil(len(lines) / 3)
    box = _Box(outer.x + 56, outer.y + 44, outer.width - 76, outer.height - 84 - 20 * rows)
    tops = [[max(value, 0.0) for value in one.values] for one in lines]
    if is_stacked:
        tops = [[sum(row[: place + 1]) for row in zip(*tops, strict=True)] for place in range(len(tops))]
    highest = _nice(max([*(max(one) for one in tops), *(limit["value"] for limit in limits)]))
    yield from _axes(box, highest)
    for place in reversed(range(len(tops))):
        points = [_point(box, highest, index, value) for index, value in enumerate(tops[place])]
        colour = _COLOURS[place % len(_COLOURS)]
        if is_stacked:
            floor = tops[place - 1] if place else [0.0] * len(MINUTES)
            below = [_point(box, highest, index, value) for index, value in enumerate(floor)]
            yield f'<polygon points="{" ".join([*points, *reversed(below)])}" fill="{colour}" fill-opacity=".55"/>'
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for limit in limits:
        y = box.y + box.height * (1 - limit["value"] / highest)
        yield f'<path class="limit" stroke-width="1.5" d="M{box.x:g} {y:.1f}h{box.width:g}"/>'
        yield _text(box.x + box.width, y - 6, f"{limit['label']}: {limit['value']:g}", "small limit-text", "end")


def _axes(box: _Box, highest: float) -> Iterator[str]:
    for part in (0, 0.5, 1):
        y = box.y + box.height * (1 - part)
        yield f'<path class="{"grid" if part else "axis"}" d="M{box.x:g} {y:.1f}h{box.width:g}"/>'
        yield _text(box.x - 8, y + 4, f"{highest * part:,.4g}".replace(".0", ""), "small muted", "end")
    for hour in range(4):
        x = box.x + box.width * hour / 3
        anchor = "start" if hour == 0 else "end" if hour == 3 else "middle"
        yield _text(x, box.y + box.height + 18, f"{9 + hour:02}:00", "small muted", anchor)


def _legend(outer: _Box, names: Sequence[str]) -> Iterator[str]:
    rows = math.ceil(len(names) / 3)
    for place, name in enumerate(names):
        x = outer.x + 56 + place % 3 * (outer.width - 76) / 3
        y = outer.y + outer.height - 14 - 20 * (rows - 1 - place // 3)
        yield f'<rect x="{x:g}" y="{y - 10:g}" width="12" height="12" rx="2" fill="{_COLOURS[place % len(_COLOURS)]}"/>'
        yield _text(x + 18, y, name, "small")


def _table(outer: _Box, names: Sequence[str]) -> Iterator[str]:
    step = (outer.width - 28) / len(names)
    for place, name in enumerate(names):
        x = outer.x + 14 + place * step
        yield _text(x, outer.y + 58, name, "small muted")
        for row, cell in enumerate(_TABLES[name]):
            yield _text(x, outer.y + 88 + row * 32, cell, "")
    for row in range(len(_TABLES[names[0]])):
        yield f'<path class="grid" d="M{outer.x + 14:g} {outer.y + 67 + row * 32:g}h{outer.width - 28:g}"/>'


def _point(box: _Box, highest: float, index: int, value: float) -> str:
    x = box.x + box.width * index / (len(MINUTES) - 1)
    return f"{x:.1f},{box.y + box.height * (1 - value / highest):.1f}"


def _nice(value: float) -> float:
    """A round number that is not lower, for the top of an axis."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * unit >= value)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}"{placed}>{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
