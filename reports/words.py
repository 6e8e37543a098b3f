"""The catalogue of words: English in the templates and the code, other languages in `locale/`.

`python -m reports.words` takes new words of the pages into every catalogue and lists those that
have no translation yet. A catalogue is compiled when a page is made: there is no file to keep in
step with it.
"""

from __future__ import annotations

import io
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from reports.formats import ENGLISH

FOLDER = Path(__file__).parent
# What marks words in the code that is not yet spoken to a reader.
METHODS = [("templates/*.html", "jinja2.ext:babel_extract"), ("*.py", "python")]
OPTIONS = {"templates/*.html": {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true"}}


def _catalogue(language: str) -> Path:
    return FOLDER / "locale" / f"{language}.po"


LANGUAGES = (ENGLISH, *sorted(path.stem for path in (FOLDER / "locale").glob("*.po")))


@cache
def translations(language: str) -> NullTranslations:
    """The words of a language.

    Raises
    ------
    ValueError
        For a language that has no catalogue.
    """
    if language == ENGLISH:
        return NullTranslations()
    if language not in LANGUAGES:
        raise ValueError(
            f"language {language!r} is invalid: expected one of {', '.join(LANGUAGES)}"
        )
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with _catalogue(language).open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def update(language: str, *, write: bool = True) -> tuple[list[str], list[str]]:
    """Bring a catalogue up to the words in use.

    Returns
    -------
    added, untranslated : words that the catalogue lacked, and all that have no translation
    """
    from babel.messages.catalog import Catalog
    from babel.messages.extract import extract_from_dir
    from babel.messages.pofile import read_po, write_po

    used = Catalog(project="jingxi")
    for file, _, message, comments, context in extract_from_dir(
        FOLDER, METHODS, OPTIONS, keywords={"_": None, "ngettext": (1, 2), "gettext": None}
    ):
        used.add(message, locations=[(file, 0)], auto_comments=comments, context=context)
    with _catalogue(language).open("rb") as existing:
        catalogue = read_po(existing, locale=language)
    known = {message.id for message in catalogue if message.id}
    added = [str(message.id) for message in used if message.id and message.id not in known]
    catalogue.update(used, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    if write:
        with _catalogue(language).open("wb") as file:
            write_po(file, catalogue, width=100, omit_header=False, include_lineno=False)
    untranslated = [str(m.id) for m in catalogue if m.id and not all([m.string])]
    return added, untranslated


if __name__ == "__main__":
    for name in LANGUAGES[1:]:
        added, untranslated = update(name)
        print(f"{name}: {len(added)} new, {len(untranslated)} without a translation")
        for words in untranslated:
            print(f"  {words}")
