"""The source contract: what a bank delivers, column by column.

One place says which tables and columns exist, their types, keys, references, allowed values and
ranges. Landing turns it into row rules, the `files` source into its inspection, `docs/contract.md`
into a page. Shape lives here; distributions are the gates' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["VARCHAR", "DATE", "DECIMAL(18,2)", "DECIMAL(9,6)", "INTEGER", "DOUBLE", "BOOLEAN"]

TEXT: Type = "VARCHAR"
DAY: Type = "DATE"
MONEY: Type = "DECIMAL(18,2)"
RATE: Type = "DECIMAL(9,6)"
WHOLE: Type = "INTEGER"
REAL: Type = "DOUBLE"
FLAG: Type = "BOOLEAN"


@dataclass(frozen=True)
class Column:
    """One column of a delivered table.

    `low` and `high` are SQL literals or expressions, inclusive; `as_of` may be used in them.
    `personal` columns name or reach a person: no stage reads them, and they are not landed.
    `null_after_as_of` marks a date that describes an event of the future when it lies after the
    as-of date (an account's closing): it is not known yet, so it is read as NULL.
    `form` is the regular expression of a code, which is read in capitals and without blanks around.
    """

    name: str
    type: Type
    required: bool = False
    values: tuple[str, ...] = ()
    low: str | None = None
    high: str | None = None
    references: str | None = None
    personal: bool = False
    null_after_as_of: bool = False
    form: str | None = None
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """One delivered table.

    `dated_by` names the column that dates a row: a row dated after the as-of date is not seen.
    `event` tables are landed month by month; the others are masters, delivered as full extracts.
    `without_it` is what a bank does not get when it leaves the table out.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = False
    event: bool = False
    dated_by: str | None = None
    without_it: str = ""
    tolerated_share: float = 0.001

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    @property
    def personal(self) -> bool:
        """Does the table have personal columns?"""
        return any(column.personal for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


PRODUCT_LINES = ("deposits", "lending", "cards", "wealth", "agency", "payments")
ROLES = ("owner", "joint", "authorised")
KINDS = (
    "deposit",
    "withdrawal",
    "transfer_in",
    "transfer_out",
    "card_payment",
    "salary",
    "pension",
    "interest_paid",
    "interest_charged",
    "fee",
    "penalty",
    "loan_payout",
    "loan_repayment",
    "purchase",
    "sale",
    "insurance_premium",
    "other",
)
CHANNELS = ("branch", "atm", "card", "online", "mobile", "telephone", "standing_order", "system")
ARMS = ("treatment", "control")
TOPICS = ("inquiry", "complaint", "appointment", "visit", "feedback")
LEDGER_ACCOUNTS = ("interest_income", "interest_expense", "fee_income", "customer_balance")

EARLIEST = "date '1900-01-01'"
LARGEST = "1000000000000"

TABLES: tuple[Table, ...] = (
    Table(
        "district",
        ("district_id",),
        (
            Column("district_id", TEXT, required=True),
            Column("district_name", TEXT),
            Column("region", TEXT),
            Column("population", WHOLE, low="0"),
            Column("average_salary", MONEY, low="0"),
            Column("unemployment_rate", RATE, low="0", high="1"),
            Column("latitude", REAL, low="-90", high="90"),
            Column("longitude", REAL, low="-180", high="180"),
        ),
        without_it="grid map by district",
    ),
    Table(
        "branch",
        ("branch_id",),
        (
            Column("branch_id", TEXT, required=True),
            Column("branch_name", TEXT),
            Column("district_id", TEXT, references="district"),
        ),
        without_it="profit by branch",
    ),
    Table(
        "employee",
        ("employee_id",),
        (
            Column("employee_id", TEXT, required=True),
            Column("branch_id", TEXT, references="branch"),
            Column("role", TEXT),
            Column("hired_on", DAY, low=EARLIEST),
        ),
        dated_by="hired_on",
        without_it="relationship managers' books and lists",
    ),
    Table(
        "customer",
        ("customer_id",),
        (
            Column("customer_id", TEXT, required=True),
            Column("birth_date", DAY, low=EARLIEST, high="as_of"),
            Column("sex", TEXT, values=("female", "male")),
            Column("district_id", TEXT, references="district"),
            Column("customer_since", DAY, low=EARLIEST),
            Column("occupation", TEXT),
            Column("education", TEXT),
            Column("marital_status", TEXT),
            Column("monthly_income", MONEY, low="0", high=LARGEST),
            Column("household_id", TEXT),
            Column("employee_id", TEXT, references="employee", meaning="relationship manager"),
            Column("marketing_consent", FLAG),
            Column("full_name", TEXT, personal=True),
            Column("phone", TEXT, personal=True),
            Column("email", TEXT, personal=True),
            Column("national_id", TEXT, personal=True),
        ),
        required=True,
        dated_by="customer_since",
    ),
    Table(
        "product",
        ("product_id",),
        (
            Column("product_id", TEXT, required=True),
            Column("product_name", TEXT),
            Column("product_line", TEXT, required=True, values=PRODUCT_LINES),
        ),
        required=True,
    ),
    Table(
        "account",
        ("account_id",),
        (
            Column("account_id", TEXT, required=True),
            Column("product_id", TEXT, required=True, references="product"),
            Column("branch_id", TEXT, references="branch"),
            Column("opened_on", DAY, required=True, low=EARLIEST),
            Column("closed_on", DAY, low="opened_on", null_after_as_of=True),
            Column("currency", TEXT, form="[A-Z]{3}"),
            Column("interest_rate", RATE, low="-0.05", high="1"),
            Column("credit_limit", MONEY, low="0", high=LARGEST),
            Column("term_months", WHOLE, low="1", high="600"),
        ),
        required=True,
        dated_by="opened_on",
    ),
    Table(
        "account_holder",
        ("account_id", "customer_id"),
        (
            Column("account_id", TEXT, required=True, references="account"),
            Column("customer_id", TEXT, required=True, references="customer"),
            Column("role", TEXT, required=True, values=ROLES),
        ),
        required=True,
    ),
    Table(
        "loan",
        ("loan_id",),
        (
            Column("loan_id", TEXT, required=True),
            Column("account_id", TEXT, required=True, references="account"),
            Column("granted_on", DAY, required=True, low=EARLIEST),
            Column("principal", MONEY, low="0", high=LARGEST),
            Column("term_months", WHOLE, low="1", high="600"),
            Column("instalment", MONEY, low="0", high=LARGEST),
            Column("interest_rate", RATE, low="0", high="1"),
        ),
        dated_by="granted_on",
        without_it="expected loss, early warning",
    ),
    Table(
        "card",
        ("card_id",),
        (
            Column("card_id", TEXT, required=True),
            Column("account_id", TEXT, required=True, references="account"),
            Column("customer_id", TEXT, references="customer"),
            Column("card_type", TEXT),
            Column("issued_on", DAY, required=True, low=EARLIEST),
        ),
        dated_by="issued_on",
        without_it="card features",
    ),
    Table(
        "standing_order",
        ("order_id",),
        (
            Column("order_id", TEXT, required=True),
            Column("account_id", TEXT, required=True, references="account"),
            Column("counterparty_bank", TEXT),
            Column("counterparty_account", TEXT),
            Column("amount", MONEY, low="0", high=LARGEST),
            Column("purpose", TEXT),
        ),
        without_it="standing-order features",
    ),
    Table(
        "campaign",
        ("campaign_id",),
        (
            Column("campaign_id", TEXT, required=True),
            Column("campaign_name", TEXT),
            Column("product_id", TEXT, required=True, references="product"),
            Column("channel", TEXT, values=CHANNELS),
            Column("starts_on", DAY, required=True, low=EARLIEST),
            Column("ends_on", DAY, low="starts_on"),
            Column("cost_per_contact", MONEY, low="0", high=LARGEST),
            Column("incentive_cost", MONEY, low="0", high=LARGEST),
        ),
        dated_by="starts_on",
        without_it="response, uplift and measurement",
    ),
    Table(
        "transaction",
        ("transaction_id",),
        (
            Column("transaction_id", TEXT, required=True),
            Column("account_id", TEXT, required=True, references="account"),
            Column("booked_on", DAY, required=True, low=EARLIEST),
            Column("amount", MONEY, required=True, low=f"-{LARGEST}", high=LARGEST),
            Column("kind", TEXT, required=True, values=KINDS),
            Column("channel", TEXT, values=CHANNELS),
            Column("counterparty_bank", TEXT),
            Column("counterparty_account", TEXT),
            Column("balance_after", MONEY, low=f"-{LARGEST}", high=LARGEST),
        ),
        required=True,
        event=True,
        dated_by="booked_on",
    ),
    Table(
        "loan_status",
        ("loan_id", "month"),
        (
            Column("loan_id", TEXT, required=True, references="loan"),
            Column("month", DAY, required=True, low=EARLIEST, meaning="first day of the month"),
            Column("outstanding", MONEY, low="0", high=LARGEST),
            Column("days_past_due", WHOLE, low="0", high="36500"),
            Column("defaulted", FLAG),
        ),
        event=True,
        dated_by="month",
        without_it="expected loss from days past due, early warning",
    ),
    Table(
        "contact",
        ("contact_id",),
        (
            Column("contact_id", TEXT, required=True),
            Column("campaign_id", TEXT, required=True, references="campaign"),
            Column("customer_id", TEXT, required=True, references="customer"),
            Column("contacted_on", DAY, required=True, low=EARLIEST),
            Column("arm", TEXT, required=True, values=ARMS),
            Column("assignment_probability", REAL, low="0", high="1"),
            Column("employee_id", TEXT, references="employee"),
        ),
        event=True,
        dated_by="contacted_on",
        without_it="response, uplift and measurement",
    ),
    Table(
        "response",
        ("campaign_id", "customer_id"),
        (
            Column("campaign_id", TEXT, required=True, references="campaign"),
            Column("customer_id", TEXT, required=True, references="customer"),
            Column("responded_on", DAY, required=True, low=EARLIEST),
            Column("account_id", TEXT, references="account"),
        ),
        event=True,
        dated_by="responded_on",
        without_it="response, uplift and measurement",
    ),
    Table(
        "interaction",
        ("interaction_id",),
        (
            Column("interaction_id", TEXT, required=True),
            Column("customer_id", TEXT, required=True, references="customer"),
            Column("occurred_on", DAY, required=True, low=EARLIEST),
            Column("channel", TEXT, values=CHANNELS),
            Column("topic", TEXT, values=TOPICS),
            Column("sentiment", REAL, low="-1", high="1"),
        ),
        event=True,
        dated_by="occurred_on",
        without_it="complaint suppression, feedback features",
    ),
    Table(
        "ledger",
        ("month", "branch_id", "product_line", "ledger_account"),
        (
            Column("month", DAY, required=True, low=EARLIEST, meaning="first day of the month"),
            Column("branch_id", TEXT, required=True, references="branch"),
            Column("product_line", TEXT, required=True, values=PRODUCT_LINES),
            Column("ledger_account", TEXT, required=True, values=LEDGER_ACCOUNTS),
            Column("amount", MONEY, required=True),
        ),
        event=True,
        dated_by="month",
        without_it="reconciliation to the general ledger (source totals are used instead)",
    ),
)

BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
EVENTS: tuple[str, ...] = tuple(table.name for table in TABLES if table.event)
MASTERS: tuple[str, ...] = tuple(table.name for table in TABLES if not table.event)
