"""docs/contract.md and its translations, docs/contract.<language>.md, written from the contract and
the catalogue of words: `python -m orchestration.landing.contract_page`.

Of the prose, a heading, a paragraph, an item of a list and a cell of a table are entries of the
catalogue: a changed one has no translation until it is translated again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestration.landing.rules import CURES, TOLERATED_KEY_SHARE
from reports.formats import ENGLISH
from reports.words import CATALOGUES, translations
from sources.contract import (
    BOOKING_KINDS,
    DAY,
    FLAG,
    MONEY,
    RATE,
    REAL,
    TABLES,
    TEXT,
    WHOLE,
    Column,
    Table,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {ENGLISH: DOCS / "contract.md"} | {
    language: DOCS / f"contract.{language}.md" for language in CATALOGUES
}

Translate = Callable[[str], str]

# What is never translated, and what a block of prose consists of.
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
CONTINUED = re.compile(r"(?<=\S)\n +(?=\S)|(?<=[^\n|])\n(?=[^\n\-#|])")
MARK = re.compile(r"(?:#+|-) ")

# The unit of a type, for columns without one of their own.
UNITS = {
    TEXT: "text",
    DAY: "day",
    MONEY: "the account's currency",
    RATE: "a year, as a decimal",
    WHOLE: "count",
    REAL: "number",
    FLAG: "true or false",
}

BEGINNING = """\
# The source contract: what a bank delivers

Written from `sources/contract.py`; change that, then run
`python -m orchestration.landing.contract_page`. Files with other names, codes and formats are read
through a [mapping](mapping.md).

## Files

- One file `<table>.csv`, `<table>.csv.gz` or `<table>.parquet`, or a folder `<table>/` of either,
  at any depth; one format for a table. A folder may be named like a file, `transaction.parquet/`,
  as Spark does, and a folder `column=value` gives the column to the files below it.
- Files and folders beginning with `.`, `_`, `~` or `#`, ending with `~`, `#`, `.bak`, `.tmp`,
  `.swp` or `.crc`, `Thumbs.db` and `desktop.ini` are ignored.
- A file without rows (no bytes, a header only, an empty Parquet file) is ignored with a note if
  other files of its table hold rows. A required table, and each month's extract of one, has rows;
  an optional table without rows counts as not delivered.
- CSV is UTF-8 with a header, commas and double quotes. A byte order mark, Windows line ends,
  quotes around every value, capitals in the header and a trailing comma are accepted. An empty
  value is unknown. A row that holds nothing but commas is a blank line. A row longer than 1,000,000
  bytes goes to quarantine.
- Parquet may be written by any library, with any compression and row groups. A column without any
  value is unknown whatever its type: a writer cannot infer a type without values.
- Events may come whole or by month; a row's date decides its month. Masters come as full extracts.
  If there are several, each has its month (`YYYY-MM`) in its path, as in
  `customer/2024-03.parquet`; history is derived from them.
- A missing optional table or column switches off the feature named in the table below, with one
  line in the log. A column or file outside the contract is named in the log and not read.

## How values are written

The same grammar holds for text in CSV and in Parquet. A value that does not match it goes to
quarantine by the rule `type`; spaces around a number, a date or a truth value are accepted.

| type | written | not read |
|---|---|---|
| DATE | `2024-03-31`, also with a time behind it (`2024-03-31 17:45:00`, with `T` likewise) | \
`2024-3-31`, `31.03.2024`, `epoch`, `infinity` |
| DECIMAL(18,2), INTEGER | digits with a sign and a decimal point: `-1050.50`, `12.0`, `.5` | \
`1,050.50`, `1_050.50`, `1e3`, `0x1F`, `nan` |
| DECIMAL(9,6), DOUBLE | the same, also with an exponent: `5e-05` | `2.5 %`, `inf`, `nan` |
| BOOLEAN | `true`, `false` in capitals or not, `1`, `0` | `yes`, `t`, `on` |

In Parquet, besides:

- Money is DECIMAL or a whole number. FLOAT and DOUBLE are refused: FLOAT holds seven digits, and
  645,662,237.11 is delivered as 645,662,235.90. Rates and other numbers may be floats.
- A timestamp without time zone gives its own day. A timestamp with time zone is an instant, and its
  day depends on the zone, which the file does not contain: it is accepted if every value is
  midnight in UTC (a date that a program converted to a timestamp), and refused otherwise. Text with
  a zone (`2024-03-31T00:00:00Z`) is accepted only at midnight in UTC, too.
- A value of more than 1,000,000 bytes goes to quarantine.

Every DuckDB session has the time zone UTC: the same delivery gives the same tables whatever the
zone of the machine.

A delivery is refused before anything is built, with all problems at once, when a required table or
column is missing, a file is not UTF-8, has another delimiter, is compressed other than by gzip, is
truncated or delivered twice, a column is delivered twice, or most of a column's values are of
another type or not allowed. It is refused during landing when a file changes, or when the number of
rows read differs from the number that the file holds, counted from the bytes of a CSV file and from
the footer of a Parquet file. So landed, quarantined, later and earlier rows add up to all rows, and
the `sha256` of `meta.input_file` is that of the bytes landed.

