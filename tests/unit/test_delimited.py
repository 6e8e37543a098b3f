"""Delimited text: every data row once, numbered, the broken ones marked."""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources import delimited
from sources.delimited import (
    LONGEST_RECORD,
    DelimitedReader,
    inspect_bytes,
    read_header,
)


def rows(path: Path, delimiter: str = ",") -> list[tuple]:
    connection = duckdb.connect()
    reader = DelimitedReader(delimiter)
    query = reader.relation(connection, path)
    return connection.execute(
        f"select _row, a, b, c, _malformed is not null from ({query}) order by _row"
    ).fetchall()


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    return path


CLEAN = [(1, "1", "2", "3", False), (2, "4", None, "6", False)]


@pytest.mark.parametrize(
    "content",
    [
        b"a,b,c\n1,2,3\n4,,6\n",
        b"a,b,c\n1,2,3\n4,,6",
        b"\xef\xbb\xbfa,b,c\n1,2,3\n4,,6\n",
        b"a,b,c\r\n1,2,3\r\n4,,6\r\n",
        b"a,b,c\r\n1,2,3\n4,,6\r\n",
        b"a,b,c\n1,2,3\r\n4,,6\n",
        b'"a","b","c"\n"1","2","3"\n4,"",6\n',
        b"a,b,c\n1,2,3\n\n4,,6\n\n",
        b"a, b ,c\n1,2,3\n4,,6\n",
    ],
    ids=["plain", "no-end", "bom", "crlf", "mixed", "mixed-2", "quoted", "blank-lines", "spaces"],
)
def test_harmless_variants_of_csv_give_the_same_rows(tmp_path, content):
    assert rows(written(tmp_path, content)) == CLEAN


def test_rows_with_too_few_or_many_fields_keep_their_number_and_their_neighbours(tmp_path):
    path = written(tmp_path, b"a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12\n13,14")
    assert rows(path) == [
        (1, "1", "2", "3", False),
        (2, None, None, None, True),
        (3, None, None, None, True),
        (4, "10", "11", "12", False),
        (5, None, None, None, True),
    ]


def test_a_stray_quote_spoils_only_its_own_row(tmp_path):
    path = written(tmp_path, b'a,b,c\n1,2,3\n4,"5,6\n7,"8",9\n"x"y,1,2\n10,11,12\n')
    assert [(row[0], row[1], row[4]) for row in rows(path)] == [
        (1, "1", False),
        (2, None, True),
        (3, "7", False),
        (4, None, True),
        (5, "10", False),
    ]


def test_a_value_over_several_lines_is_one_row_beside_broken_ones(tmp_path):
    path = written(tmp_path, b'a,b,c\n1,"two\nlines",3\n4\n"read ""hi""",5",6\n')
    assert rows(path) == [
        (1, "1", "two\nlines", "3", False),
        (2, None, None, None, True),
        (3, 'read "hi"', '5"', "6", False),
    ]


def test_row_numbers_are_right_in_a_file_larger_than_one_buffer(tmp_path):
    lines = [f"{number},x{number},y" for number in range(1, 400_001)]
    lines[123_455] = "broken"
    path = written(tmp_path, ("a,b,c\n" + "\n".join(lines)).encode())
    connection = duckdb.connect()
    reader = DelimitedReader(",")
    query = reader.relation(connection, path)
    found = connection.execute(
        f"""select count(*), count(*) filter (where a <> _row::varchar),
                   min(_row) filter (where _malformed is not null) from ({query})"""
    ).fetchone()
    assert found == (400_000, 0, 123_456)


def test_the_same_numbers_come_from_the_fast_and_the_careful_way(tmp_path):
    body = "".join(f'{n},"v, {n}",\n' for n in range(5_000))
    fast = rows(written(tmp_path, f"a,b,c\n{body}".encode()))
    careful = rows(written(tmp_path, f"a,b,c\n{body}only one field".encode()))
    assert fast == careful[:-1]
    assert careful[-1] == (5_001, None, None, None, True)


def test_inspection_gives_digest_and_the_place_where_text_stops_being_utf8(tmp_path):
    good = written(tmp_path, "a,b\n1,zażółć\n".encode())
    assert inspect_bytes(good).encoding_fault is None
    assert inspect_bytes(good).sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    bad = written(tmp_path, b"a,b\n1,x\n2,caf\xe9\n")
    assert "line 3, byte 13" in (inspect_bytes(bad).encoding_fault or "")
    utf16 = written(tmp_path, "a,b\n".encode("utf-16"))
    assert "UTF-16" in (inspect_bytes(utf16).encoding_fault or "")
    cut = written(tmp_path, "a,b\n1,é".encode()[:-1])
    assert "ends within a character" in (inspect_bytes(cut).encoding_fault or "")


def test_an_encoding_fault_far_into_the_file_is_placed_right(tmp_path):
    filler = "aé,1\n".encode() * 300_000
    path = written(tmp_path, b"a,b\n" + filler + b"\xff,2\n")
    fault = inspect_bytes(path).encoding_fault
    assert fault == f"is not UTF-8: line 300002, byte {4 + len(filler)}"


def test_the_header_is_read_without_mark_and_spaces(tmp_path):
    path = written(tmp_path, b'\xef\xbb\xbf"a" , b\r\n1,2\r\n')
    assert read_header(path, ",") == ("a", "b")
    assert read_header(written(tmp_path, b""), ",") == ()
    assert read_header(written(tmp_path, b"\n1,2\n"), ",") == ()


def test_rows_of_nothing_but_delimiters_are_blank_lines_on_both_ways(tmp_path):
    body = b'a,b,c\n1,2,3\n,,\n4,,6\n"","",""\n,,\n'
    assert rows(written(tmp_path, body)) == CLEAN
    careful = rows(written(tmp_path, body + b",\nonly one\n"))
    assert careful == [*CLEAN, (3, None, None, None, True)]


@pytest.mark.parametrize(
    ("length", "quote"),
    [(900_000, ""), (900_000, '"'), (3_000_000, ""), (3_000_000, '"'), (40_000_000, "")],
)
def test_a_value_of_any_length_spoils_only_its_own_row(tmp_path, length, quote):
    lines = [f"{number},x,y" for number in range(10)]
    lines.append(f"10,{quote}{'v' * length}{quote},z")
    path = written(tmp_path, ("a,b,c\n" + "\n".join(lines)).encode())
    reader, connection = DelimitedReader(","), duckdb.connect()
    reading = reader.read(connection, path)
    found = connection.execute(
        f"select count(*), count(b), max(_malformed), max(length(b)) from ({reading.relation})"
    ).fetchone()
    if length < LONGEST_RECORD:
        assert found == (11, 11, None, length)
    else:
        assert found == (11, 10, "longer than 1,000,000 bytes", 1)
    assert reading.records == 11


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab",\n\r '), max_size=5), min_size=3, max_size=3),
        max_size=30,
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_records_are_counted_by_their_bytes_as_the_csv_module_reads_them(records, end, closed):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["h"] * 3, *records])
    content = text.getvalue() if closed else text.getvalue().removesuffix(end)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "CHUNK", 7)
        path = Path(folder) / "records.csv"
        path.write_bytes(content.encode())
        assert inspect_bytes(path).records == 1 + len(records)
