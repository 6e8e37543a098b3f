"""Like customers: whose values are the usual ones, worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestration.models.like_customers import (
    LEAST,
    OTHERS,
    SAME_BUSINESS,
    SAME_TIER,
    LikeCustomers,
)

NAMES = ["inflow_12m"]


def crowd(inflow: float, tier: float, kind: str | None = "person", n: int = LEAST) -> pd.DataFrame:
    return pd.DataFrame(
        {"inflow_12m": inflow, "tier_number": tier, "customer_kind": kind}, range(n)
    )


BANK = pd.concat(
    [
        crowd(100.0, 3),
        crowd(900.0, 1, kind=None),
        crowd(5000.0, 3, kind="corporate"),
        crowd(7000.0, 4, n=LEAST - 1),
    ],
    ignore_index=True,
)


def reasons(asked: pd.DataFrame, added: list[float]) -> pd.DataFrame:
    """What each customer's inflow adds to the score is its hundredth in the bank."""
    moved = BANK[NAMES].to_numpy() / 100
    like = LikeCustomers(BANK, BANK, moved, NAMES)
    return like.reasons(asked, asked, np.array(added)[:, None])


def test_a_customer_is_compared_with_customers_of_the_same_kind_and_tier():
    asked = pd.concat(
        [crowd(300.0, 3, n=1), crowd(300.0, 1, n=1), crowd(300.0, 3, kind="corporate", n=1)],
        ignore_index=True,
    )
    found = reasons(asked, [3.0, 3.0, 3.0])
    assert found[["row", "usual", "usual_of", "contribution"]].to_numpy().tolist() == [
        [0, "100", SAME_TIER, 2.0],
        [1, "900", SAME_TIER, -6.0],
        [2, "5000", SAME_BUSINESS, -47.0],
    ]
    assert found["direction"].tolist() == ["raises", "lowers", "lowers"]


def test_without_a_tier_or_with_few_like_them_customers_are_compared_with_all_others():
    asked = pd.concat(
        [crowd(300.0, np.nan, n=1), crowd(300.0, 4, n=1), crowd(300.0, 5, n=1)], ignore_index=True
    )
    found = reasons(asked, [3.0, 3.0, 3.0])
    middle = np.median(BANK["inflow_12m"])
    assert found["usual_of"].tolist() == [OTHERS] * 3
    assert found["usual"].astype(float).tolist() == [middle] * 3
    assert found["contribution"].tolist() == [3 - middle / 100] * 3


def test_the_order_of_the_customers_does_not_matter():
    asked = pd.concat([crowd(300.0, 3, n=2), crowd(10.0, 1, n=2)], ignore_index=True)
    whole = reasons(asked, [3.0, 4.0, 0.1, 0.2])
    turned = reasons(asked.iloc[::-1], [0.2, 0.1, 4.0, 3.0])
    pd.testing.assert_frame_equal(
        turned.assign(row=3 - turned["row"]).sort_values("row", ignore_index=True), whole
    )


def test_what_like_customers_have_is_no_reason():
    asked = pd.concat([crowd(104.0, 3, n=1), crowd(104.0, 1, n=1)], ignore_index=True)
    assert reasons(asked, [1.04, 1.04])["row"].tolist() == [1]
