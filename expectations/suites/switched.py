"""Profiles of models, which are off if the bank's records do not support them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from expectations.rules import Profile, Suite

# A function of the models that are on to the rules of one model's scores.
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
    """A profile that is checked if its model is on; a model that is off need not have tables."""
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
