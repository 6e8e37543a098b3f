"""Abnormal days of customers."""

from ml.anomaly.detector import AbnormalDays

__all__ = ["AbnormalDays"]
