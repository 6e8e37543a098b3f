"""Dates, numbers and sides of a mapping, beside Python's own reading of the same texts."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.contract import DAY, MONEY, RATE
from sources.grammar import text_of, typed
from sources.mapping.dates import SERIAL, as_iso, fault_of, month_start
from sources.mapping.numbers import FACTORS, as_number, by_side, of_two, times

# Our format, and Python's for the same text.
FORMATS = {
    "YYYYMMDD": "%Y%m%d",
    "YYYY-MM-DD": "%Y-%m-%d",
    "DD.MM.YYYY": "%d.%m.%Y",
    "MM/DD/YYYY": "%m/%d/%Y",
    "YYYY年MM月DD日": "%Y年%m月%d日",
    "DD-MON-YYYY": "%d-%b-%Y",
    "YYMMDD": "%y%m%d",
    "YYYYMMDDhhmmss": "%Y%m%d%H%M%S",
}
# A query of the engine each.
FEW = settings(max_examples=40)
DAYS = st.dates(date(1900, 3, 1), date(2099, 12, 31))


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        yield connection


def value(connection, expression, *given):
    ((found,),) = connection.execute(f"select {expression}", list(given)).fetchall()
    return found


def read_day(connection, text, forms, earliest=None):
    """The day that lands from a text."""
    iso = as_iso("v", forms, earliest)
    landed = typed(text_of("iso", DAY), DAY)
    query = f"select {landed} from (select {iso} as iso from (select ?::varchar as v))"
    return connection.execute(query, [text]).fetchall()[0][0]


@pytest.mark.parametrize("form", FORMATS)
@FEW
@given(day=DAYS)
def test_a_day_lands_as_python_wrote_it(engine, form, day):
    first = day.year - day.year % 100
    assert read_day(engine, day.strftime(FORMATS[form]), [form], first) == day


@pytest.mark.parametrize("form", FORMATS)
@FEW
@given(
    text=st.text("0123456789./-年月日 JANFEBjan", max_size=14), day=DAYS, place=st.integers(0, 13)
)
def test_a_text_lands_only_where_python_reads_the_format(engine, form, text, day, place):
    written = day.strftime(FORMATS[form])
    for one in (text, written[:place] + text[:1] + written[place + 1 :]):
        try:
            wanted = datetime.strptime(one, FORMATS[form]).date()
            # Python reads `1-1-2024` where two digits are asked for.
            if wanted.strftime(FORMATS[form]).lower() != one.lower():
                wanted = None
        except ValueError:
            wanted = None
        if wanted is not None and form == "YYMMDD":
            wanted = wanted.replace(year=1930 + (wanted.year - 1930) % 100)
        if wanted is None and form != "YYYYMMDDhhmmss":
            # A time after the day is read over, as in the contract.
            assert read_day(engine, one, [form], 1930) is None or " " in one or "T" in one
        elif wanted is not None:
            assert read_day(engine, one, [form], 1930) == wanted


@FEW
@given(day=st.dates(date(1900, 3, 1), date(9999, 12, 31)), part=st.integers(0, 99))
def test_a_serial_is_days_since_the_spreadsheets_origin(engine, day, part):
    serial = (day - date(1899, 12, 30)).days
    assert read_day(engine, str(serial), [SERIAL]) == day
    assert read_day(engine, f"{serial}.{part:02d}", [SERIAL]) == day
    assert serial - 60 == (day - date(1900, 2, 28)).days


@FEW
@given(day=DAYS)
def test_parts_without_a_zero_in_front_are_read(engine, day):
    assert read_day(engine, f"{day.day}.{day.month}.{day.year}", ["D.M.YYYY"]) == day
    assert read_day(engine, f"{day.year}/{day.month}/{day.day}", ["YYYY/M/D"]) == day


def test_the_first_format_that_fits_is_taken_and_a_time_is_read_over(engine):
    forms = ["YYYYMMDD", "DD.MM.YYYY"]
    for text in ("20240131", "31.01.2024", "31.01.2024 00:00:00", "20240131 9:30"):
        assert read_day(engine, text, forms) == date(2024, 1, 31)


def test_two_digits_of_a_year_lie_in_the_hundred_years_named(engine):
    assert read_day(engine, "290101", ["YYMMDD"], 1930) == date(2029, 1, 1)
    assert read_day(engine, "300101", ["YYMMDD"], 1930) == date(1930, 1, 1)
    assert read_day(engine, "000101", ["YYMMDD"], 1900) == date(1900, 1, 1)


def test_a_day_in_another_format_is_no_day(engine):
    """It would be one without the mapping: the mark keeps it from landing."""
    iso = as_iso("v", ["DD.MM.YYYY"], None)
    assert value(engine, f"{iso} from (select '2024-01-31' as v)") == "(not DD.MM.YYYY) 2024-01-31"
    assert value(engine, f"{iso} from (select '31/01/24' as v)") == "31/01/24"
    assert read_day(engine, "30.02.2024", ["DD.MM.YYYY"]) is None


@FEW
@given(day=DAYS)
def test_any_day_of_a_month_names_the_month(engine, day):
    assert value(engine, month_start("v") + " from (select ? as v)", str(day)) == str(
        day.replace(day=1)
    )
    assert read_day(engine, day.strftime("%Y%m"), ["YYYYMM"]) == day.replace(day=1)


def test_what_is_no_day_names_no_month(engine):
    for text in ("2024-02-30", "epoch", "infinity", "x"):
        assert value(engine, month_start("v") + " from (select ? as v)", text) == text


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        (("yyyy-mm-dd",), "no format of dates"),
        (("YYYYDD",), "no format of dates"),
        (("YYYYMMDD2",), "no format of dates"),
        (("DD/MM/YYYY", "MM/DD/YYYY"), "two days"),
        (("YYMMDD", SERIAL), "two days"),
        (("D/M/YYYY", "MM/DD/YYYY"), "two days"),
    ],
)
def test_formats_that_are_none_or_contradict_each_other_are_refused(formats, words):
    assert words in fault_of(formats)


def test_formats_that_agree_are_accepted():
    for formats in ((*FORMATS,), ("D.M.YYYY", "DD.MM.YYYY"), ("YYYYMMDD", SERIAL)):
        assert fault_of([form for form in formats if form != "MM/DD/YYYY"]) is None


AMOUNTS = st.decimals(min_value="-99999999999.99", max_value="99999999999.99", places=2)
# Decimal sign, sign between thousands.
SIGNS = [(".", ","), (",", "."), (",", " "), (".", "'"), (",", ""), (".", "")]


def written(amount, decimal, thousands):
    """A number as Python groups it, with other signs."""
    text = f"{amount:,.2f}"
    return text.replace(",", "#").replace(".", decimal).replace("#", thousands)


def read_number(connection, text, decimal, thousands, kind=MONEY):
    number = as_number("v", kind, decimal, thousands)
    landed = typed(text_of("n", kind), kind)
    query = f"select {landed} from (select {number} as n from (select ?::varchar as v))"
    return connection.execute(query, [text]).fetchall()[0][0]


@pytest.mark.parametrize(("decimal", "thousands"), SIGNS)
@FEW
@given(amount=AMOUNTS)
def test_an_amount_lands_to_the_cent_as_python_wrote_it(engine, decimal, thousands, amount):
    text = written(amount, decimal, thousands)
    plain = f"{amount:.2f}".replace(".", decimal)
    assert read_number(engine, text, decimal, thousands) == amount
    assert read_number(engine, plain, decimal, thousands) == amount
    if amount < 0:
        assert read_number(engine, f"{text[1:]}-", decimal, thousands) == amount


def by_hand(text, decimal, thousands):
    """Python's reading: groups of three, one decimal sign, nothing else."""
    negative = text[:1] == "-" or (text[-1:] == "-" and text[:1] != "+")
    body = text[1:] if text[:1] in ("+", "-") else text[:-1] if negative else text
    whole, _, rest = body.partition(decimal)
    groups = whole.split(thousands) if thousands else [whole]
    if len(groups) > 1 and (not 1 <= len(groups[0]) <= 3 or any(len(g) != 3 for g in groups[1:])):
        return None
    digits = "".join(groups)
    if (decimal in body and not rest) or not (digits or rest):
        return None
    if any(part and not (part.isascii() and part.isdecimal()) for part in (*groups, rest)):
        return None
    return Decimal(f"{'-' if negative else ''}{digits or 0}.{rest or 0}")


