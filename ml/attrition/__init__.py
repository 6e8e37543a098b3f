"""Models of attrition: whether and when customers leave."""

from ml.attrition.model import AttritionModel

__all__ = [
    "AttritionModel",
]
