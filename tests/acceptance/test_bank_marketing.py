"""Response to an offer, on real calls of a real bank: in any order, and as time goes by.

Calibration error is the mean distance of observed rate and mean probability over ten bins of equal
count (`expected_calibration_error`). Intervals are 90 %, calls resampled in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from ml.evaluation.metrics import Comparison, auc, brier, compare, expected_calibration_error
from ml.response.model import OFFER, OFFER_LINE
from orchestration.models.studies.response import ensemble_by_offer
from orchestration.models.study import Sample
from tests.conftest import real_data

pytestmark = pytest.mark.slow

FOLDS = 5
# Of hundredths of the file: learned from all calls before, the newest fifth is called hundredth by
# hundredth. There the rate of success rises from 8 to 52 in a hundred.
CHUNKS, FIRST_CHUNK = 100, 80
MEASURES = {"AUC": auc, "Brier": brier, "calibration error": expected_calibration_error}
Predict = Callable[[Sample, pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Calls:
    """All calls in the order in which they were made."""

    frame: pd.DataFrame
    y: np.ndarray

    def sample(self, rows: np.ndarray) -> Sample:
        """These calls, oldest first, as the study's learners take them."""
        rows = np.sort(rows)
        frame = self.frame.iloc[rows].reset_index(drop=True)
        return Sample(frame, self.y[rows].astype(float), frame[["contact_id"]])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def calls() -> Calls:
    """What was known before each call.

    How long a call took (`duration`) is known after it. `campaign` counts this call among those of
    the campaign: known when it is made. 999 days since the last contact are none, `unknown` is a
    missing value. The market's rates and indices stand in the file as they were published.
    """
    path = real_data("bank_marketing") / "bank-additional-full.csv"
    raw = pd.read_csv(path, sep=";", na_values="unknown", keep_default_na=False)
    frame = raw.drop(columns=["duration", "y"])
    frame["pdays"] = frame["pdays"].where(frame["pdays"] < 999)
    frame[OFFER], frame[OFFER_LINE] = "term deposit", "deposits"
    frame["contact_id"] = frame["customer_id"] = np.arange(len(frame)).astype(str)
    return Calls(frame, (raw["y"] == "yes").to_numpy(dtype=int))


def ours(train: Sample, held: pd.DataFrame) -> np.ndarray:
    """The learner of the study `response`, as it comes."""
    model = ensemble_by_offer(train, 0)
    assert "duration" not in model.columns_
    return model.probability(held)


def logistic(train: Sample, held: pd.DataFrame) -> np.ndarray:
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000))
    return model.fit(train.features, train.y).predict_proba(held)[:, 1]


def boosting(train: Sample, held: pd.DataFrame) -> np.ndarray:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer(
        (codes, make_column_selector(dtype_exclude="number")), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))
    return model.fit(train.features, train.y).predict_proba(held)[:, 1]


MODELS: tuple[Predict, ...] = (ours, logistic, boosting)


def compared(
    title: str, y: np.ndarray, by_model: Mapping[str, np.ndarray], rounds: int
) -> dict[str, dict[str, Comparison]]:
    """Ours beside each of the others; `pytest -s` shows the figures of docs/models.md."""
    found = {
        name: compare(MEASURES, y, by_model["ours"], by_model[name], seed=0, rounds=rounds)
        for name in ("logistic", "boosting")
    }
    print(f"\n{title}: {len(y):,} calls, {int(y.sum()):,} took the offer")
    for measure in MEASURES:
        figures = {"ours": found["logistic"][measure].score}
        for name, comparison in found.items():
            figures[name] = comparison[measure].other
            figures[f"ours - {name}"] = comparison[measure].difference
        for name, one in figures.items():
            print(f"  {measure:18}{name:16}{one.value:8.4f}  [{one.low:.4f}, {one.high:.4f}]")
    return found


def test_any_fifth_is_predicted_from_the_others(calls):
    """Stratified folds, which ignore time."""
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    by_model = {model.__name__: np.full(len(calls.y), np.nan) for model in MODELS}
    for seen, held in splits.split(calls.y, calls.y):
        train, asked = calls.sample(seen), calls.sample(held).features
        for model in MODELS:
            by_model[model.__name__][held] = model(train, asked)
    found = compared("stratified folds", calls.y, by_model, rounds=100)
    own = {measure: one.score.value for measure, one in found["logistic"].items()}
    assert own["AUC"] >= 0.80
    assert own["calibration error"] <= 0.01
    assert found["logistic"]["AUC"].difference.low > 0
    assert found["logistic"]["Brier"].difference.high < 0


def test_the_next_calls_are_predicted_from_all_before_them(calls):
    """Learned anew after every hundredth of the calls, while the rate of success multiplies."""
    chunks = np.array_split(np.arange(len(calls.y)), CHUNKS)[FIRST_CHUNK:]
    by_model: dict[str, list[np.ndarray]] = {model.__name__: [] for model in MODELS}
    for chunk in chunks:
        train, asked = calls.sample(np.arange(chunk[0])), calls.sample(chunk).features
        for model in MODELS:
            by_model[model.__name__].append(model(train, asked))
    y = calls.y[chunks[0][0] :]
    whole = {name: np.concatenate(parts) for name, parts in by_model.items()}
    found = compared("rolling retrain", y, whole, rounds=200)
    own = {measure: one.score.value for measure, one in found["logistic"].items()}
    assert own["AUC"] >= 0.77
    assert own["Brier"] <= 0.172
    assert own["calibration error"] <= 0.06
    for other in ("logistic", "boosting"):
        assert found[other]["AUC"].difference.low > 0
        assert found[other]["Brier"].difference.high < 0
