"""What a product brings: known laws found again, small products left to their mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.stats import spearmanr

from ml.response.product_value import ProductMeanValue, ProductValueModel
from ml.serving import TRUSTED_TYPES


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
