"""Bars that lie, in panels beside each other: the same rows by several measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.charts import ACCENT, BAD, INK, NARROW, SOFT, WIDE, Row, base, both, signed
from reports.formats import ENGLISH, count, money

if TYPE_CHECKING:
    from reports.charts import Chart

ROW_HEIGHT = 26
NAMES = {True: 230, False: 120}
PADDING = 8
LETTER, CHINESE, FIRST_CHINESE = 7, 13, 0x2E80
# Beside a bar, for its figure.
FIGURE = 74
WORDS: dict[str, Callable[..., str]] = {"count": count, "money": money}


def text_of(words: str | Markup) -> str:
    """What a template writes, as the text that it stands for: Vega escapes it itself."""
    return str(words.unescape()) if isinstance(words, Markup) else words


def width_of(name: str) -> int:
    """The points of a name, at most: Vega does not know the page's font and cuts too early."""
    return sum(CHINESE if ord(sign) >= FIRST_CHINESE else LETTER for sign in name)


def name_axis(names: Sequence[str], most: int) -> tuple[int, dict[str, Any]]:
    """The points beside an axis of names, at most `most` for each, and its options."""
    room = min(max(map(width_of, names), default=0), most) + PADDING
    words = json.dumps({name: fitted(name, most) for name in names}, ensure_ascii=False)
    return room, {
        "labelExpr": f"{words}[datum.value]",
        **{"minExtent": room, "maxExtent": room, "labelLimit": 0, "labelPadding": PADDING},
        **{"ticks": False, "grid": False},
    }


def fitted(name: str, most: int) -> str:
    """A name, cut where it is longer than `most` points."""
    if width_of(name) <= most:
        return name
    while name and width_of(name) > most - CHINESE:
        name = name[:-1]
    return f"{name.rstrip()}…"


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

    names = [text_of(row["name"]) for row in rows]

    def draw(wide: bool) -> Chart:
        room, axis_of_names = name_axis(names, NAMES[wide])
        each = (WIDE - room) // len(measures) - 20 if wide else NARROW - room - 20
        drawn = []
        for place, (measure, (heading, worded)) in enumerate(measures.items()):
            shown: list[dict[str, Any]] = [
                {
                    "name": name,
                    "value": float(row[measure] or 0),
                    "words": (text := WORDS[worded](row[measure], language)),
                    "label": f"{name}, {text_of(heading)}: {text}",
                    "kind": row.get("kind") or ("bad" if (row[measure] or 0) < 0 else "good"),
                }
                for name, row in zip(names, rows, strict=True)
            ]
            values = [row["value"] for row in shown]
            low, high = min([0.0, *values]), max([0.0, *values])
            # Room for the figure behind the longest bar, on either side.
            beside = FIGURE / max(each - FIGURE, 1) * ((high - low) or 1.0)
            domain = [low - beside if low < 0 else 0.0, high + beside]
            axis = alt.Axis(**axis_of_names) if place == 0 or not wide else None
            place_of_name = alt.Y("name:N", sort=names, axis=axis).scale(paddingInner=0.25)
            size = alt.X("value:Q", axis=None).scale(domain=domain, nice=False)
            chart = base(shown, each, ROW_HEIGHT * len(shown))
            bars = chart.mark_bar(opacity=0.75).encode(
                place_of_name, size, color=signed(ACCENT, BAD, soft=SOFT), description="label:N"
            )
            layers = [bars]
            for is_loss, place_of in (
                (False, {"align": "left", "dx": 5}),
                (True, {"align": "right", "dx": -5}),
            ):
                own = [row for row in shown if (row["value"] < 0) == is_loss]
                if own:
                    figure: Any = base(own, each, ROW_HEIGHT * len(shown))
                    figure = figure.mark_text(fill=INK, aria=False, **place_of)
                    layers.append(figure.encode(place_of_name, size, text="words:N"))
            heading_words = alt.Title(
                text_of(heading), anchor="start", fontSize=12, fontWeight="normal", offset=6
            )
            drawn.append(alt.layer(*layers, title=heading_words))
        arranged = alt.hconcat(*drawn, spacing=16) if wide else alt.vconcat(*drawn, spacing=14)
        return arranged.resolve_scale(color="independent")

    return both(draw, title)
