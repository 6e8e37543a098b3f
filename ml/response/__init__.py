"""Models of the response to an offer, its uplift, and the value of a product."""

from ml.response.model import OfferBaseRate, ResponseModel
from ml.response.product_value import ProductMeanValue, ProductValueModel
from ml.response.uplift import UpliftModel
from ml.response.uplift_blend import UpliftBlend
from ml.response.uplift_learners import (
    ClassTransformation,
    SLearner,
    TLearner,
    XLearner,
    pseudo_outcome,
)
from ml.response.uplift_rules import BestColumnRule, ResponseScoreRule, StrongerRule

__all__ = [
    "BestColumnRule",
    "ClassTransformation",
    "OfferBaseRate",
    "ProductMeanValue",
    "ProductValueModel",
    "ResponseModel",
    "ResponseScoreRule",
    "SLearner",
    "StrongerRule",
    "TLearner",
    "UpliftBlend",
    "UpliftModel",
    "XLearner",
    "pseudo_outcome",
]