@pytest.mark.parametrize(("decimal", "thousands"), SIGNS)
@FEW
@given(text=st.text("0123456789.,'-+ x", min_size=1, max_size=9))
def test_a_text_lands_only_where_python_reads_the_same_number(engine, decimal, thousands, text):
    text = text.strip()
    wanted = by_hand(text, decimal, thousands) if text.count("-") <= 1 else None
    found = read_number(engine, text, decimal, thousands)
    if wanted is None:
        assert found is None
    else:
        assert found == round(wanted, 2) or abs(found - wanted) <= Decimal("0.005")


def test_a_number_in_another_form_is_no_number(engine):
    """`1.234` is 1234 in this mapping only as 1.234,00 or 1234; `12.34` is none of them."""
    number = as_number("v", MONEY, ",", ".")
    assert value(engine, f"{number} from (select '12.34' as v)") == "(not 1.234,56) 12.34"
    assert read_number(engine, "1.234", ",", ".") == Decimal("1234")


@pytest.mark.parametrize("unit", FACTORS)
@FEW
@given(number=st.decimals(min_value=-(10**12), max_value=10**12, places=4))
def test_units_are_multiplied_exactly(engine, unit, number):
    text = value(engine, times("v", MONEY, unit) + " from (select ? as v)", f"{number:f}")
    assert Decimal(text) == number * Decimal(FACTORS[unit])


