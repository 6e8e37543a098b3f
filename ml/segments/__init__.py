"""Segments of customers whose ids last."""

from ml.segments.model import RuleTiering, SegmentModel

__all__ = [
    "RuleTiering",
    "SegmentModel",
]
