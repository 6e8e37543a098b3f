"""What dbt needs written from the vocabulary: macros and the columns of yml files.

`python -m orchestration.platform.vocabulary` writes

- `dbt_project/macros/vocabulary.sql`: the lists that models spread over columns, from the seeds of
  `dbt_project/seeds/vocabulary` and the attributes that the contract marks; a macro cannot read a
  seed that is not built yet.
- in the yml files of models, the columns below each `# template:`, a comment with a Jinja loop over
  the vocabulary: a dbt contract takes no columns from a macro.

A test fails while either is out of date.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml  # type: ignore[import-untyped]

from orchestration.platform.environment import DBT_PROJECT
from sources.contract import BY_NAME
from sources.vocabulary import (
    BOOKING_GROUPS,
    BOOKING_KINDS,
    CHANNELS,
    EFFECTS,
    MEASURES,
    OUTCOME_WINDOWS,
    PRICES,
    PRODUCT_LINES,
    RESULT_ITEMS,
    ProductLine,
    VocabularyError,
    lines_where,
)

MACROS = DBT_PROJECT / "macros" / "vocabulary.sql"
FEATURES = DBT_PROJECT / "models" / "features" / "features_customer_month.yml"
COMMAND = "python -m orchestration.platform.vocabulary"
ATTRIBUTES = BY_NAME["customer"].attributes
FLAGS = tuple(name for name, of_type in ProductLine.__annotations__.items() if of_type == "bool")
WIDTH = 100
TEMPLATE = re.compile(
    r"(?P<head>(?P<indent>^ *)# template:\n(?P<template>(?:(?P=indent)#.*\n)+?)"
    r"(?P=indent)# columns, written by `[^`\n]+`:\n)"
    r"(?P<columns>(?:.*\n)*?)"
    r"(?P<end>(?P=indent)# end of columns\n)",
    re.MULTILINE,
)


def macros_text() -> str:
    """The text of `macros/vocabulary.sql`."""
    lines = {"all": [line.product_line for line in PRODUCT_LINES]}
    lines |= {flag: list(lines_where(flag)) for flag in FLAGS}
    lines |= {
        price: [line.product_line for line in PRODUCT_LINES if line.price == price]
        for price in PRICES
    }
    channels = {
        "all": [channel.channel for channel in CHANNELS],
        "is_by_hand": [channel.channel for channel in CHANNELS if channel.is_by_hand],
    }
    groups = {
        group.booking_group: [
            kind.kind for kind in BOOKING_KINDS if kind.booking_group == group.booking_group
        ]
        for group in BOOKING_GROUPS
    }
    parts = [
        f"{{# Written by `{COMMAND}` from seeds/vocabulary and\n   sources/contract.py. #}}",
        "{# Product lines, or those with a property: a column of product_line.csv that is true,\n"
        "   or a price. #}",
        _macro("product_lines(which='all')", _of(lines) + "[which]"),
        "{# A customer's attributes that the contract passes on, and those that are features. #}",
        _macro("customer_attributes()", repr([column.name for column in ATTRIBUTES])),
        _macro("feature_attributes()", _of_types(feature_attributes())),
        "{# Channels of bookings; a manual booking shows that the customer is active. #}",
        _macro("booking_channels(which='all')", _of(channels) + "[which]"),
        "{# Kinds of booking by group; every kind is in exactly one. #}",
        _macro("booking_groups()", _of(groups)),
    ]
    items = {
        f"{measure} {effect}": [
            item.result_item
            for item in RESULT_ITEMS
            if (item.measure, item.effect) == (measure, effect)
        ]
        for measure in MEASURES
        for effect in EFFECTS
    }
    parts += [
        "{# Delivered items of an account's result that replace a measure or add to it. #}",
        _macro("result_items(measure, effect)", _of(items) + "[measure ~ ' ' ~ effect]"),
    ]
    for window in OUTCOME_WINDOWS:
        parts += [
            f"{{# Days within which a {window.outcome_window} counts. #}}",
            _macro(f"{window.outcome_window}_days()", str(window.days)),
        ]
    return "\n".join(parts)


def feature_attributes() -> dict[str, str]:
    """Attribute that is a feature → its type there: columns with `meta: {attribute: true}`.

    Raises
    ------
    VocabularyError
        For a column that the contract does not mark as an attribute of the customer.
    """
    (model,) = yaml.safe_load(FEATURES.read_text(encoding="utf-8"))["models"]
    types = {
        column["name"]: column["data_type"]
        for column in model["columns"]
        if column.get("config", {}).get("meta", {}).get("attribute")
    }
    unknown = types.keys() - {column.name for column in ATTRIBUTES}
    if unknown:
        raise VocabularyError(
            f"{FEATURES.name} is invalid: expected attributes of the customer, found "
            f"{', '.join(sorted(unknown))}. Give the columns an `attribute` in sources/contract.py."
        )
    return types


def _macro(signature: str, value: str) -> str:
    return f"{{% macro {signature} %}}\n    {{{{ return({value}) }}}}\n{{% endmacro %}}\n"


def _of(lists: Mapping[str, Iterable[str]]) -> str:
    rows = "".join(f"        '{name}': {list(names)!r},\n" for name, names in lists.items())
    return "{\n" + rows + "    }"


def _of_types(types: Mapping[str, str]) -> str:
    rows = "".join(f"        '{name}': '{of_type}',\n" for name, of_type in types.items())
    return "{\n" + rows + "    }"


def yml_text(text: str) -> str:
    """The text of a yml file with the columns below each template written anew."""
    return TEMPLATE.sub(_with_columns, text)


def _with_columns(found: re.Match[str]) -> str:
    indent = found["indent"]
    template = re.sub(rf"(?m)^{indent}# ?", "", found["template"])
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False
    )
    rendered = environment.from_string(template).render(
        product_lines=PRODUCT_LINES,
        attributes=ATTRIBUTES,
        booking_counts=_booking_counts(),
        over=_over,
    )
    columns = "".join(
        line for column in yaml.safe_load(rendered) or [] for line in _column_lines(column, indent)
    )
    return found["head"] + columns + found["end"]


def _booking_counts() -> list[dict[str, str]]:
    """By what bookings are counted in columns bookings_<name>, with the words after "bookings"."""
    return [
        *({"name": channel.channel, "words": channel.bookings} for channel in CHANNELS),
        {"name": "no_channel", "words": "without a delivered channel"},
        *({"name": group.booking_group, "words": group.bookings} for group in BOOKING_GROUPS),
    ]


def _over(months: int) -> str:
    return "in the month" if months == 1 else f"over the last {months} months"


def _column_lines(column: Mapping[str, Any], indent: str) -> Iterable[str]:
    """A column as the yml files write it: long descriptions folded, nested values in one line."""
    for key, value in column.items():
        start = f"{indent}- {key}:" if key == "name" else f"{indent}  {key}:"
        if key == "description":
            quoted = f'{start} "{value}"\n'
            if len(quoted) <= WIDTH + 1:
                yield quoted
            else:
                yield f"{start} >-\n"
                inner = indent + "    "
                yield textwrap.fill(value, 92, initial_indent=inner, subsequent_indent=inner) + "\n"
        elif isinstance(value, str):
            yield f"{start} {value}\n"
        else:
            flow = yaml.safe_dump(value, default_flow_style=True, width=WIDTH).strip()
            yield f"{start} {flow}\n"


def written() -> dict[Path, str]:
    """File → the text that it must have."""
    texts = {MACROS: macros_text()}
    for path in sorted((DBT_PROJECT / "models").rglob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if "# template:" in text:
            texts[path] = yml_text(text)
    return texts


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
