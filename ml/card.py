"""The card of a registered model: its purpose, evaluation and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import floor, isfinite, log10

import numpy as np
import pandas as pd

from ml.evaluation.drift import MUCH_DRIFT, SOME_DRIFT

DIGITS = 3
MOST_DRIFTED, MOST_IMPORTANT = 10, 20
# The default reason why a section has no data; `unavailable` overrides it.
REASONS = {
    "Figures": "the version was not evaluated",
    "By cut-off": "one evaluation cut-off only",
    "Calibration by decile": "the version was not evaluated",
    "Intervals": "the model gives no intervals",
    "Fairness by sex and age band": "neither sex nor age of the evaluated customers is known",
    "By kind of customer": "the kind of the evaluated customers is not known",
    "Drift": "there was nothing to compare the training data with",
    "Important features": "importance was not measured",
    "Limits": "none were stated",
}
INTERVAL = "90 % bootstrap interval"


@dataclass(frozen=True)
class CardFacts:
    """The facts of a registered version.

    Attributes
    ----------
    kind
        model or rule.
    trained_as_of
        Last day of the data.
    horizon_months
        None where the outcome has no horizon in months.
    training_cutoffs, evaluation_cutoffs, refit_cutoffs
        The days up to which features were known: of the twin that was judged, of the customers it
        was judged on, and of the version that scores.
    rows
        Training rows.
    evaluation
        metric, value, low, high, rule_value, difference_low, difference_high, better.
    reasons
        Why it was trained, and why it was promoted or not.
    by_cutoff, deciles, coverage, fairness, by_kind, drift, importance
        Tables of any columns, shown as they are; of drift and importance the first rows.
    nominal_coverage
        Nominal coverage of the intervals, from 0 to 1.
    unavailable
        Title of a section → why it has no data, in place of the usual reason.
    """

    name: str
    purpose: str
    learner: str
    kind: str
    trained_as_of: date
    horizon_months: int | None
    training_cutoffs: Sequence[date]
    evaluation_cutoffs: Sequence[date]
    refit_cutoffs: Sequence[date]
    rows: int
    features: Sequence[str]
    data_digest: str
    code_version: str | None
    dagster_run_id: str | None
    trainer: str | None
    evaluation: pd.DataFrame | None
    reasons: Sequence[str]
    limits: Sequence[str]
    verdicts: Mapping[str, str] = field(default_factory=dict)
    by_cutoff: pd.DataFrame | None = None
    deciles: pd.DataFrame | None = None
    coverage: pd.DataFrame | None = None
    nominal_coverage: float | None = None
    fairness: pd.DataFrame | None = None
    by_kind: pd.DataFrame | None = None
    drift: pd.DataFrame | None = None
    importance: pd.DataFrame | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)


def model_card(facts: CardFacts) -> str:
    """The card in Markdown, after Mitchell et al. (2019), Model Cards for Model Reporting.

    The same facts give the same text. Figures are rounded to three digits; a section without data
    states the reason.

    Raises
    ------
    ValueError
        When `unavailable` names an unknown section.
    """
    unknown = sorted(set(facts.unavailable) - set(REASONS))
    if unknown:
        raise ValueError(
            f"unavailable is invalid: expected sections among {list(REASONS)}, got {unknown}"
        )
    sections = {
        "What it is": _what(facts),
        "Data": _data(facts),
        "How it was judged": _judged(facts),
        "Figures": _figures(facts.evaluation),
        "By cut-off": _table(facts.by_cutoff),
        "Calibration by decile": _table(facts.deciles),
        "Intervals": _intervals(facts),
        "Fairness by sex and age band": _fairness(facts.fairness),
        "By kind of customer": _by_kind(facts.by_kind),
        "Drift": _drift(facts.drift),
        "Important features": _table(_first(facts.importance, MOST_IMPORTANT)),
        "Limits": _listed(facts.limits),
        "Traceability": _traceability(facts),
    }
    parts = [f"# Model card: {facts.name}"]
    for title, text in sections.items():
        reason = facts.unavailable.get(title, REASONS.get(title, ""))
        parts.append(f"## {title}\n\n{text or f'not available: {reason}'}")
    return "\n\n".join(parts) + "\n"


def _rounded(value: object) -> str:
    """A formatted figure: whole numbers unchanged, others to three digits, '–' for none."""
    if value is None or value is pd.NA or value is pd.NaT:
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    if not isinstance(value, (float, np.floating)):
        return " ".join(str(value).split()).replace("|", "\\|")
    figure = float(value)
    if not isfinite(figure):
        return "–" if figure != figure else f"{figure:+}".replace("inf", "∞")
    if figure == 0:
        return "0"
    if abs(figure) < 1e-5:
        return f"{figure:.{DIGITS - 1}e}"
    return f"{figure:,.{max(0, DIGITS - 1 - floor(log10(abs(figure))))}f}"


def _markdown(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(columns)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _first(table: pd.DataFrame | None, count: int) -> pd.DataFrame | None:
    return None if table is None else table.head(count)


def _table(table: pd.DataFrame | None) -> str:
    if table is None or table.empty:
        return ""
    columns = [_rounded(str(name).replace("_", " ")) for name in table.columns]
    # By column: in a row, whole numbers would become fractions.
    cells = [[_rounded(value) for value in table[name].tolist()] for name in table.columns]
    return _markdown(columns, zip(*cells, strict=True))


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(sentence.split())}" for sentence in sentences)


def _days(days: Sequence[date]) -> str:
    return ", ".join(str(day) for day in days) or "not available: none were recorded"


def _what(facts: CardFacts) -> str:
    horizon = "none in months" if facts.horizon_months is None else f"{facts.horizon_months} months"
    return (
        facts.purpose.strip()
        + "\n\n"
        + _listed(
            [
                f"Learner: {facts.learner}",
                f"Kind: {facts.kind}",
                f"Trained as of: {facts.trained_as_of}",
                f"Horizon: {horizon}",
            ]
        )
    )


def _data(facts: CardFacts) -> str:
    lines = [
        f"Training cut-offs: {_days(facts.training_cutoffs)}",
        f"Evaluation cut-offs: {_days(facts.evaluation_cutoffs)}",
        f"Cut-offs of the version that scores: {_days(facts.refit_cutoffs)}",
        f"Rows: {facts.rows:,}",
        f"Features: {len(facts.features):,}",
    ]
    if not facts.features:
        return _listed(lines)
    named = ", ".join(f"`{name}`" for name in facts.features)
    return f"{_listed(lines)}\n\n<details><summary>All features</summary>\n\n{named}\n\n</details>"


def _judged(facts: CardFacts) -> str:
    text = (
        "A twin, fitted on the training cut-offs only, predicted the customers of the evaluation "
        "cut-offs, whose outcomes it had not seen; the simple rule predicted the same customers. "
        f"Brackets hold the {INTERVAL}."
    )
    reasons = _listed(facts.reasons) or "not available: no reasons were recorded"
    bounds = _listed(
        [f"{name.replace('_', ' ')}: {verdict}" for name, verdict in facts.verdicts.items()]
    )
    return f"{text}\n\nDecision:\n\n{reasons}" + (bounds and f"\n\nBounds:\n\n{bounds}")


def _between(low: object, high: object) -> str:
    return f"[{_rounded(low)}, {_rounded(high)}]"


def _figures(table: pd.DataFrame | None) -> str:
    if table is None or table.empty:
        return ""
    rows = [
        [
            _rounded(row["metric"]).replace("_", " "),
            _rounded(row["better"]),
            f"{_rounded(row['value'])} {_between(row['low'], row['high'])}",
            _rounded(row["rule_value"]),
            _between(row["difference_low"], row["difference_high"]),
        ]
        for row in table.to_dict("records")
    ]
    return _markdown(["metric", "better", "model", "rule", "model less rule"], rows)


def _intervals(facts: CardFacts) -> str:
    table = _table(facts.coverage)
    if not table or facts.nominal_coverage is None:
        return table
    return f"Asked to hold {facts.nominal_coverage * 100:.0f} % of the outcomes.\n\n{table}"


def _fairness(table: pd.DataFrame | None) -> str:
    text = _table(table)
    judged = table is not None and "calibration_gap" in table and table["calibration_gap"].notna()
    if text and not np.any(judged):
        return f"Not judged: no group is large enough.\n\n{text}"
    return text and (
        "The calibration gap is mean score less mean outcome, over the mean outcome of all; gap "
        f"low and gap high are its {INTERVAL}. Selected is the tenth of all with the highest "
        f"scores. Groups too small to judge have customers only.\n\n{text}"
    )


def _by_kind(table: pd.DataFrame | None) -> str:
    text = _table(table)
    return text and (
        "Bias is the predicted over the actual total, less 1; low and high are the ends of a "
        f"{INTERVAL}. Kinds with too few customers or outcomes are not judged.\n\n{text}"
    )


def _drift(table: pd.DataFrame | None) -> str:
    text = _table(_first(table, MOST_DRIFTED))
    return text and (
        "Population stability index of the features that changed most: below "
        f"{SOME_DRIFT} is little, above {MUCH_DRIFT} is much; noise is what chance alone exceeds "
        f"once in twenty.\n\n{text}"
    )


def _traceability(facts: CardFacts) -> str:
    known = {
        "Data digest": facts.data_digest,
        "Code version": facts.code_version,
        "Dagster run": facts.dagster_run_id,
        "Trainer": facts.trainer,
    }
    return _listed(
        [
            f"{title}: `{value}`" if value else f"{title}: not available: it was not recorded"
            for title, value in known.items()
        ]
    )
