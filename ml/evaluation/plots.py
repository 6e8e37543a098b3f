"""Pictures of an evaluation: calibration and gains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