## The as-of date

A row dated after the as-of date (in the column marked *dates the row*) is counted and otherwise
ignored; so is a row with a required reference to a parent dated later. An optional reference to a
later parent, and a closing date after the as-of date, are read as NULL.

The history begins with the first month of bookings (or `JINGXI_FIRST_MONTH`). Earlier events of
optional tables, such as contacts of years whose bookings are not delivered, are counted and
ignored, too, with one line in the log. Two tables are read from one month earlier, since the end of
that month opens the history: `account_balance`, for the balances of accounts opened before it, and
`fx_rate`, which translates them. Rows of still older months open nothing.

## Currencies

The bank's currency is `JINGXI_CURRENCY`, or the only one delivered without exchange rates. Accounts
in other currencies need `fx_rate` for each month from their first to the as-of month: their
bookings and balances are translated ([base](base.md)), and amounts of two currencies are never
added. A delivery without the rates, or with rates of the bank's own currency, is refused with the
accounts or months of each currency. Codes are those of ISO 4217; case and surrounding blanks do not
matter (`eur ` is `EUR`). An account without a currency counts as the bank's, with one line in the
log. A row whose currency is not a code (`EURO`, `€`) goes to quarantine.

## Tables

`*` marks what is required.
"""


ENDING = """\
## Checking a delivery

```sh
make check SOURCE_PATH=/path/to/delivery            # AS_OF=2025-06 MAPPING=… SOURCE=berka JSON=1
.venv/bin/jingxi check /path/to/delivery --as-of 2025-06 --json
```

`check` reads and lands a delivery and runs gate G1 exactly as a refresh does, in a folder of its
own below `JINGXI_HOME/tmp` that it removes at the end. It builds nothing else, does not change the
home's landing, warehouse and releases, and may run during a refresh. It prints the problems, the
notes, the rows of each table, the control totals and the gate's rules.

| status | exit status | meaning |
|---|---|---|
| `ok` | 0 | a refresh would build on the delivery |
| `gate_failed` | 1 | the delivery was landed, and G1 would stop the refresh |
| `refused` | 2 | nothing can be landed: missing tables, unreadable files, wrong settings |

`make` ends with status 2 whenever a command does not end with 0: to distinguish 1 from 2, call
`.venv/bin/jingxi check`, or read `status`. Errors go to standard error. With `JSON=1` or `--json`
standard output is exactly one JSON object. (With the option `-C`, make prints lines of its own;
`--no-print-directory` suppresses them.)

- `status`: `ok`, `gate_failed` or `refused`.
- `problems`: why the status is not `ok`, one text each: where, what is wrong, what to do.
- `notes`: what is not delivered or not read, what went to quarantine, the gate's warnings.
- `tables`: for each delivered `table` its rows: `delivered` = `landed` + `quarantined` + `later`.
  `later` are all rows outside the history; `earlier` is the number of those before it.
- `control`: landed transactions by `month` (`YYYY-MM`): `bookings`, and the sum of `amount` as text
  with two decimals, exact to the cent.
- `gate`: each rule of G1: `rule`, the value `seen`, its `limit`, `success`, and `severity` (`fail`
  stops a refresh, `warn` does not).

A refused delivery has no tables, control totals or rules.
"""


RULES = """\
## Row rules

A row that breaks a rule goes to `quarantine.<table>` with file, row number (the first
after the header is 1), rule, column and value, once for each rule it breaks. Gate G1
refuses the delivery when the share of such rows among the rows of the history is above
{tolerated}; for keys and references of required tables above
{tolerated_keys}.

A row that references one in quarantine follows it (`parent_quarantined`), and its column
`cause` names the rule that was broken first: a product of an unknown line takes its
accounts along, and they take their holders and bookings. Messages name the cause and the
number of rows that follow; above the tolerance for references these stop the refresh,
too. Messages list values that are not allowed, with their rows and the probable meaning;
for a table with personal columns only values that many rows share.
"""

KINDS_OF_BOOKINGS = """\
### Kinds of bookings

