"""A seeded bank with a hidden truth: the embedded default source."""

from sources.synthetic.bank import SyntheticBank

__all__ = ["SyntheticBank"]
