"""Counts by month as strips: a row of squares for each check, red where the count is not zero."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports.charts import BAD, FEW_MONTHS, GOOD, NARROW, WIDE, Row, base, both, signed
from reports.formats import ENGLISH, count, month

if TYPE_CHECKING:
    from reports.charts import Chart

ROW_HEIGHT = 22
NAMES, NARROW_NAMES = 330, 190


def strips(rows: Sequence[Row], title: str, language: str = ENGLISH) -> Markup:
    """Squares by check and month.

    Parameters
    ----------
    rows : name of the check, month (its first day), count
    """
    import altair as alt

    squares = [
        {
            "name": row["name"],
            "month": row["month"].isoformat(),
            "kind": "bad" if row["count"] else "good",
            "label": f"{row['name']}, {month(row['month'], language)}: "
            f"{count(row['count'], language)}",
        }
        for row in rows
    ]
    months = sorted({row["month"] for row in rows})
    few = len(months) <= FEW_MONTHS
    named = months if few else [one for one in months if one.month == 1]
    names = {one.isoformat(): month(one, language) if few else str(one.year) for one in named}
    checks = len({row["name"] for row in rows})

    def draw(wide: bool) -> Chart:
        room = NAMES if wide else NARROW_NAMES
        chart = base(squares, (WIDE if wide else NARROW) - room, ROW_HEIGHT * checks)
        axis = alt.Axis(
            values=list(names),
            labelExpr=f"{json.dumps(names, ensure_ascii=False)}[datum.value]",
            labelAngle=-90 if few else 0,
            ticks=False,
        )
        label = alt.Axis(
            labelLimit=room - 6,
            labelFontSize=12 if wide else 9,
            minExtent=room,
            grid=False,
            ticks=False,
        )
        drawn = chart.mark_rect(
            opacity=0.7, stroke="var(--card)", strokeWidth=2 if wide else 0.5
        ).encode(
            alt.X("month:O", axis=axis),
            alt.Y("name:N", sort=None, axis=label),
            color=signed(GOOD, BAD),
            description="label:N",
        )
        return alt.layer(drawn)

    return both(draw, title)