`+` credits the account, `-` debits it. A few bookings of the other sign are normal (a
refunded fee); if most of a kind or many of a month have it, gate G1 stops the refresh:
amounts without a sign, or with the bank's own sign, would give wrong balances.
"""


def contract_page(language: str = ENGLISH) -> str:
    """The whole page. In another language than English, the code of a table, a column and a kind of
    booking has its name beside it.

    Raises
    ------
    ValueError
        For a language that has no catalogue.
    """
    return _page(None if language == ENGLISH else translations(language).gettext)


def contract_words() -> list[str]:
    """The entries of the catalogue that the page needs."""
    words: list[str] = []

    def taken(text: str) -> str:
        words.append(text)
        return text

    _page(taken)
    return words


def _page(translate: Translate | None) -> str:
    parts = [
        _prose(BEGINNING, translate),
        *(_section(table, translate) for table in TABLES),
        _kinds(translate),
        _rules(translate),
        _prose(ENDING, translate),
    ]
    return "\n".join(parts)


def _prose(text: str, translate: Translate | None) -> str:
    """A text block by block; the English one keeps its lines."""
    if translate is None:
        return text
    parts = FENCE.split(text)
    parts[::2] = [
        "\n".join(_block(line, translate) for line in CONTINUED.sub(" ", part).split("\n"))
        for part in parts[::2]
    ]
    return "".join(parts)


def _block(line: str, translate: Translate) -> str:
    if "|" in line:
        return "|".join(_block(cell, translate) for cell in line.split("|"))
    words = line.strip()
    mark = found[0] if (found := MARK.match(words)) else ""
    words = words.removeprefix(mark)
    if not any(map(str.islower, CODE.sub("", words))):
        return line
    return line.replace(mark + words, mark + translate(words))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _head(translate: Translate | None, code: str, *titles: str) -> list[str]:
    """The head of a table whose first column is a code; its name follows where it is translated."""
    named = [code, "name", *titles] if translate else [code, *titles]
    return [_row(*map(translate or str, named)), f"|{'---|' * len(named)}"]


def _section(table: Table, translate: Translate | None) -> str:
    _ = translate or str
    kind = _("Events, key {0}.") if table.event else _("Master, key {0}.")
    without = _(" Without it: {0}.").format(_(table.without_it)) if table.without_it else ""
    name = [" ", translate(f"table {table.name}")] if translate else []
    lines = [
        "".join(("### ", table.name, *name, "*" if table.required else "")),
        "",
        _(table.meaning),
        "",
        kind.format(_codes(table.key, _)) + without,
        "",
        *_head(translate, "column", "type", "meaning", "unit", "sign", "example", "rule"),
    ]
    for column in table.columns:
        meaning = _(column.meaning)
        if column.without_it:
            meaning = _("{0}; without it: {1}").format(meaning, _(column.without_it))
        star = "*" if column.required else ""
        unit, sign = unit_of(column), column.shown_sign
        cells = (
            *(column.type, meaning, _(unit), _(sign) if sign else ""),
            *(f"`{column.example}`", _rule(table, column, _)),
        )
        name = [translate(column.name)] if translate else []
        lines.append(_row(f"`{column.name}`{star}", *name, *cells))
    return "\n".join(lines) + "\n"


def unit_of(column: Column) -> str:
    """The unit of the column, or of its type."""
    return column.unit or (
        "month, by its first day" if column.first_of_month else UNITS[column.type]
    )


def _kinds(translate: Translate | None) -> str:
    _ = translate or str
    words = {1: "+", -1: "-", None: _("either")}
    lines = [
        _prose(KINDS_OF_BOOKINGS, translate),
        *_head(translate, "kind", "sign of `amount`", "meaning"),
    ]
    for kind in BOOKING_KINDS:
        on = "".join(
            _("; {0} on accounts of {1}").format(words[sign], line)
            for line, sign in kind.on.items()
        )
        name = [translate(kind.name)] if translate else []
        lines.append(_row(f"`{kind.name}`", *name, f"{words[kind.sign]}{on}", _(kind.meaning)))
    return "\n".join(lines) + "\n"


def _rule(table: Table, column: Column, _: Translate) -> str:
    rules = [_("first day of the month")] if column.first_of_month else []
    if column.name == table.dated_by:
        rules.append(_("dates the row"))
    if column.references:
        rules.append(_("references {0}").format(column.references))
    if column.values:
        rules.append(_("one of {0}").format(_codes(column.values, _)))
    if column.form is not None:
        form = _("a code of the form {0}, after trimming, in upper case")
        rules.append(form.format(f"`{column.form}`"))
    if column.other_person_than is not None:
        rules.append(_("another person than {0}").format(f"`{column.other_person_than}`"))
    if column.low is not None:
        rules.append(_("from {0}").format(_limit(column.low, _)))
    if column.high is not None:
        rules.append(_("up to {0}").format(_limit(column.high, _)))
    if column.null_after_as_of:
        rules.append(_("NULL when after the as-of date"))
    if column.personal:
        rules.append(_("personal: read by no stage and not stored"))
    return _("; ").join(rules)


def _codes(names: Iterable[str], _: Translate) -> str:
    return _(", ").join(f"`{name}`" for name in names)


def _limit(expression: str, _: Translate) -> str:
    if expression == "as_of":
        return _("the as-of date")
    text = expression.removeprefix("date ").strip("'")
    return f"{int(text):,}" if text.lstrip("-").isdigit() else text


def _rules(translate: Translate | None) -> str:
    shares = {
        "tolerated": f"{TABLES[0].tolerated_share:.2%}",
        "tolerated_keys": f"{TOLERATED_KEY_SHARE:.2%}",
    }
    _ = translate or str
    lines = [
        _prose(RULES, translate).format(**shares),
        _row(_("rule"), _("cure")),
        "|---|---|",
        *(_row(f"`{rule}`", _(cure)) for rule, cure in CURES.items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    for language, path in PAGES.items():
        path.write_text(contract_page(language), encoding="utf-8")


if __name__ == "__main__":
    main()
