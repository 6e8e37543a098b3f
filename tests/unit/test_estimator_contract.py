"""scikit-learn's contract, for every public estimator: on frames with named columns."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

import ml
from ml.anomaly import AbnormalDays
from ml.anomaly.detector import FEATURES
from ml.attrition import AttritionModel
from ml.base_rate import ColumnRate
from ml.by_group import ByGroup
from ml.clv import (
    AsManyAgain,
    BetaGeoModel,
    ConformalInterval,
    GammaGammaModel,
    LastPeriodAgain,
    RetentionMarginModel,
    TwoPartRegressor,
)
from ml.encoding import MOST_BINS, Binner, FrameEncoder
from ml.estimator import ProbabilityClassifier, score_of
from ml.hazard import DiscreteTimeHazard
from ml.lines import LineHazard
from ml.response import (
    BestColumnRule,
    ClassTransformation,
    OfferBaseRate,
    ProductMeanValue,
    ProductValueModel,
    ResponseModel,
    ResponseScoreRule,
    SLearner,
    StrongerRule,
    TLearner,
    UpliftBlend,
    UpliftModel,
    XLearner,
)
from ml.response.uplift_learners import Design, Learner, Outcome
from ml.segments import RuleTiering, SegmentModel
from ml.segments.dimensions import DimensionScaler

ROWS = 400


def features() -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "age": generator.normal(45, 15, ROWS).round(),
            "balance": np.where(generator.random(ROWS) < 0.1, np.nan, generator.gamma(2, 50, ROWS)),
            "town": generator.choice(["north", "south"], ROWS),
            "offer": generator.choice(["card", "fund"], ROWS),
            "offer_line": "cards",
            "last_period_contribution": generator.normal(100, 50, ROWS),
            "pace_of_contribution": generator.normal(100, 50, ROWS),
            "monthly_income": generator.gamma(3, 1000, ROWS),
            "contribution_margin_12m": generator.normal(100, 50, ROWS),
        }
    )


def outcomes() -> np.ndarray:
    generator = np.random.default_rng(2)
    frame = features()
    chance = 1 / (1 + np.exp(-(frame["age"].to_numpy() - 45) / 10))
    return (generator.random(ROWS) < chance).astype(int)


def amounts() -> np.ndarray:
    return features()["pace_of_contribution"].to_numpy() + outcomes()


TREATMENT = np.random.default_rng(3).integers(0, 2, ROWS)
TRIAL = (TREATMENT, np.full(ROWS, 0.5))
HELD = np.random.default_rng(4)


@dataclass(frozen=True)
class Case:
    """An unfitted estimator, what it is fitted with beside the frame, and what it is asked for."""

    estimator: BaseEstimator
    y: np.ndarray | None = None
    further: tuple[Any, ...] = ()
    needs: str | None = None
    asked: str = "predict"
    also: tuple[str, ...] = field(default=())


TIMES = np.random.default_rng(5).integers(1, 13, ROWS)
LAST, PACE = "last_period_contribution", "pace_of_contribution"
MOVED, EFFECTS = ("contributions",), ("effects",)
CASES = [
    Case(OfferBaseRate(), outcomes(), needs="offer", also=("contributions", "line_rate")),
    Case(ResponseModel(trees=2), outcomes(), needs="offer", also=MOVED),
    Case(ColumnRate("age"), outcomes(), needs="age", also=MOVED),
    Case(LastPeriodAgain(), amounts(), needs=LAST, also=MOVED),
    Case(TwoPartRegressor(trees=2), amounts(), needs=PACE, also=MOVED),
    Case(ProductMeanValue(), amounts(), needs="offer"),
    Case(ProductValueModel(), amounts(), needs="offer_line"),
    Case(UpliftModel(trees=2, folds=2), outcomes(), TRIAL, needs="offer", also=MOVED),
    Case(
        UpliftBlend(UpliftModel(trees=2, folds=2), OfferBaseRate()),
        *(outcomes(), TRIAL),
        needs="offer",
        also=MOVED,
    ),
    Case(SLearner(trees=2), outcomes(), TRIAL, needs="age", also=EFFECTS),
    Case(TLearner(trees=2), outcomes(), TRIAL, needs="age", also=EFFECTS),
    Case(XLearner(trees=2), outcomes(), TRIAL, needs="age", also=EFFECTS),
    Case(ClassTransformation(trees=2), outcomes(), TRIAL, needs="age", also=EFFECTS),
    Case(BestColumnRule(), outcomes(), TRIAL, needs="offer", also=MOVED),
    Case(ResponseScoreRule(OfferBaseRate()), outcomes(), TRIAL, needs="offer"),
    Case(StrongerRule(OfferBaseRate()), outcomes(), TRIAL, needs="offer"),
    Case(RuleTiering(), needs="contribution_margin_12m"),
    Case(
        DiscreteTimeHazard(trees=2), TIMES, (outcomes(),), needs="age", also=("survival", "hazard")
    ),
    Case(
        DiscreteTimeHazard(trees=2, by="town"),
        TIMES,
        (outcomes(),),
        needs="age",
        also=("survival", "hazard"),
    ),
    Case(AttritionModel(), TIMES, (outcomes(),), needs="age", also=("survival", "line_attrition")),
]
# Fitted with something else than a frame and outcomes: their own tests fit them.
OTHERS = [
    RetentionMarginModel(),
    LineHazard(),
    SegmentModel(),
    BetaGeoModel(),
    GammaGammaModel(),
    AsManyAgain(),
    ConformalInterval(),
    ByGroup(),
    AbnormalDays(seed=0),
    FrameEncoder(),
    Binner(),
    DimensionScaler(),
    Design(),
    Outcome(),
]
BASES = {ProbabilityClassifier, Learner}


def name_of(value: Any) -> str:
    return type(getattr(value, "estimator", value)).__name__


def fitted(case: Case) -> BaseEstimator:
    model = clone(case.estimator)
    if case.y is None:
        return model.fit(features())
    return model.fit(features(), case.y, *case.further)


cases = pytest.mark.parametrize("case", CASES, ids=name_of)


def test_every_estimator_of_the_library_is_here():
    found = set()
    for module in pkgutil.walk_packages(ml.__path__, "ml."):
        for value in vars(importlib.import_module(module.name)).values():
            is_estimator = isinstance(value, type) and issubclass(value, BaseEstimator)
            if is_estimator and value.__module__.startswith("ml."):
                found.add(value)
    here = {type(case.estimator) for case in CASES} | {type(one) for one in OTHERS}
    assert found - BASES == here


# Those of scikit-learn's own checks that fit on nothing. The others fit on arrays, which have no
# names: every estimator here that takes a frame refuses them, and is checked on frames below.
WITHOUT_FIT = {
    "check_estimator_cloneable",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
}


@pytest.mark.parametrize("estimator", [*(case.estimator for case in CASES), *OTHERS], ids=name_of)
def test_scikit_learns_own_checks_hold_as_far_as_they_need_no_array(estimator):
    made = set()
    for unfitted, check in estimator_checks_generator(estimator):
        if check.func.__name__ in WITHOUT_FIT:
            check(unfitted)
            made.add(check.func.__name__)
    assert made == WITHOUT_FIT


@pytest.mark.parametrize("estimator", [*(case.estimator for case in CASES), *OTHERS], ids=name_of)
def test_parameters_are_kept_as_given_and_can_be_set(estimator):
    again = clone(estimator)
    parameters = again.get_params(deep=False)
    assert not [name for name in vars(again) if name.endswith("_")]
    assert set(parameters) == set(vars(again))
    assert again.set_params(**parameters) is again


@cases
def test_an_estimator_before_fit_raises_not_fitted(case):
    for name in (case.asked, *case.also):
        with pytest.raises(NotFittedError):
            getattr(clone(case.estimator), name)(features())
    with pytest.raises(NotFittedError):
        score_of(clone(case.estimator), features())


@cases
def test_fit_returns_the_estimator_leaves_its_input_alone_and_can_be_repeated(case):
    frame, kept = features(), features()
    y = None if case.y is None else case.y.copy()
    model = clone(case.estimator)
    arguments = () if y is None else (y, *case.further)
    assert model.fit(frame, *arguments) is model
    pd.testing.assert_frame_equal(frame, kept)
    if y is not None:
        np.testing.assert_array_equal(y, case.y)
    first = np.asarray(model.predict(frame))
    assert model.get_params() is not None
    np.testing.assert_array_equal(model.fit(frame, *arguments).predict(frame), first)
    assert first.shape == (ROWS,)


@cases
def test_rows_are_predicted_one_by_one_as_together(case):
    model, frame = fitted(case), features()
    whole = np.asarray(score_of(model, frame))
    order = np.random.default_rng(6).permutation(ROWS)
    np.testing.assert_array_equal(np.asarray(score_of(model, frame.iloc[order])), whole[order])


@cases
def test_features_that_are_no_frame_or_lack_a_column_are_refused_by_name(case):
    array = features().to_numpy()
    arguments = () if case.y is None else (case.y, *case.further)
    with pytest.raises(ValueError, match="DataFrame with named columns"):
        clone(case.estimator).fit(array, *arguments)
    model = fitted(case)
    with pytest.raises(ValueError, match="DataFrame with named columns"):
        model.predict(array)
    if case.needs in model.columns_:
        with pytest.raises(ValueError, match=str(case.needs)):
            model.predict(features().drop(columns=case.needs))


@pytest.mark.parametrize("case", [case for case in CASES if case.y is not None], ids=name_of)
def test_outcomes_that_do_not_fit_are_refused(case):
    with pytest.raises(ValueError):
        clone(case.estimator).fit(features(), case.y[:-1], *case.further)
    unknown = case.y.astype(float)
    unknown[7] = np.nan
    with pytest.raises(ValueError):
        clone(case.estimator).fit(features(), unknown, *case.further)
    with pytest.raises(ValueError):
        clone(case.estimator).fit(features()[:0], case.y[:0], *(one[:0] for one in case.further))


BINARY = [
    OfferBaseRate(),
    ResponseModel(trees=2),
    ColumnRate("age"),
]


@pytest.mark.parametrize("estimator", BINARY, ids=name_of)
@pytest.mark.parametrize(
    ("y", "seen"),
    [
        (outcomes() * 2, "0, 2"),
        (outcomes() * 2 - 1, "-1, 1"),
        (outcomes() + 1, "1, 2"),
        (amounts(), "…"),
        (np.where(np.arange(ROWS) == 3, np.inf, outcomes()), "row 3"),
    ],
)
def test_a_classifier_takes_outcomes_0_and_1_only(estimator, y, seen):
    with pytest.raises(ValueError, match=f"outcomes are invalid: expected .*{seen}"):
        clone(estimator).fit(features(), y)


def test_a_hazards_events_are_0_and_1_only():
    for model in (DiscreteTimeHazard(trees=2), AttritionModel()):
        with pytest.raises(ValueError, match="expected 0 and 1, got 0, 2"):
            model.fit(features(), TIMES, outcomes() * 2)


def test_a_rule_of_response_takes_outcomes_0_and_1_only():
    with pytest.raises(ValueError, match="expected 0 and 1"):
        ResponseScoreRule(OfferBaseRate()).fit(features(), amounts(), *TRIAL)


CLASSIFIERS = [case for case in CASES if isinstance(case.estimator, ProbabilityClassifier)]


@pytest.mark.parametrize("case", CLASSIFIERS, ids=name_of)
def test_a_classifier_predicts_classes_and_gives_probabilities(case):
    model, frame = fitted(case), features()
    probability = model.predict_proba(frame)
    assert probability.shape == (ROWS, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert probability.min() >= 0
    assert model.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(model.predict(frame), probability.argmax(axis=1))
    np.testing.assert_array_equal(score_of(model, frame), probability[:, 1])
    assert 0 <= model.score(frame, outcomes()) <= 1


UPLIFT = [case for case in CASES if case.further is TRIAL]


@pytest.mark.parametrize("case", UPLIFT, ids=name_of)
def test_probabilities_of_treatment_in_place_of_the_own_arms_are_refused(case):
    """Treated with .7: the control's probability is .3, and .7 given for it is refused."""
    generator = np.random.default_rng(7)
    treatment = (generator.random(ROWS) < 0.7).astype(int)
    own = np.where(treatment == 1, 0.7, 0.3)
    clone(case.estimator).fit(features(), case.y, treatment, own)
    with pytest.raises(ValueError, match=r"those of the arm assigned.*in arm 0"):
        clone(case.estimator).fit(features(), case.y, treatment, np.full(ROWS, 0.7))


