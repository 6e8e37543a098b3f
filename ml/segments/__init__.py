"""Customer segments with permanent ids."""

from ml.segments.model import RuleTiering, SegmentModel

__all__ = [
    "RuleTiering",
    "SegmentModel",
]
