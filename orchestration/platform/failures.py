"""Failures of steps: where they are, without records, and which are tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from orchestration.platform.refusal import Retryable

# Metadata of a failure: its tables and rules in words that hold no record, for notices.
PLACES = "places"
MOST_RETRIES, RETRY_SECONDS = 3, 20.0


def failure(message: str, places: Sequence[str]) -> dg.Failure:
    """A failure that is not tried again."""
    return dg.Failure(
        message, metadata={PLACES: dg.MetadataValue.json(list(places))}, allow_retries=False
    )


@contextmanager
def tried_again() -> Iterator[None]:
    """Within a step: try the step again after an error that is `Retryable`, and no other.

    Raises
    ------
    dagster.RetryRequested
        From the error. After the last retry Dagster reports the error as the step's failure.
    """
    try:
        yield
    except Retryable as error:
        raise dg.RetryRequested(MOST_RETRIES, RETRY_SECONDS) from error
