"""Value of customers without a contract: future purchases times spend."""

from __future__ import annotations

import numpy as np

from ml.clv.beta_geo import BetaGeoModel
from ml.clv.gamma_gamma import GammaGammaModel


def discounted_value(
    purchases: BetaGeoModel,
    spend: GammaGammaModel,
    frequency: np.ndarray,
    recency: np.ndarray,
    T: np.ndarray,
    monetary_value: np.ndarray,
    *,
    month: float,
    months: int = 12,
    monthly_discount: float = 0.0,
) -> np.ndarray:
    """Expected spend of the months after T, each discounted from its end, shape (n,), money.

    Sum over months k of expected purchases in month k x expected spend a purchase /
    (1 + monthly_discount)^k (Fader, Hardie and Lee, 2005, Journal of Marketing Research 42(4),
    in months). Spend is taken to be independent of how often one buys.

    Parameters
    ----------
    frequency, recency, T, monetary_value : arrays of shape (n,), as the models take them
    month : length of a month in the unit of T

    Raises
    ------
    ValueError
        For a month or months of 0 or less or a discount of −1 or less, else as the models do.
    """
    if not month > 0 or months < 1 or not monthly_discount > -1:
        raise ValueError("expected month and months above 0, monthly_discount above -1")
    number = np.arange(1, months + 1)
    bought = purchases.discounted_purchases(
        month * number, (1 + monthly_discount) ** -number.astype(float), frequency, recency, T
    )
    return bought * spend.expected_value(frequency, monetary_value)
