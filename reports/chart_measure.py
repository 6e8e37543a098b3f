"""Figures with their intervals, a row each, on one axis of shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.charts import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LINE,
    NARROW,
    SOFT,
    WIDE,
    Row,
    base,
    both,
    percents,
    rule,
    signed,
)
from reports.formats import ENGLISH

if TYPE_CHECKING:
    from reports.charts import Chart

ROW_HEIGHT = 30
# The names stand left of the drawing.
NAMES, NARROW_NAMES = 270, 150


def _names(room: int, wide: bool) -> Any:
    import altair as alt

    size = 12 if wide else 9
    return alt.Axis(
        labelLimit=room - 8, labelFontSize=size, minExtent=room, grid=False, ticks=False
    )


def measures(
    rows: Sequence[Row], title: str, language: str = ENGLISH, *, bound: float | None = None
) -> Markup:
    """A dot with whiskers for each figure, left or right of zero.

    Parameters
    ----------
    rows : name, value, low and high as shares (an end that is None is not drawn), label, and kind:
        good or bad where the whole interval is on one side, plain otherwise
    bound : what is allowed either side of zero, as a band
    """
    import altair as alt

    shown = [
        {name: row[name] for name in ("name", "label", "kind")}
        | {name: float(row[name]) for name in ("value", "low", "high") if row[name] is not None}
        for row in rows
    ]
    ends = [row[name] for row in shown for name in ("value", "low", "high") if name in row]
    # Zero and the band are always in the picture.
    reach = [*ends, 0.0, *([] if bound is None else [-bound, bound])]
    low, high = min(reach), max(reach)
    margin = 0.04 * (high - low) or 0.01

    def draw(wide: bool) -> Chart:
        room = NAMES if wide else NARROW_NAMES
        width = (WIDE if wide else NARROW) - room
        chart = base(shown, width, ROW_HEIGHT * len(shown))
        axis = _names(room, wide)
        name = alt.Y("name:N", sort=None, axis=axis)
        scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
        sized = alt.Axis(labelExpr=percents(language), tickCount=7 if wide else 3, grid=True)
        color = signed(GOOD, BAD, plain=ACCENT)

        def at(field: str) -> Any:
            return alt.X(f"{field}:Q", axis=sized, scale=scale)

        layers = []
        if bound is not None:
            band = base([{"low": -bound, "high": bound}], width, ROW_HEIGHT * len(shown))
            layers.append(
                band.mark_rect(color=LINE, opacity=0.45, aria=False).encode(at("low"), x2="high:Q")
            )
        layers.append(rule(chart, 0, is_upright=False, strokeDash=[4, 3]))
        whiskers = [row for row in shown if "low" in row and "high" in row]
        if whiskers:
            spans = base(whiskers, width, ROW_HEIGHT * len(shown))
            layers.append(
                spans.mark_rule(strokeWidth=2, color=SOFT, aria=False).encode(
                    at("low"), name, x2="high:Q"
                )
            )
        dots = chart.mark_point(filled=True, size=90, opacity=1, stroke=INK, strokeWidth=0.5)
        layers.append(dots.encode(at("value"), name, color=color, description="label:N"))
        return alt.layer(*layers)

    return both(draw, title)


def drifts(rows: Sequence[Row], title: str, language: str = ENGLISH, *, limit: float) -> Markup:
    """Indices of drift as bars, with what chance alone reaches as a tick.

    Parameters
    ----------
    rows : name, psi, noise, label
    limit : above it the population has changed
    """
    import altair as alt

    shown = [
        {
            **{"name": row["name"], "label": row["label"]},
            **{"psi": float(row["psi"]), "noise": float(row["noise"] or 0)},
            "kind": "bad" if row["psi"] > max(limit, row["noise"] or 0) else "plain",
        }
        for row in rows
    ]

    def draw(wide: bool) -> Chart:
        room = NAMES if wide else NARROW_NAMES
        width = (WIDE if wide else NARROW) - room
        chart = base(shown, width, 22 * len(shown))
        axis = _names(room, wide)
        name = alt.Y("name:N", sort=None, axis=axis).scale(paddingInner=0.35)
        size = alt.Axis(tickCount=5 if wide else 3, grid=True, format=".2~f")
        bars = chart.mark_bar(opacity=0.75).encode(
            alt.X("psi:Q", axis=size),
            name,
            color=signed(GOOD, BAD, plain=ACCENT),
            description="label:N",
        )
        ticks = chart.mark_tick(color=INK, thickness=2, aria=False).encode(
            alt.X("noise:Q", axis=size), name
        )
        return alt.layer(bars, ticks, rule(chart, limit, is_upright=False, strokeDash=[4, 3]))

    return both(draw, title)
