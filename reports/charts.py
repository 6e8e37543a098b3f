"""Charts as static SVG: Altair describes them, vl-convert draws them.

A chart needs no script. Its colours are the page's variables, so it follows light, dark and print;
each mark has its figure as a label for screen readers and as a tooltip. A chart with an axis is
drawn twice, for a wide and for a narrow page, and the stylesheet shows one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.formats import ENGLISH, PERCENT_SIGNS, SIZES, exact, figure, money, month, percent

if TYPE_CHECKING:
    from altair import FacetChart, HConcatChart, LayerChart, VConcatChart

    Chart = LayerChart | FacetChart | HConcatChart | VConcatChart

Row = Mapping[str, Any]
Draw = Callable[[bool], "Chart"]

WIDE, NARROW = 1000, 320
SPARK_WIDTH, SPARK_HEIGHT = 560, 64
# So many months have a label and a dot each.
FEW_MONTHS = 14
INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
GOOD, BAD, ACCENT = "var(--good)", "var(--bad)", "var(--accent)"
# Altair refuses colours that it has no name for: the theme is added to its finished specification.
CONFIG = {
    "background": None,
    "font": "inherit",
    "aria": True,
    "view": {"stroke": None},
    "locale": {
        "number": {
            **{"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""]},
            "minus": "-",
        }
    },
    "axis": {
        **{"labelColor": SOFT, "titleColor": SOFT, "gridColor": LINE, "tickColor": LINE},
        **{"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        **{"domain": False, "aria": False, "title": None},
    },
    "axisX": {"grid": False, "labelPadding": 6},
    "axisY": {"ticks": False, "labelPadding": 8},
    "text": {"fontSize": 12, "fill": SOFT},
    "title": {"color": SOFT},
}
LABELLED = re.compile(r'<path aria-label="([^"]*)"([^>]*)/>')


@lru_cache(maxsize=128)
def _svg(specification: str) -> str:
    """The drawing; the same chart stands on the gate report of every gate of a run."""
    import vl_convert

    return vl_convert.vegalite_to_svg(specification)


def drawn(chart: Chart, title: str, css: str) -> Markup:
    specification = chart.to_dict(validate=False) | {"config": CONFIG}
    svg = _svg(json.dumps(specification))
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    opening = Markup(
        '<svg class="{}" {} role="graphics-document document" aria-label="{}">'
    ).format(css, Markup(view[0]), title)
    # Texts are escaped by Vega, attributes only as far as attributes need it.
    body = LABELLED.sub(
        lambda found: Markup('<path aria-label="{0}"{1}><title>{0}</title></path>').format(
            unescape(found[1]), Markup(found[2])
        ),
        svg[svg.index(">") + 1 :],
    )
    return opening + Markup(body)


def both(draw: Draw, title: str) -> Markup:
    return drawn(draw(True), title, "chart wide-only") + drawn(
        draw(False), title, "chart narrow-only"
    )


def sizes(language: str) -> str:
    """An axis label: 250k, 1.5m, 2bn."""
    words = "format(datum.value, ',.2~f')"
    for size, sign in reversed(SIZES[language]):
        words = (
            f"abs(datum.value) >= {size:.0f} ?"
            f" format(datum.value / {size:.0f}, ',.2~f') + '{sign}' : {words}"
        )
    return words


def percents(language: str) -> str:
    """An axis label: 20 %, 0.5 %."""
    return f"format(100 * datum.value, ',.3~r') + '{PERCENT_SIGNS[language]}'"


def base(rows: Sequence[Row], width: int, height: int) -> Any:
    import altair

    return altair.Chart(altair.Data(values=list(rows)), width=width, height=height)


def rule(chart: Any, at: float, is_upright: bool = True, **line: Any) -> Any:
    """One line across the chart."""
    import altair as alt

    once = chart.properties(data=alt.Data(values=[{}]))
    return once.mark_rule(color=SOFT, aria=False, **line).encode(
        **{"y" if is_upright else "x": alt.datum(at)}
    )


def signed(good: str, bad: str, **more: str) -> Any:
    """Colours by the rows' kind."""
    import altair as alt

    colors = {"good": good, "bad": bad, **more}
    return alt.Color("kind:N", legend=None).scale(domain=list(colors), range=list(colors.values()))