@pytest.mark.slow
def test_probabilities_that_are_right_are_seldom_refused():
    generator = np.random.default_rng(8)
    for _ in range(300):
        chance = generator.uniform(0.02, 0.98, 300)
        treatment = (generator.random(300) < chance).astype(int)
        own = np.where(treatment == 1, chance, 1 - chance)
        frame = features()[:300]
        BestColumnRule(folds=2).fit(frame[["offer"]], outcomes()[:300], treatment, own)


def test_intervals_encoders_and_other_models_before_fit_raise_not_fitted():
    model = LastPeriodAgain().fit(features(), amounts())
    with pytest.raises(NotFittedError):
        model.predict_interval(features())
    with pytest.raises(NotFittedError):
        ConformalInterval().around(amounts())
    with pytest.raises(NotFittedError):
        ByGroup().correct(amounts(), features()["town"])
    with pytest.raises(NotFittedError):
        RetentionMarginModel().predict(features())
    with pytest.raises(NotFittedError):
        LineHazard().survival(features(), "cards", 12)
    with pytest.raises(NotFittedError):
        SegmentModel().predict(features())
    with pytest.raises(NotFittedError):
        AbnormalDays(seed=0).score(pd.DataFrame({name: [0.0] for name in FEATURES}), [0.0])
    for encoder in (FrameEncoder(), Binner(), DimensionScaler()):
        with pytest.raises(NotFittedError):
            encoder.transform(features())


@pytest.mark.parametrize("distinct", [2, 40, 500, 5_000])
def test_rounding_in_the_last_digits_changes_no_bin(distinct):
    """JSON, CSV and spreadsheets round in the last digits."""
    values = np.random.default_rng(distinct).lognormal(size=distinct)
    matrix = np.repeat(values, 10)[:, None]
    binner = Binner().fit(matrix)
    bins = binner.transform(matrix)
    counts = np.unique(bins, return_counts=True)[1]
    assert len(counts) == min(distinct, MOST_BINS)
    assert counts.max() - counts.min() <= 20
    for nudged in (np.nextafter(matrix, -np.inf), np.nextafter(matrix, np.inf)):
        np.testing.assert_array_equal(binner.transform(nudged), bins)


def test_a_value_that_most_rows_share_has_a_bin_of_its_own():
    matrix = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])[:, None]
    bins = Binner().fit_transform(matrix)
    assert set(bins[:900, 0]) == {0.0}
    assert bins[900:].min() == 1.0
