"""Takes the words in use into every catalogue; lists those without a translation."""

from babel.messages.pofile import write_po

from reports.words import CATALOGUES, untranslated, update

for language, path in CATALOGUES.items():
    catalogue = update(language)
    with path.open("wb") as file:
        write_po(file, catalogue, width=100, no_location=True)
    missing = untranslated(catalogue)
    print(f"{language}: {len(missing)} of {len(catalogue)} words have no translation")
    print(*(f"  {words}\n" for words in missing), sep="", end="")
