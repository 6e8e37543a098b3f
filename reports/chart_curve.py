"""Curves of a model by tenth of its predictions: calibration and gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.charts import ACCENT, NARROW, SOFT, WIDE, Row, base, both, percents, sizes
from reports.formats import ENGLISH, figure, percent

if TYPE_CHECKING:
    from reports.charts import Chart

HEIGHT = 240


def calibration(
    deciles: Sequence[Row], words: dict[str, str], language: str = ENGLISH, *, in_shares: bool
) -> Markup:
    """Mean outcome against mean prediction by tenth; on the diagonal they are equal.

    Parameters
    ----------
    deciles : decile, predicted, observed
    words : title, axes x and y, label of a dot with places for decile, predicted and observed
    """
    worded = percent if in_shares else figure
    rows = [
        {
            "x": float(row["predicted"]),
            "y": float(row["observed"]),
            "label": str(words["label"]).format(
                decile=row["decile"],
                predicted=worded(row["predicted"], language=language),
                observed=worded(row["observed"], language=language),
            ),
        }
        for row in deciles
    ]
    ends = [float(row[name]) for row in deciles for name in ("predicted", "observed")]
    low, high = min(0.0, *ends), max(ends)
    return _curve(rows, [low, high], words, percents(language) if in_shares else sizes(language))


def gains(deciles: Sequence[Row], words: dict[str, str], language: str = ENGLISH) -> Markup | None:
    """Share of all outcomes that the highest tenths hold; on the diagonal the order is chance.

    None where all outcomes together are not above zero.

    Parameters
    ----------
    deciles : decile, customers, observed (the mean outcome)
    words : title, axes x and y, label of a dot with places for share and held
    """
    ordered = sorted(deciles, key=lambda row: -row["decile"])
    everyone = sum(row["customers"] for row in ordered)
    whole = sum(row["customers"] * row["observed"] for row in ordered)
    if whole <= 0:
        return None
    share = held = 0.0
    rows: list[dict[str, Any]] = [{"x": 0.0, "y": 0.0, "label": ""}]
    for row in ordered:
        share += row["customers"] / everyone
        held += row["customers"] * row["observed"] / whole
        label = str(words["label"]).format(
            share=percent(share, 0, language), held=percent(held, language=language)
        )
        rows.append({"x": share, "y": held, "label": label})
    return _curve(rows, [0.0, 1.0], words, percents(language))


def _curve(rows: Sequence[Row], diagonal: list[float], words: dict[str, str], sized: str) -> Markup:
    import altair as alt

    def draw(wide: bool) -> Chart:
        width = int(WIDE / 2) if wide else NARROW - 60
        few = 5 if wide else 3
        x = alt.X("x:Q").title(words["x"]).axis(labelExpr=sized, tickCount=few, grid=True)
        y = alt.Y("y:Q").title(words["y"]).axis(labelExpr=sized, tickCount=5)
        equal = base([{"x": at, "y": at} for at in diagonal], width, HEIGHT)
        chart = base(rows, width, HEIGHT)
        dots = base([row for row in rows if row["label"]], width, HEIGHT)
        return alt.layer(
            equal.mark_line(color=SOFT, strokeDash=[5, 4], strokeWidth=1.5, aria=False).encode(
                x, y
            ),
            chart.mark_line(color=ACCENT, strokeWidth=2, aria=False).encode(x, y),
            dots.mark_point(filled=True, size=60, opacity=1, color=ACCENT).encode(
                x, y, description="label:N"
            ),
        )

    return both(draw, words["title"])
