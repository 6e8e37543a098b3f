"""A bank's own files: refused with every problem at once, or read whatever their habits."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from sources.files import DeliveredFiles
from sources.message import Message
from tests.deliveries import is_worded

GOOD = {
    "product": "product_id,product_line\nP1,deposits\n",
    "customer": "customer_id,birth_date\nC1,1980-01-01\n",
    "account": "account_id,product_id,opened_on\nA1,P1,2023-05-01\n",
    "account_holder": "account_id,customer_id,role\nA1,C1,owner\n",
    "transaction": "transaction_id,account_id,booked_on,amount,kind\n"
    "T1,A1,2024-01-10,100.00,deposit\nT2,A1,2024-02-10,-30.50,withdrawal\n",
}


class Delivery:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = duckdb.connect()
        for table, text in GOOD.items():
            self.put(f"{table}.csv", text)

    def put(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def put_parquet(self, name: str, query: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        self.connection.execute(f"copy ({query}) to '{self.folder / name}' (format parquet)")

    def drop(self, name: str) -> None:
        (self.folder / name).unlink()

    def problems(self) -> list[str]:
        found = DeliveredFiles(self.folder).problems(self.connection)
        # Another language has them, too.
        assert [one for one in found if not is_worded(one)] == []
        return [str(problem) for problem in found]

    def the_problem(self) -> str:
        (problem,) = self.problems()
        return problem

    def notes(self) -> list[str]:
        found = DeliveredFiles(self.folder).notes(self.connection)
        assert [note for note in found if not isinstance(note, Message)] == []
        return found

    def rows(self, table: str) -> list[tuple]:
        source = DeliveredFiles(self.folder)
        found = []
        for file in source.files(self.connection):
            if file.table == table:
                columns = ", ".join(f'"{name}"' for name in file.columns)
                query = f"select _row, {columns} from ({file.relation}) order by _row"
                found += self.connection.execute(query).fetchall()
        return found


@pytest.fixture
def delivery(tmp_path):
    return Delivery(tmp_path / "delivery")


def test_a_good_delivery_has_no_problems(delivery):
    assert delivery.problems() == []
    assert delivery.rows("account") == [(1, "A1", "P1", "2023-05-01")]


def test_a_missing_folder_is_named(delivery):
    (problem,) = DeliveredFiles(delivery.folder / "nowhere").problems(delivery.connection)
    assert "nowhere" in problem.file
    assert "does not exist" in problem.what
    assert "JINGXI_SOURCE_PATH" in problem.cure


def test_an_empty_folder_lacks_every_required_table(tmp_path):
    problems = DeliveredFiles(tmp_path).problems(duckdb.connect())
    assert [problem.file for problem in problems] == [
        "customer.csv",
        "product.csv",
        "account.csv",
        "account_holder.csv",
        "transaction.csv",
    ]


def test_a_misspelt_table_is_missing_with_a_guess(delivery):
    (delivery.folder / "transaction.csv").rename(delivery.folder / "transactions.csv")
    problem = delivery.the_problem()
    assert problem.startswith("transaction.csv: a required table is missing")
    assert "Did you mean transactions.csv?" in problem
    assert "transactions.csv: not read, not a table of the contract" in delivery.notes()


def test_what_marks_a_delivery_as_complete_is_no_table(delivery):
    delivery.put("delivery.json", "{}")
    delivery.put("_COMPLETE", "")
    delivery.put("folder/delivery.json", "{}")
    notes = [line for line in delivery.notes() if "not a table" in line]
    assert notes == ["folder/delivery.json: not read, not a table of the contract"]


def test_a_missing_column_is_named_with_a_guess(delivery):
    delivery.put("account.csv", GOOD["account"].replace("opened_on", "openend_on"))
    problem = delivery.the_problem()
    assert problem.startswith("account.csv, column opened_on: a required column is missing")
    assert "Is it openend_on?" in problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"account_id,product_id,opened_on\n", "has no rows"),
        (b"\nA1,P1,2023-05-01\n", "has no header"),
        (b"account_id;product_id;opened_on\nA1;P1;2023-05-01\n", "semicolons (;)"),
        (b"account_id\tproduct_id\topened_on\nA1\tP1\t2023-05-01\n", "tabs"),
        (GOOD["account"].encode("utf-16"), "is UTF-16, not UTF-8"),
        (GOOD["account"].encode() + b"A\xe9,P1,2023-05-01\n", "is not UTF-8: line 3, byte 50"),
        (b"account_id,product_id,opened_on,opened_on\nA1,P1,2023-05-01,x\n", "is delivered twice"),
        (b"account_id,product_id,opened_on\nA1,P1\nA2,P1\nA3,P1,2023-05-01\n", "2 of 3 rows"),
        (b"account_id,product_id,opened_on,_row\nA1,P1,2023-05-01,1\n", "_row"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(delivery, content, words):
    delivery.put("account.csv", content)
    problem = delivery.the_problem()
    assert problem.startswith("account.csv")
    assert words in problem


def test_a_column_of_another_kind_is_refused_with_the_form_expected(delivery):
    delivery.put(
        "transaction.csv",
        GOOD["transaction"].replace("100.00", '"100,00"').replace("-30.50", '"-30,50"'),
    )
    problem = delivery.the_problem()
    assert problem.startswith(
        "transaction.csv, column amount: 2 of 2 values are invalid: expected DECIMAL(18,2)"
    )
    assert "decimal point" in problem


def test_swapped_columns_are_refused_and_values_are_not_repeated(delivery):
    delivery.put("customer.csv", "customer_id,birth_date,full_name\nC1,Ann,1980-01-01\n")
    problem = delivery.the_problem()
    assert problem.startswith("customer.csv, column birth_date: 1 of 1 values")
    assert "Check whether columns are swapped." in problem
    assert "Ann" not in problem


def test_a_column_without_any_valid_code_is_refused_with_suggestions(delivery):
    delivery.drop("transaction.csv")
    for month in ("01", "02"):
        delivery.put(
            f"transaction/2024-{month}.csv",
            GOOD["transaction"]
            .replace("T", f"T{month}")
            .replace("deposit", "depsit")
            .replace("withdrawal", "ATM"),
        )
    problem = delivery.the_problem()
    assert problem.startswith(
        "transaction/2024-01.csv, column kind: 4 of 4 values in 2 files are not "
        "allowed: `ATM` (2 rows); `depsit` (2 rows): did you mean `deposit`?. Map each to one of "
        "`deposit`, `withdrawal`, "
    )


def test_invalid_codes_are_refused_in_parquet_too_and_an_empty_column_is_not(delivery):
    delivery.drop("product.csv")
    delivery.put_parquet("product.parquet", "select 1 as product_id, 7 as product_line")
    assert "product.parquet, column product_line: 1 of 1 values" in delivery.the_problem()
    delivery.put_parquet("product.parquet", "select 1 as product_id, 'cards' as product_line")
    delivery.put("customer.csv", "customer_id,sex\nC1,\n")
    assert delivery.problems() == []


def test_unknown_codes_of_customers_are_shown_only_where_many_rows_share_them(delivery):
    rows = [f"C{n},{'M' if n % 2 else 'F'},x" for n in range(40)] + ["C90,Ann Smith,x"]
    delivery.put("customer.csv", "customer_id,sex,full_name\n" + "\n".join(rows))
    problem = delivery.the_problem()
    assert "`F` (20 rows): did you mean `female`?; `M` (20 rows): did you mean `male`?" in problem
    assert "1 other value (1 row)" in problem
    assert "Ann" not in problem


def test_half_bad_values_are_for_the_row_rules_not_for_refusal(delivery):
    delivery.put("transaction.csv", GOOD["transaction"].replace("100.00", "x"))
    assert delivery.problems() == []


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("100::double", False),
        ("100::float", False),
        ("100::bigint", True),
        ("100::decimal(9, 4)", True),
        ("'100.00'", True),
        ("date '2024-01-01'", False),
        ("[100]", False),
        ("true", False),
    ],
)
def test_the_type_of_a_parquet_column_must_be_able_to_become_the_contracts(
    delivery, expression, accepted
):
    delivery.drop("transaction.csv")
    delivery.put_parquet(
        "transaction.parquet",
        f"select 'T1' as transaction_id, 'A1' as account_id, date '2024-01-10' as booked_on, "
        f"{expression} as amount, 'fee' as kind",
    )
    assert bool(delivery.problems()) is not accepted
    if not accepted:
        assert "transaction.parquet, column amount: is of type" in delivery.the_problem()


def test_a_parquet_file_cut_short_is_refused(delivery):
    delivery.drop("product.csv")
    delivery.put_parquet("product.parquet", "select 'P1' as product_id, 'deposits' as product_line")
    path = delivery.folder / "product.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert delivery.the_problem().startswith("product.parquet: cannot be read")


def test_a_file_delivered_twice_is_refused_for_events(delivery):
    delivery.drop("transaction.csv")
    delivery.put("transaction/2024-01.csv", GOOD["transaction"])
    delivery.put("transaction/2024-02.csv", GOOD["transaction"])
    problem = delivery.the_problem()
    assert problem.startswith("transaction/2024-02.csv")
    assert "same content as transaction/2024-01.csv" in problem


def test_an_unchanged_extract_of_the_next_month_is_no_repetition(delivery):
    delivery.drop("customer.csv")
    delivery.put("customer/2024-01.csv", GOOD["customer"])
    delivery.put("customer/2024-02.csv", GOOD["customer"])
    assert delivery.problems() == []
    delivery.put("customer/again-2024-02.csv", GOOD["customer"])
    assert "delivered twice" in delivery.the_problem()


def test_a_table_in_two_formats_is_refused(delivery):
    delivery.put_parquet("product.parquet", "select 'P2' as product_id, 'cards' as product_line")
    assert "both as CSV and as Parquet (product.parquet)" in delivery.the_problem()


def test_an_extract_without_a_month_beside_stamped_ones_is_refused(delivery):
    delivery.put("customer/2024-02.csv", "customer_id\nC1\n")
    assert delivery.the_problem().startswith("customer.csv: has no month")


def test_all_problems_are_listed_at_once(delivery):
    delivery.drop("product.csv")
    delivery.put("customer.csv", b"")
    delivery.put("account.csv", "account_id;product_id;opened_on\nA1;P1;2023-05-01\n")
    delivery.put("account_holder.csv", "account_id,customer\nA1,C1\n")
    delivery.put("transaction.csv", GOOD["transaction"].replace("2024-0", "10.2024-0"))
    starts = [problem.split(":")[0] for problem in delivery.problems()]
    assert starts == [
        "customer.csv",
        "product.csv",
        "account.csv",
        "account_holder.csv, column customer_id",
        "account_holder.csv, column role",
        "transaction.csv, column booked_on",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"account_id,product_id", b"Account_ID, PRODUCT_ID "),
        lambda text: text.replace(b"\n", b",\n", 1).replace(b"-01\n", b"-01,\n"),
        lambda text: text.replace(b"A1", b'"A1"'),
        lambda text: text.rstrip(b"\n"),
    ],
    ids=["bom", "crlf", "case", "trailing-comma", "quotes", "no-last-line-end"],
)
def test_harmless_variants_of_csv_are_read_alike(delivery, change):
    wanted = delivery.rows("account")
    delivery.put("account.csv", change(GOOD["account"].encode()))
    assert delivery.problems() == []
    assert delivery.rows("account") == wanted


def test_csv_and_parquet_of_the_same_rows_are_read_alike(delivery):
    wanted = delivery.rows("product")
    delivery.drop("product.csv")
    delivery.put_parquet(
        "product/part/0.parquet", "select 'P1' as product_id, 'deposits' as product_line"
    )
    assert delivery.problems() == []
    assert delivery.rows("product") == wanted


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("customer/2024-03.csv", date(2024, 3, 1)),
        ("customer/2024-03-31/part-0.csv", date(2024, 3, 1)),
        ("customer/month=2024-03/part-0.csv", date(2024, 3, 1)),
        ("customer/extract.csv", None),
        ("customer/12024-03.csv", None),
        ("customer/2024-13.csv", None),
    ],
)
def test_the_month_in_its_path_stamps_an_extract(delivery, name, stamp):
    delivery.drop("customer.csv")
    delivery.put(name, GOOD["customer"])
    (file,) = [
        file
        for file in DeliveredFiles(delivery.folder).files(delivery.connection)
        if file.table == "customer"
    ]
    assert file.extract_month == stamp


def test_missing_tables_and_columns_are_noted_with_what_they_switch_off(delivery):
    notes = delivery.notes()
    assert any(note.startswith("no `campaign`: there is no contact plan") for note in notes)
    assert any(note.startswith("no `loan`: loans that no balance shows") for note in notes)
    (customer,) = [note for note in notes if note.startswith("`customer`")]
    assert "`email`" in customer and "`birth_date`" not in customer


def test_columns_and_files_outside_the_contract_are_noted_and_not_read(delivery):
    delivery.put("account.csv", "account_id,product_id,opened_on,mood\nA1,P1,2023-05-01,good\n")
    delivery.put("readme.txt", "hello")
    delivery.put(".hidden", "x")
    delivery.put("account_extra/_SUCCESS", "")
    assert delivery.problems() == []
    assert "account.csv: column(s) `mood` are not read" in delivery.notes()
    assert [note for note in delivery.notes() if "not read, not a table" in note] == [
        "readme.txt: not read, not a table of the contract"
    ]
    assert delivery.rows("account") == [(1, "A1", "P1", "2023-05-01")]
