"""Customer lifetime value."""

from ml.clv.beta_geo import BetaGeoModel
from ml.clv.gamma_gamma import GammaGammaModel
from ml.clv.interval import ConformalInterval
from ml.clv.likelihood import NotConverged
from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.clv.purchase_rule import AsManyAgain
from ml.clv.purchase_value import discounted_value
from ml.clv.retention_margin import RetentionMarginModel

__all__ = [
    "AsManyAgain",
    "BetaGeoModel",
    "ConformalInterval",
    "GammaGammaModel",
    "LastPeriodAgain",
    "NotConverged",
    "RetentionMarginModel",
    "TwoPartRegressor",
    "discounted_value",
]
