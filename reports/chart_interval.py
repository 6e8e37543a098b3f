"""Estimates with their intervals, one below the other: a dot, its whisker, and a zero line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.chart_panel import ROW_HEIGHT, name_axis, text_of
from reports.charts import (
    ACCENT,
    BAD,
    GOOD,
    NARROW,
    SOFT,
    WIDE,
    Row,
    base,
    both,
    percents,
    rule,
    signed,
    sizes,
)
from reports.formats import ENGLISH, money, percent

if TYPE_CHECKING:
    from reports.charts import Chart

NAMES = {True: 330, False: 150}
WORDS: dict[str, Callable[..., str]] = {"percent": percent, "money": money}
AXES = {"percent": percents, "money": sizes}


def intervals(
    rows: Sequence[Row], title: str, words: str, scale: str = "percent", language: str = ENGLISH
) -> Markup:
    """Dots with whiskers: green above zero, red below, grey where zero is within.

    Parameters
    ----------
    rows : name (each another), value, low and high of each estimate, the latter None where there
        is no interval; `expected`, where there is one, is drawn as an upright line
    words : of a row, with places for name, value, low, high and, where there is one, expected
    scale : "percent" for shares, "money" for currency units
    """
    import altair as alt

    word = WORDS[scale]
    shown: list[dict[str, Any]] = [
        {
            "name": (name := text_of(row["name"])),
            "label": text_of(words).format(
                name=name,
                **{
                    key: word(row.get(key), language=language)
                    for key in ("value", "low", "high", "expected")
                },
            ),
            "kind": _kind(row["low"], row["high"]),
            **{
                key: float(row[key])
                for key in ("value", "low", "high", "expected")
                if row.get(key) is not None
            },
        }
        for row in rows
    ]
    names = [row["name"] for row in shown]
    whiskers = [row for row in shown if "low" in row and "high" in row]
    expected = [row for row in shown if "expected" in row]

    def draw(wide: bool) -> Chart:
        room, axis_of_names = name_axis(names, NAMES[wide])
        width = (WIDE if wide else NARROW) - room - 20
        height = ROW_HEIGHT * len(shown)

        def at(field: str) -> Any:
            axis = alt.Axis(labelExpr=AXES[scale](language), tickCount=8 if wide else 3, grid=True)
            return alt.X(f"{field}:Q", axis=axis)

        name = alt.Y("name:N", sort=names, axis=alt.Axis(**axis_of_names))
        color = signed(GOOD, BAD, unclear=SOFT)
        chart = base(shown, width, height)
        layers = [
            chart.mark_point(filled=True, size=70, opacity=1).encode(
                name, at("value"), color=color, description="label:N"
            )
        ]
        if whiskers:
            bars = base(whiskers, width, height).mark_rule(strokeWidth=2, aria=False)
            layers.insert(0, bars.encode(name, at("low"), x2="high:Q", color=color))
        if expected:
            ticks = base(expected, width, height)
            ticks = ticks.mark_tick(color=ACCENT, thickness=3, size=16, aria=False)
            layers.append(ticks.encode(name, at("expected")))
        return alt.layer(rule(chart, 0, is_upright=False), *layers)

    return both(draw, title)


def _kind(low: Any, high: Any) -> str:
    if low is not None and low > 0:
        return "good"
    return "bad" if high is not None and high < 0 else "unclear"
