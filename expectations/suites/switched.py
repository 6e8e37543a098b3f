"""Profiles of models, which are off where a bank's records do not allow them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from expectations.rules import Profile, Suite

# Judges the scores of a model, given the models that are on.
Judge = Callable[[Collection[str]], Suite]


def model_profile(
    sql: str,
    *,
    on: bool,
    off_means: str,
    key: tuple[str, ...] = (),
    about: str = "",
    needs: tuple[str, ...] = (),
) -> Profile:
    """A profile that is judged when its model is on; one that is off need not leave a table."""
    return Profile(
        sql,
        key=key,
        about=about,
        needs=needs if on else (),
        off_when="" if on else "select true",
        off_means=off_means,
    )


def is_off(model: str) -> str:
    return f"the {model} model is off for this source"
