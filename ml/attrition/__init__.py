"""Who will leave, and when."""

from ml.attrition.model import AttritionModel

__all__ = [
    "AttritionModel",
]