def test_cents_beyond_what_is_exact_are_marked(engine):
    assert (
        value(engine, times("'1.123456789'", MONEY, "cents")) == "(not exact in cents) 1.123456789"
    )
    assert value(engine, times("'12x'", MONEY, "cents")) == "(not exact in cents) 12x"
    assert value(engine, times("'12345'", MONEY, "cents")) == "123.45"
    assert value(engine, times("null::varchar", MONEY, "cents")) is None


def test_a_per_cent_sign_is_read_over_where_rates_are_per_cent(engine):
    number = as_number("v", RATE, ".", "", percent=True)
    for text in ("2.5%", "2.5 %", "2.5"):
        assert value(engine, f"{number} from (select ? as v)", text) == "2.5"


@FEW
@given(amount=AMOUNTS)
def test_a_debit_has_the_opposite_sign(engine, amount):
    side = by_side("v", "s", ["C", "贷"], ["D"])
    query = f"({side})::decimal(18, 2) from (select ? as v, ? as s)"
    for code, wanted in (("C", amount), ("贷", amount), ("D", -amount)):
        assert value(engine, query, str(amount), code) == wanted


def test_an_amount_without_a_known_side_is_marked(engine):
    side = by_side("v", "s", ["C"], ["D"])
    query = f"{side} from (select ?::varchar as v, ?::varchar as s)"
    assert value(engine, query, "5.00", "X") == "(X) 5.00"
    assert value(engine, query, "5.00", None) == "(no side) 5.00"
    assert value(engine, query, None, "X") is None


@pytest.mark.parametrize(
    ("credit", "debit", "wanted"),
    [
        ("5.00", None, "5.00"),
        ("5.00", "0.00", "5.00"),
        (None, "5.00", "-5.00"),
        ("0", "5.00", "-5.00"),
        (None, "-5.00", "5.00"),
        (None, "0.00", "0.00"),
        ("0.00", None, "0.00"),
        (None, None, None),
        ("5.00", "1.00", "(credit and debit) 5.00 / 1.00"),
        ("x", None, "x"),
    ],
)
def test_one_of_two_columns_has_the_amount(engine, credit, debit, wanted):
    query = of_two("c", "d") + " from (select ?::varchar as c, ?::varchar as d)"
    assert value(engine, query, credit, debit) == wanted


def test_the_origin_of_serials_is_that_of_spreadsheets():
    """1 January 2024 is 45292 in every spreadsheet."""
    assert date(1899, 12, 30) + timedelta(days=45292) == date(2024, 1, 1)
