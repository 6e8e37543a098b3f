"""Parts of a whole, month by month, as stacked bars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports.charts import (
    ACCENT,
    BAD,
    FEW_MONTHS,
    NARROW,
    WIDE,
    Row,
    base,
    both,
    percents,
    sizes,
)
from reports.formats import ENGLISH, exact, month, percent

if TYPE_CHECKING:
    from reports.charts import Chart

WARN = "var(--warn)"
# From the part that worries least to the one that worries most.
COLORS = (ACCENT, WARN, BAD)


def stacked(
    rows: Sequence[Row],
    parts: Mapping[str, str],
    title: str,
    language: str = ENGLISH,
    *,
    in_shares: bool = False,
) -> Markup:
    """Stacked bars by month.

    Parameters
    ----------
    rows : month (its first day), and a figure for each part
    parts : field → what it is called, at most three; the last stands on top
    """
    import altair as alt

    colors = dict(zip(parts, COLORS[-len(parts) :], strict=True))
    words = percent if in_shares else exact
    few = len(rows) <= FEW_MONTHS
    named = rows if few else [row for row in rows if row["month"].month == 1]
    names = {
        row["month"].isoformat(): month(row["month"], language) if few else str(row["month"].year)
        for row in named
    }
    bars = [
        {
            "month": row["month"].isoformat(),
            "part": field,
            "order": number,
            "figure": float(row[field] or 0),
            "label": f"{month(row['month'], language)}, {called}: "
            f"{words(row[field], language=language)}",
        }
        for row in rows
        for number, (field, called) in enumerate(parts.items())
    ]

    def draw(wide: bool) -> Chart:
        width = WIDE / 2 if wide else NARROW - 50
        chart = base(bars, int(width), 190)
        axis = alt.Axis(
            values=list(names),
            labelExpr=f"{json.dumps(names, ensure_ascii=False)}[datum.value]",
            labelAngle=0 if not few else -90,
            ticks=not few,
        )
        size = alt.Axis(labelExpr=percents(language) if in_shares else sizes(language), tickCount=4)
        color = alt.Color("part:N", legend=None).scale(
            domain=list(colors), range=list(colors.values())
        )
        drawn = chart.mark_bar(opacity=0.85).encode(
            alt.X("month:O", axis=axis),
            alt.Y("figure:Q", axis=size, stack="zero"),
            color=color,
            order="order:Q",
            description="label:N",
        )
        return alt.layer(drawn)

    return both(draw, title)