def bridge(
    steps: Sequence[Row], labels: Mapping[str, str], title: str, language: str = ENGLISH
) -> Markup:
    """From the first measure to the last, step by step; lying down on a narrow page.

    Parameters
    ----------
    steps : measure, amount, start and end of its bar, kind (good, bad, sum)
    labels : what each measure is called
    """
    import altair as alt

    rows = [
        {
            "name": labels[step["measure"]],
            "words": money(step["amount"], language),
            "label": f"{labels[step['measure']]}: {exact(step['amount'], language)}",
            "tip": max(step["start"], step["end"]),
            "next": labels[after["measure"]],
            **{name: step[name] for name in ("start", "end", "kind")},
        }
        for step, after in zip(steps, [*steps[1:], steps[-1]], strict=True)
    ]

    def draw(wide: bool) -> Chart:
        names, size = ("x", "y") if wide else ("y", "x")
        channel = {"x": alt.X, "y": alt.Y}
        chart = base(rows, WIDE, 210) if wide else base(rows, NARROW - 170, 280)
        axis = alt.Axis(labelAngle=0, labelLimit=150, grid=False, ticks=False)
        name = channel[names]("name:N", sort=None, axis=axis).scale(paddingInner=0.3)
        scale = alt.Axis(labelExpr=sizes(language), tickCount=4 if wide else 2, grid=True)

        def at(field: str) -> Any:
            return channel[size](f"{field}:Q", axis=scale)

        bars = chart.mark_bar(opacity=0.75).encode(
            **{names: name, size: at("start"), f"{size}2": "end:Q"},
            color=signed(GOOD, BAD, sum=ACCENT),
            description="label:N",
        )
        steps_between = chart.mark_rule(color=SOFT, strokeDash=[2, 2], aria=False).encode(
            **{names: name, f"{names}2": "next:N", size: at("end")}
        )
        place: dict[str, Any] = {"dy": -9} if wide else {"align": "left", "dx": 4}
        values = chart.mark_text(fontWeight=600, fill=INK, aria=False, **place).encode(
            **{names: name, size: at("tip")}, text="words:N"
        )
        return alt.layer(steps_between, bars, rule(chart, 0, wide), values)

    return both(draw, title)


def whale(
    distribution: Mapping[str, Any], words: Mapping[str, str], language: str = ENGLISH
) -> Markup:
    """Cumulative profit by cumulative customers, the most profitable first.

    Parameters
    ----------
    distribution : curve (shares of the customers and their profit), measure (of the profit,
        `in_shares` of the whole or in money), and the rows best, peak and last
    words : title, axis, and best and peak with places for share and profit
    """
    import altair as alt

    measure, in_shares = distribution["measure"], distribution["in_shares"]
    curve = [{"share": share, "profit": profit} for share, profit in distribution["curve"]]
    peak, last = distribution["peak"], distribution["last"]
    turn = float(peak["cumulative_customer_share"])

    def mark(name: str) -> Row:
        row = distribution[name]
        share, profit = row["cumulative_customer_share"], row[measure]
        shown = percent(profit, 1, language) if in_shares else money(profit, language)
        label = str(words[name]).format(share=percent(share, 0, language), profit=shown)
        return {"share": float(share), "profit": float(profit), "words": label}

    def draw(wide: bool) -> Chart:
        width, height = (WIDE, 280) if wide else (NARROW, 240)
        sized = percents(language) if in_shares else sizes(language)
        share = alt.X("share:Q").scale(domain=[0, 1]).title(words["axis"])
        share = share.axis(labelExpr=percents(language), tickCount=10 if wide else 5)
        # Room above the peak for its label.
        profit = alt.Y("profit:Q").axis(labelExpr=sized, tickCount=5)
        profit = profit.scale(domainMax=1.12 * max(row["profit"] for row in curve) or 1.0)

        def line(rows: Sequence[Row], color: str) -> Any:
            chart = base(rows, width, height)
            return chart.mark_line(color=color, strokeWidth=2.5, aria=False).encode(share, profit)

        def dot(row: Row, **place: Any) -> Any:
            chart = base([row], width, height).encode(share, profit)
            text = chart.mark_text(fontWeight=600, fill=INK, aria=False, **place)
            circle = chart.mark_point(filled=True, size=60, opacity=1, color=ACCENT)
            return circle.encode(description="words:N") + text.encode(text="words:N")

        area = base(curve, width, height).mark_area(color=ACCENT, opacity=0.1, aria=False)
        layers = [area.encode(share, profit), rule(area, 0)]
        if in_shares:
            layers.append(rule(area, 1, strokeDash=[5, 4]))
        layers.append(line([row for row in curve if row["share"] <= turn], ACCENT))
        layers.append(line([row for row in curve if row["share"] >= turn], BAD))
        layers.append(dot(mark("best"), align="left", dx=12, dy=6))
        if peak is not last:
            align = "right" if turn > 0.8 else "left" if turn < 0.2 else "center"
            layers.append(dot(mark("peak"), align=align, dy=-14))
        return alt.layer(*layers)

    return both(draw, words["title"])


