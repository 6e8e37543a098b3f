"""Bars that lie, in panels beside each other: the same rows by several measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.charts import ACCENT, BAD, INK, NARROW, SOFT, WIDE, Row, base, both, signed
from reports.formats import ENGLISH, count, money

if TYPE_CHECKING:
    from reports.charts import Chart

ROW_HEIGHT = 26
NAMES = {True: 190, False: 110}
# Beside a bar, for its figure.
FIGURE = 74
WORDS = {"count": count, "money": money}


def panels(
    rows: Sequence[Row],
    measures: Mapping[str, tuple[str, str]],
    title: str,
    language: str = ENGLISH,
) -> Markup:
    """A panel a measure, each on its own scale; below each other on a narrow page.

    Parameters
    ----------
    rows : name (each another), and the measures; a row that is `kind` "soft" is drawn grey
    measures : measure → its title and how it is worded ("count", "money")
    """
    import altair as alt

    def draw(wide: bool) -> Chart:
        each = (WIDE - NAMES[True]) // len(measures) - 20 if wide else NARROW - NAMES[False] - 20
        drawn = []
        for place, (measure, (heading, worded)) in enumerate(measures.items()):
            shown = [
                {
                    "name": row["name"],
                    "value": float(row[measure] or 0),
                    "words": (text := WORDS[worded](row[measure], language)),
                    "label": f"{row['name']}, {heading}: {text}",
                    "kind": row.get("kind") or ("bad" if (row[measure] or 0) < 0 else "good"),
                }
                for row in rows
            ]
            values = [row["value"] for row in shown]
            low, high = min([0.0, *values]), max([0.0, *values])
            # Room for the figure behind the longest bar, on either side.
            room = FIGURE / max(each - FIGURE, 1) * ((high - low) or 1.0)
            domain = [low - room if low < 0 else 0.0, high + room]
            axis = None
            if place == 0 or not wide:
                axis = alt.Axis(labelLimit=NAMES[wide], ticks=False, labelPadding=8, grid=False)
            name = alt.Y("name:N", sort=[row["name"] for row in rows], axis=axis)
            name = name.scale(paddingInner=0.25)
            size = alt.X("value:Q", axis=None).scale(domain=domain, nice=False)
            chart = base(shown, each, ROW_HEIGHT * len(shown))
            bars = chart.mark_bar(opacity=0.75).encode(
                name, size, color=signed(ACCENT, BAD, soft=SOFT), description="label:N"
            )
            layers = [bars]
            for sign, place_of in (
                ([row for row in shown if row["value"] >= 0], {"align": "left", "dx": 5}),
                ([row for row in shown if row["value"] < 0], {"align": "right", "dx": -5}),
            ):
                if sign:
                    text: Any = base(sign, each, ROW_HEIGHT * len(shown))
                    text = text.mark_text(fill=INK, aria=False, **place_of)
                    layers.append(text.encode(name, size, text="words:N"))
            heading_words = alt.Title(
                heading, anchor="start", fontSize=12, fontWeight="normal", offset=6
            )
            drawn.append(alt.layer(*layers, title=heading_words))
        arranged = alt.hconcat(*drawn, spacing=16) if wide else alt.vconcat(*drawn, spacing=14)
        return arranged.resolve_scale(color="independent")

    return both(draw, title)
