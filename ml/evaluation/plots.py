"""Figures of an evaluation: calibration, gains, coverage of intervals, importance of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.evaluation.metrics import decile_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def calibration_figure(y: np.ndarray, predicted: np.ndarray, unit: str) -> Figure:
    """Mean prediction against mean outcome by tenth of the predictions."""
    from matplotlib.figure import Figure

    table = decile_table(y, predicted)
    figure = Figure(figsize=(5, 5), layout="tight")
    axes = figure.subplots()
    ends = [
        min(table["predicted"].min(), table["observed"].min()),
        max(table["predicted"].max(), table["observed"].max()),
    ]
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.plot(table["predicted"], table["observed"], marker="o")
    axes.set(xlabel=f"mean prediction, {unit}", ylabel=f"mean outcome, {unit}", title="calibration")
    return figure


def gains_figure(y: np.ndarray, scores: dict[str, np.ndarray]) -> Figure:
    """Share of the outcome against share of customers, best first, for several scores."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="tight")
    axes = figure.subplots()
    share = np.linspace(0, 1, len(y) + 1)
    for name, score in {**scores, "perfect": y}.items():
        ordered = np.concatenate([[0], np.cumsum(y[np.argsort(-score, kind="stable")])])
        axes.plot(share, ordered / y.sum(), label=name, linewidth=1.2)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.set(xlabel="share of customers", ylabel="share of the outcome", title="gains")
    axes.legend()
    return figure


def coverage_figure(table: pd.DataFrame, nominal: float) -> Figure:
    """Share of the outcomes within their intervals by tenth of the predictions, with the nominal
    share.

    Parameters
    ----------
    table : frame with columns decile and coverage (`metrics.coverage_by_decile`)
    nominal : float, from 0 to 1
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(5, 4), layout="tight")
    axes = figure.subplots()
    axes.axhline(nominal, color="grey", linewidth=1, label=f"asked for, {nominal * 100:.0f} %")
    axes.plot(table["decile"], table["coverage"], marker="o", label="observed")
    least = min(nominal, table["coverage"].min())
    axes.set(
        xlabel="tenth of the predictions, lowest first",
        ylabel="outcomes within their interval",
        title="coverage",
        xticks=table["decile"],
        ylim=(max(0, np.floor(least * 10 - 1) / 10), 1.02),
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend()
    return figure


def importance_figure(names: Sequence[str], importance: np.ndarray, top: int = 20) -> Figure:
    """The most important features, greatest at the top.

    Parameters
    ----------
    names : sequence of n feature names
    importance : array of shape (n,), in any unit; may be negative
    top : int, the most features shown

    Raises
    ------
    ValueError
        For no features, or another number of names.
    """
    from matplotlib.figure import Figure

    importance = np.asarray(importance, dtype=float)
    if importance.shape != (len(names),) or not len(names):
        raise ValueError(
            f"importance is invalid: expected {len(names)} values, got shape {importance.shape}"
        )
    shown = np.argsort(-importance, kind="stable")[:top][::-1]
    figure = Figure(figsize=(6, 1.2 + 0.25 * len(shown)), layout="tight")
    axes = figure.subplots()
    # Numbered positions: matplotlib draws two features of one name as one bar.
    axes.barh(np.arange(len(shown)), importance[shown], height=0.7)
    axes.set_yticks(np.arange(len(shown)), [names[place] for place in shown])
    axes.set(xlabel="importance", title="important features", ylim=(-0.6, len(shown) - 0.4))
    axes.grid(axis="x", color="lightgrey", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