def trend(history: Sequence[Row], title: str, words: str, language: str = ENGLISH) -> Markup:
    """Economic profit as bars, contribution as a line, month by month.

    Parameters
    ----------
    history : month (its first day), economic_profit, contribution_margin
    words : of a month, with places for month, bar and line
    """
    import altair as alt

    rows = [
        {
            "month": row["month"].isoformat(),
            "label": str(words).format(
                month=month(row["month"], language),
                bar=exact(row["economic_profit"], language),
                line=exact(row["contribution_margin"], language),
            ),
            "short": month(row["month"], language),
            "bar": float(row["economic_profit"]),
            "line": float(row["contribution_margin"]),
            "kind": "bad" if row["economic_profit"] < 0 else "good",
        }
        for row in history
    ]
    few = len(rows) <= FEW_MONTHS
    # The name of each month where they are few, else the year under each January.
    named = rows if few else [row for row in rows if row["month"][5:7] == "01"]
    names = {row["month"]: row["short"] if few else row["month"][:4] for row in named}

    def draw(wide: bool) -> Chart:
        chart = base(rows, WIDE if wide else NARROW - 50, 220)
        axis = alt.Axis(
            values=list(names),
            labelExpr=f"{json.dumps(names, ensure_ascii=False)}[datum.value]",
            labelAngle=0 if wide or not few else -90,
            ticks=not few,
        )
        months = alt.X("month:O", axis=axis)
        size = alt.Axis(labelExpr=sizes(language), tickCount=5)
        width = min(0.8 * chart.width / len(rows), 60.0)
        bars = chart.mark_bar(opacity=0.75, width=width).encode(
            months,
            alt.Y("bar:Q", axis=size),
            color=signed(ACCENT, BAD),
            description="label:N",
        )
        line = chart.mark_line(
            color=INK,
            strokeWidth=2,
            aria=False,
            point={"color": INK, "aria": False} if few else False,
        )
        return alt.layer(bars, rule(chart, 0), line.encode(months, alt.Y("line:Q", axis=size)))

    return both(draw, title)


def months(rows: Sequence[Row], title: str, language: str = ENGLISH) -> Markup:
    """Small bars month by month, without axes: month, figure, and whether it is missing."""
    import altair as alt

    bars = [
        {
            "month": row["month"].isoformat(),
            "figure": row["figure"] or 0.0,
            "label": f"{month(row['month'], language)}: {figure(row['figure'], language)}",
            "kind": "bad" if row["missing"] else "good",
        }
        for row in rows
    ]
    chart = base(bars, SPARK_WIDTH, SPARK_HEIGHT)
    bars_drawn = chart.mark_bar(minBandSize=1).encode(
        alt.X("month:O", axis=None),
        alt.Y("figure:Q", axis=None),
        color=signed(ACCENT, BAD),
        description="label:N",
    )
    return drawn(alt.layer(bars_drawn, rule(chart, 0)), title, "spark")
