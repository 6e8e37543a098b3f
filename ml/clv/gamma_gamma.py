"""The Gamma-Gamma model of spend per purchase."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln, polygamma
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ml.clv.likelihood import check_frequency, customer_vectors, distinct, maximise, refuse

NAMES = ("p", "q", "v")


class GammaGammaModel(BaseEstimator):
    """The Gamma-Gamma model of spend per purchase (Fader, Hardie and Lee, 2005, Journal of
    Marketing Research 42(4); Fader and Hardie, 2013, note 025).

    What a customer spends on a purchase varies as Gamma(p, rate ν), and ν between customers as
    Gamma(q, rate v), independent of how often they buy. A customer is described by `frequency`, the
    number of purchases averaged, and `monetary_value`, their mean; with BG/NBD these are the repeat
    purchases.

    The mean over all customers, p v / (q − 1), is finite for q > 1 only.

    Attributes
    ----------
    params_ : mapping of p, q, v (money)
    standard_errors_ : the same of their standard errors, from the observed information
    log_likelihood_ : float, the total at the maximum; of density in the given currency unit
    population_mean_ : float, mean spend per purchase over customers; infinite for q <= 1
    """

    params_: dict[str, float]
    standard_errors_: dict[str, float]
    log_likelihood_: float
    population_mean_: float

    def fit(self, frequency: np.ndarray, monetary_value: np.ndarray) -> GammaGammaModel:
        """Maximum likelihood, with exact first and second derivatives.

        Customers without a purchase to average (frequency 0) are left out; equal ones are counted
        once, with their number. Money is scaled by the mean spend while fitting, so that the result
        does not depend on its unit.

        Parameters
        ----------
        frequency, monetary_value : arrays of shape (n,)

        Raises
        ------
        ValueError
            For vectors of different length, values that are not finite or negative, a frequency
            that is not whole, a monetary value of 0 beside a purchase, or nobody with a purchase.
        NotConverged
            When the likelihood has no maximum, for example if all customers spend the same.
        """
        frequency, monetary_value = _checked(frequency, monetary_value)
        bought = frequency > 0
        if not bought.any():
            raise ValueError(
                f"frequency is invalid: expected a purchase of any of {len(frequency)} customers"
            )
        x, spend = frequency[bought], monetary_value[bought]
        unit = spend.mean()
        likelihood = GammaGammaLikelihood(*distinct(x, spend / unit))
        found = maximise(likelihood, [[2, 3, 1], [0.2, 0.7, 0.1]], NAMES)
        scale = np.array([1, 1, unit])
        p, q, v = (found.parameters * scale).tolist()
        self.params_ = dict(zip(NAMES, (p, q, v), strict=True))
        self.standard_errors_ = dict(
            zip(NAMES, (found.standard_errors * scale).tolist(), strict=True)
        )
        self.log_likelihood_ = float(found.log_likelihood - len(x) * np.log(unit))
        self.population_mean_ = p * v / (q - 1) if q > 1 else float("inf")
        return self

    def expected_value(self, frequency: np.ndarray, monetary_value: np.ndarray) -> np.ndarray:
        """Expected spend on a customer's next purchase, shape (n,).

        A weighted mean of the customer's own mean and the overall mean, by the customer's
        frequency; the overall mean for frequency 0, whose monetary value is not read (note 025).

        Parameters
        ----------
        frequency, monetary_value : arrays of shape (n,)

        Raises
        ------
        ValueError
            As `fit` does, and for customers whose expectation is infinite: p × frequency + q <= 1,
            which needs q <= 1.
        """
        check_is_fitted(self)
        frequency, monetary_value = _checked(frequency, monetary_value)
        p, q, v = (self.params_[name] for name in NAMES)
        seen = p * frequency + q - 1
        refuse(
            seen <= 0,
            f"the expected spend is infinite (q = {q:.4g}, which must exceed 1 for customers with "
            "few purchases or none: the spread between customers is too wide for a mean)",
            frequency,
        )
        total = np.where(frequency > 0, frequency * monetary_value, 0.0)
        return p * (v + total) / seen


def _checked(frequency: np.ndarray, monetary_value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frequency, monetary_value = customer_vectors(frequency=frequency, monetary_value=monetary_value)
    check_frequency(frequency)
    refuse(
        (frequency > 0) & (monetary_value == 0),
        "monetary_value is not above 0 beside a purchase",
        monetary_value,
    )
    return frequency, monetary_value


class GammaGammaLikelihood:
    """Of distinct pairs of frequency x >= 1 and mean spend m; money in units of about one.

    log L = log Γ(p x + q) − log Γ(p x) − log Γ(q) + q log v + (p x − 1) log m + p x log x
            − (p x + q) log(v + x m)
    """

    def __init__(self, frequency: np.ndarray, spend: np.ndarray, customers: np.ndarray) -> None:
        self.customers = customers
        self.frequency, self.total = frequency, frequency * spend
        self.log_spend = customers @ np.log(spend)
        # Gamma functions are of the frequency alone, of which there are few.
        self.x, place = np.unique(frequency, return_inverse=True)
        self.of_x = np.bincount(place, weights=customers)
        self.bought = customers * frequency
        self.log_total = self.bought @ np.log(self.total)

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        p, q, v = parameters
        weight, x, of_x, count = self.customers, self.x, self.of_x, self.customers.sum()
        px = p * x
        both, trigamma = digamma(px + q), polygamma(1, px + q)
        sums = v + self.total
        inverse = 1 / sums
        by_inverse, bought_inverse = weight @ inverse, self.bought @ inverse
        # log(v + x m) − log v, and Σ x log(x m / (v + x m)).
        beyond = weight @ np.log1p(self.total / v)
        shares = self.log_total - self.bought @ np.log(sums)

        value = of_x @ (gammaln(px + q) - gammaln(px)) - count * gammaln(q) - self.log_spend
        value += p * shares - q * beyond
        gradient = [
            of_x @ (x * (both - digamma(px))) + shares,
            of_x @ both - count * digamma(q) - beyond,
            q * (count / v - by_inverse) - p * bought_inverse,
        ]
        pp = of_x @ (x**2 * (trigamma - polygamma(1, px)))
        pq = of_x @ (x * trigamma)
        qq = of_x @ trigamma - count * polygamma(1, q)
        qv = count / v - by_inverse
        vv = -q * count / v**2 + (q * weight + p * self.bought) @ inverse**2
        hessian = np.array([[pp, pq, -bought_inverse], [pq, qq, qv], [-bought_inverse, qv, vv]])
        return float(value), np.array(gradient), hessian
