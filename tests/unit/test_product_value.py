"""What a product brings: known laws found again, small products left to their mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.stats import spearmanr

from ml.response.product_value import ProductMeanValue, ProductValueModel
from ml.serving import TRUSTED_TYPES
from orchestration.models.reason_words import verdict
from orchestration.models.studies.product_value import evaluation_border, too_few
from orchestration.platform.wording import in_language


def bank(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Accounts of two products whose value follows income, or wealth, to a power; with the mean
    that each is drawn about."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "monthly_income": rng.lognormal(7.5, 0.5, rows),
            "average_deposits_12m": rng.lognormal(9, 1.0, rows),
            "age": rng.normal(0, 1, rows),
            "job": rng.choice(["a", "b"], rows),
            "offer": rng.choice(["LOAN", "FUND"], rows),
        }
    )
    frame["offer_line"] = np.where(frame["offer"] == "LOAN", "lending", "wealth")
    usual = np.where(
        frame["offer"] == "LOAN",
        0.3 * frame["monthly_income"],
        0.05 * frame["average_deposits_12m"] ** 0.9,
    )
    return frame, usual * rng.lognormal(-0.08, 0.4, rows), usual


def test_sizes_multiply_and_the_level_is_kept():
    frame, y, _ = bank(3_000, 1)
    later, brought, usual = bank(4_000, 2)
    model, rule = ProductValueModel().fit(frame, y), ProductMeanValue().fit(frame, y)
    predicted = model.predict(later)
    for product in ("LOAN", "FUND"):
        rows = (later["offer"] == product).to_numpy()
        assert spearmanr(predicted[rows], usual[rows]).statistic > 0.97
        assert predicted[rows].sum() == pytest.approx(brought[rows].sum(), rel=0.1)
    assert np.abs(predicted - brought).mean() < 0.7 * np.abs(rule.predict(later) - brought).mean()


def test_a_rare_product_has_its_mean_and_a_new_one_its_lines():
    frame, y, _ = bank(1_000, 3)
    rare = frame.head(10).assign(offer="GOLD", offer_line="lending")
    both = pd.concat([frame, rare], ignore_index=True)
    brought = np.concatenate([y, np.full(10, 1_000.0)])
    model = ProductValueModel().fit(both, brought)
    asked = frame.head(2).assign(offer=["GOLD", "NEW"], offer_line="lending")
    of_line = brought[(both["offer_line"] == "lending").to_numpy()]
    line = (of_line.sum() + 20 * brought.mean()) / (len(of_line) + 20)
    gold, new = model.predict(asked)
    assert gold == pytest.approx((10 * 1_000 + 20 * line) / 30)
    assert new == pytest.approx(line)
    stranger = frame.head(1).assign(offer="NEW", offer_line="space")
    assert model.predict(stranger)[0] == pytest.approx(brought.mean())


def test_losses_missing_values_and_constant_columns_are_handled():
    frame, y, _ = bank(500, 4)
    frame["credit_limit"] = 7.0
    frame["inflow_12m"] = np.nan
    frame.loc[::7, "monthly_income"] = np.nan
    model = ProductValueModel().fit(frame, y - 200)
    predicted = model.predict(frame)
    assert np.isfinite(predicted).all()
    assert predicted.min() < 0
    assert predicted.sum() == pytest.approx((y - 200).sum(), rel=0.2, abs=10_000)


def opened(*months: tuple[str, int]) -> pd.DataFrame:
    """So many accounts opened on the first day of each month, over a year later."""
    days = pd.to_datetime([month for month, accounts in months for _ in range(accounts)])
    return pd.DataFrame({"opened_on": days, "matured_on": days + pd.DateOffset(years=1)})


@pytest.mark.parametrize(
    ("openings", "found"),
    [
        (opened(("2021-01-01", 100), ("2022-01-01", 50)), ("2022-01-01", 100, 50)),
        # A quarter of all, from the newest back; the year of the first is not over by then.
        (
            opened(("2021-06-01", 383), ("2022-03-01", 80), ("2022-05-01", 50)),
            ("2022-03-01", 0, 130),
        ),
        (opened(("2021-06-01", 60), ("2022-07-01", 120)), ("2022-07-01", 60, 120)),
        (opened(("2021-01-01", 49)), (None, 0, 49)),
        (opened(), (None, 0, 0)),
    ],
)
def test_the_newest_quarter_evaluates_what_was_over_before_it(openings, found):
    border, *counted = evaluation_border(openings)
    assert (str(border.date()) if border else None, *counted) == found


def test_too_few_openings_are_stated_with_those_of_either_part():
    text = too_few(513, 0, 130)
    assert text == (
        "too few accounts whose first 12 months are over: 513; those over before the latest 130 "
        "were opened: 0; 100 such accounts and 50 later ones are needed"
    )
    assert str(verdict(text)) == text
    chinese = in_language(verdict(text), "zh")
    assert "最近 130 个" in chinese and "0 个" in chinese and "too few" not in chinese


@pytest.mark.slow
def test_predictions_are_row_by_row_and_deterministic():
    frame, y, _ = bank(400, 5)
    model = ProductValueModel().fit(frame, y)
    again = ProductValueModel().fit(frame, y)
    one_by_one = np.concatenate([model.predict(frame.iloc[[row]]) for row in range(20)])
    assert again.predict(frame.head(20)) == pytest.approx(one_by_one)


def test_invalid_input_is_refused_with_the_reason():
    frame, y, _ = bank(100, 6)
    with pytest.raises(ValueError, match="expected one for each of 100 rows"):
        ProductValueModel().fit(frame, y[:-1])
    model = ProductValueModel().fit(frame, y)
    with pytest.raises(ValueError, match=r"missing .*monthly_income"):
        model.predict(frame.drop(columns="monthly_income"))


def test_a_model_is_stored_without_code(tmp_path):
    frame, y, _ = bank(200, 7)
    for model in (ProductValueModel(), ProductMeanValue()):
        stored = skops.io.dumps(model.fit(frame, y))
        loaded = skops.io.loads(stored, trusted=TRUSTED_TYPES)
        assert loaded.predict(frame).tolist() == model.predict(frame).tolist()
