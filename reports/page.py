"""Makes a page: a template and what it shows become HTML; writes it in one step."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import (
    chart_curve,
    chart_interval,
    chart_map,
    chart_measure,
    chart_panel,
    chart_stack,
    chart_strip,
    charts,
    formats,
    tables,
)
from reports.formats import ENGLISH, NOTHING
from reports.words import Code, Phrase, translations

TEMPLATES = Path(__file__).parent / "templates"
# The only script, of the portal's pages: a page without it shows the same rows.
SCRIPT = "".join(
    (TEMPLATES / "portal" / name).read_text(encoding="utf-8") for name in ("filter.js", "served.js")
)
SCRIPT_DIGEST = f"sha256-{b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}"


def render(template: str, content: Mapping[str, Any], language: str = ENGLISH) -> str:
    """The page of a template of `reports/templates`: HTML5, escaped, nothing fetched.

    A page of the portal, whose content has a `site`, has one script, which hides rows of tables and
    makes links to Dagster and MLflow where the page is served beside them.

    Raises
    ------
    ValueError
        For a language without a catalogue.
    """
    return environment(language).get_template(template).render(content)


def text(template: str, part: str, content: Mapping[str, Any], language: str = ENGLISH) -> str:
    """What the macro `part` of a template of plain text makes of a content."""
    macros = environment(language).get_template(template).module
    return str(getattr(macros, part)(content))


def worded(words: str | None, language: str) -> str | None:
    """A word or phrase of the catalogue in a language; nothing (None) as it is."""
    return words and str(environment(language).filters["translated"](words))


def titled(key: str, language: str) -> str:
    """A key as a title of the catalogue in a language."""
    return str(environment(language).filters["titled"](key))


def write(page: str, path: Path) -> None:
    """Write a page; a reader sees the one before or this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, path)


@cache
def environment(language: str) -> Environment:
    """Jinja with the words, figures, tables and charts of a language."""
    words = translations(language)
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is None or not name.endswith(".txt"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
    worded: dict[str, Any] = {
        function.__name__: partial(function, language=language)
        for function in (
            *(formats.exact, formats.money, formats.percent, formats.rate, formats.count),
            *(formats.month, formats.figure, formats.return_on_capital, formats.price_floor),
            *(formats.plain, formats.expected_count),
        )
    }
    worded |= _names(words.gettext, worded["plain"])
    made.filters |= worded | {"pad": formats.padded, "shorten": formats.shortened}
    made.globals |= worded | {
        "language": language,
        "filter_titles": _filter_titles,
        "script": Markup(SCRIPT),
        "script_digest": SCRIPT_DIGEST,
        **{one.__name__: one for one in (tables.texts, tables.figures, tables.flat)},
        **{one.__name__: one for one in (tables.made, tables.bars)},
        "labels": partial(tables.labels, worded["count"]),
        "mixed": partial(tables.mixed, worded),
        "heats": partial(tables.heats, worded["count"], worded["percent"]),
        "warmths": tables.warmths,
        **{
            f"{one.__name__}_chart": partial(one, language=language)
            for one in (
                *(charts.bridge, charts.whale, charts.trend, charts.months),
                *(chart_interval.intervals, chart_panel.panels),
                *(chart_map.district_map, chart_measure.measures, chart_measure.drifts),
                *(chart_stack.stacked, chart_strip.strips),
                *(chart_curve.calibration, chart_curve.gains),
            )
        },
    }
    return made


def _filter_titles(filters: Mapping[str, tuple[str, Any]]) -> str:
    return json.dumps({key: str(title) for key, (title, _) in filters.items()}, ensure_ascii=False)


def _names(
    gettext: Callable[[str], str], plain: Callable[[Any], str]
) -> dict[str, Callable[..., Any]]:
    """What a key or a value of any kind is called."""

    def titled(key: str) -> str:
        return gettext(formats.titled(key)) if key else key

    def named(key: str, names: Mapping[str, str]) -> str | Markup:
        """A key with its name before it, where it has one."""
        if key not in names:
            return key
        return Markup('{} <span class="soft">{}</span>').format(names[key], key)

    def shown(value: Any) -> str:
        if value is None:
            return NOTHING
        if isinstance(value, bool):
            return gettext("yes") if value else gettext("no")
        return plain(value) if isinstance(value, date) else str(value)

    def translated(value: Any) -> str:
        """A word or phrase of a vocabulary; the figures in it as the page's others."""
        if isinstance(value, Phrase):
            return gettext(value.pattern).format(*map(translated, value.parts))
        if isinstance(value, str):
            return gettext(value) if value and not isinstance(value, Code) else value
        return plain(value) if isinstance(value, Decimal) else shown(value)

    def titles(keys: Any) -> dict[str, str]:
        return {key: titled(key) for key in keys}

    def money_in(currency: str | None) -> str:
        """The currency of the money of a page or table, where it is known."""
        if currency is None:
            return gettext("money in the bank's currency")
        return gettext("money in {currency}").format(currency=currency)

    return {
        "money_in": money_in,
        "titled": titled,
        "named": named,
        "shown": shown,
        "translated": translated,
        "titles": titles,
    }
