"""The value report's pictures, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from orchestration.release.value_report.wording import (
    CHAIN,
    DEDUCTED,
    SUBTOTALS,
    exact,
    money,
    percent,
    short,
)

WIDTH = 1040
LEFT = 70
BAR_WIDTH, BAR_HEIGHT = 96, 10
# So many months have a label and a dot each.
FEW_MONTHS = 14


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that cover low to high, evenly spaced."""
    step = (high - low) / about or 1.0
    size = 10.0 ** math.floor(math.log10(step))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= step - 1e-9)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * place for place in range(first, max(last, first + 1) + 1)]


class Chart:
    """A chart that covers zero and the figures, with an axis at the left; drawn on part by part."""

    def __init__(
        self,
        height: int,
        span: tuple[float, float],
        figures: Iterable[float],
        words: Callable[[float], str] = short,
        right: float = WIDTH - 10,
        ticks: int = 5,
    ) -> None:
        covered = [0.0, *figures]
        at = _ticks(min(covered), max(covered), ticks)
        self.height, self.right, (top, bottom) = height, right, span
        self.y = _scale(at[0], at[-1], bottom, top)
        self.parts: list[Markup] = []
        for tick in at:
            y = self.y(tick)
            self.rule(LEFT, y, right, y, "axis" if abs(tick) < 1e-9 else "grid")
            self.label(LEFT - 8, y + 4, words(tick), "end")

    def _draw(self, shape: str, *values: Any) -> None:
        self.parts.append(Markup(shape).format(*values))

    def label(self, x: float, y: float, text: str, anchor: str = "middle", css: str = "") -> None:
        shape = '<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>'
        self._draw(shape, x, y, anchor, css, text)

    def rule(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        shape = '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>'
        self._draw(shape, x1, y1, x2, y2, css)

    def column(
        self, x: float, width: float, start: float, end: float, css: str, title: str
    ) -> None:
        """A column from one figure to another."""
        upper, lower = sorted((self.y(start), self.y(end)))
        self._draw(
            '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}">'
            "<title>{}</title></rect>",
            *(x, upper, max(width, 0.5), max(lower - upper, 0.5), css, title),
        )

    def path(
        self, points: Sequence[tuple[float, float]], css: str, shape: str = "polyline"
    ) -> None:
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._draw('<{} points="{}" class="{}"/>', shape, drawn, css)

    def dot(self, x: float, y: float) -> None:
        self._draw('<circle cx="{:.1f}" cy="{:.1f}" r="4" class="curve"/>', x, y)

    def drawn(self, name: str) -> Markup:
        shape = '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
        return Markup(shape).format(WIDTH, self.height, name, Markup("\n").join(self.parts))


def bar(value: Decimal, reach: tuple[float, float]) -> Markup:
    """A bar beside its figure: right of the zero line for profit, left of it for loss."""
    x = _scale(*reach, 0, BAR_WIDTH)
    start, end = sorted((x(0), x(float(value))))
    return Markup(
        '<svg class="bar" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true">'
        '<rect class="{css}" x="{start:.1f}" y="1" width="{length:.1f}" height="{inner}"/>'
        '<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{h}"/></svg>'
    ).format(
        w=BAR_WIDTH,
        h=BAR_HEIGHT,
        inner=BAR_HEIGHT - 2,
        css="bad" if value < 0 else "good",
        start=start,
        length=end - start,
        zero=x(0),
    )


def bridge(total: dict[str, Any]) -> Markup:
    """From margin and fees down to economic profit, step by step."""
    steps: list[tuple[str, Decimal, float, float]] = []
    level = 0.0
    for measure in CHAIN:
        amount = -total[measure] if measure in DEDUCTED else total[measure]
        start = 0.0 if measure in SUBTOTALS else level
        level = start + float(amount)
        steps.append((measure, amount, start, level))
    chart = Chart(280, (30, 236), [end for *_, end in steps], ticks=4)
    slot = (chart.right - LEFT) / len(steps)
    for place, (measure, amount, start, end) in enumerate(steps):
        x = LEFT + place * slot
        css = "bad" if amount < 0 else "sum" if measure in SUBTOTALS else "good"
        title = f"{CHAIN[measure]}: {exact(amount)}"
        chart.column(x + slot * 0.16, slot * 0.68, start, end, css, title)
        chart.label(x + slot / 2, chart.y(max(start, end)) - 7, money(amount), css="value")
        chart.label(x + slot / 2, chart.height - 14, CHAIN[measure])
        if place + 1 < len(steps):
            chart.rule(x + slot * 0.84, chart.y(end), x + slot * 1.16, chart.y(end), "step")
    return chart.drawn("From net interest margin to economic profit")


def whale(distribution: list[dict[str, Any]], best: dict[str, Any], peak: dict[str, Any]) -> Markup:
    """Cumulative profit by cumulative customers; in money where all together bring no profit."""
    last = distribution[-1]
    in_shares = last["cumulative_profit_share"] is not None
    measure = "cumulative_profit_share" if in_shares else "cumulative_economic_profit_12m"
    top, bottom, right = 24, 312, WIDTH - 30
    figures = [0.0, *(float(row[measure]) for row in distribution)]
    # Room above the peak for its label.
    figures.append(1.06 * max(figures))
    axis = (lambda share: percent(share, 0)) if in_shares else short
    chart = Chart(360, (top, bottom), figures, axis, right)
    x, y = _scale(0, 1, LEFT, right), chart.y

    def point(row: dict[str, Any]) -> tuple[float, float]:
        return x(float(row["cumulative_customer_share"])), y(float(row[measure]))

    def words(row: dict[str, Any]) -> str:
        figure = percent(row[measure]) if in_shares else money(row[measure])
        return f"{percent(row['cumulative_customer_share'], 0)}: {figure}"

    for tenth in range(11):
        chart.label(x(tenth / 10), bottom + 20, f"{tenth * 10} %")
    middle = (LEFT + right) / 2
    chart.label(middle, chart.height - 8, "customers, the most profitable first", css="name")
    curve = [(x(0), y(0)), *map(point, distribution)]
    turn = 1 + distribution.index(peak)
    chart.path([(x(0), y(0)), *curve, (x(1), y(0))], "area", "polygon")
    if in_shares:
        chart.rule(LEFT, y(1), right, y(1), "whole")
    chart.path(curve[: turn + 1], "curve")
    chart.path(curve[turn:], "curve lost")
    px, py = point(best)
    chart.dot(px, py)
    chart.label(px + 12, py + 5, f"best {words(best)}", "start", "value")
    if peak is not last:
        px, py = point(peak)
        chart.dot(px, py)
        anchor = "end" if px > right - 90 else "start" if px < LEFT + 90 else "middle"
        chart.label(px, py - 12, f"peak at {words(peak)}", anchor, "value")
    return chart.drawn("Cumulative economic profit by cumulative customers")


def trend(history: list[dict[str, Any]]) -> Markup:
    """Economic profit as columns, contribution as a line, month by month."""
    measures = ("economic_profit", "contribution_margin")
    top, bottom = 20, 240
    chart = Chart(280, (top, bottom), [float(row[name]) for row in history for name in measures])
    slot = (chart.right - LEFT) / len(history)
    width = min(slot * 0.7, 60.0)
    line = []
    for place, row in enumerate(history):
        start, middle = LEFT + place * slot, LEFT + (place + 0.5) * slot
        profit, contribution = (row[name] for name in measures)
        css = "bad" if profit < 0 else "sum"
        title = (
            f"{row['month']:%Y-%m}: economic profit {exact(profit)},"
            f" contribution {exact(contribution)}"
        )
        chart.column(middle - width / 2, width, 0, float(profit), css, title)
        line.append((middle, chart.y(float(contribution))))
        if len(history) <= FEW_MONTHS:
            chart.label(middle, chart.height - 18, f"{row['month']:%Y-%m}")
        elif row["month"].month == 1:
            chart.rule(start, bottom, start, bottom + 6, "axis")
            chart.label(start + 4, chart.height - 18, f"{row['month']:%Y}", "start")
    chart.path(line, "curve")
    if len(history) <= FEW_MONTHS:
        for point in line:
            chart.dot(*point)
    return chart.drawn("Economic profit and contribution by month")
