"""The source contract: what a bank delivers, column by column.

It is the one definition of tables and columns, their types, keys, references, allowed values and
ranges. Landing derives its row rules from it, the `files` source its inspection, and
`docs/contract.md` is generated from it. The contract covers shape; gates check distributions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sources import vocabulary
from sources.message import Message

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

    `meaning`, `unit`, `sign` and `example` are the words of `docs/contract.md`; `example` is a
    value that lands. `unit` is empty if the type implies it (a day, text).
    `low` and `high` are SQL literals or expressions, inclusive; `as_of` may be used in them.
    `personal` columns name or reach a person: no stage reads them, and they are not landed.
    `null_after_as_of` marks a date that describes an event of the future when it lies after the
    as-of date (an account's closing): it is not known yet, so it is read as NULL.
    `attribute` marks a column that staging and base pass on by a macro; it is the column's
    description there. A customer's attribute becomes a feature where
    `features_customer_month.yml` names it.
    `form` is the regular expression of a code, which is read in capitals and without blanks around.
    `other_person_than` names a column of the row that must not hold the same person.
    `erased` columns are emptied in the rows of a person who is erased.
    `without_it` is what follows where a delivered table lacks the column, if that is much.
    """

    name: str
    type: Type
    meaning: str
    example: str
    unit: str = ""
    sign: str = ""
    required: bool = False
    values: tuple[str, ...] = ()
    low: str | None = None
    high: str | None = None
    references: str | None = None
    personal: bool = False
    null_after_as_of: bool = False
    attribute: str = ""
    form: str | None = None
    first_of_month: bool = False
    other_person_than: str | None = None
    erased: bool = False
    without_it: str = ""

    @property
    def is_number(self) -> bool:
        return self.type in (MONEY, RATE, WHOLE, REAL)

    @property
    def shown_sign(self) -> str:
        """The meaning of the sign of a number; empty for other types."""
        never = self.low is not None and self.low in ("0", "1")
        return self.sign or ("never negative" if self.is_number and never else "")


@dataclass(frozen=True)
class Table:
    """One delivered table.

    `meaning` is a sentence that a manager understands.
    `dated_by` names the column that dates a row: a row dated after the as-of date is not seen.
    `event` tables are landed month by month; the others are masters, delivered as full extracts.
    `without_it` is what follows where a bank leaves the table out.
    `shares_of` names the column whose rows divide one whole: the `share` of those in force on a
    day, `valid_from` to `valid_to`, sum to at most 1.
    `erased` tables lose the rows of a person who is erased; others keep them without the person.
    `opens_history` tables state the end of a month: their rows of the month before the first month
    of bookings are landed too.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    meaning: str = ""
    required: bool = False
    event: bool = False
    dated_by: str | None = None
    without_it: str = ""
    shares_of: str | None = None
    tolerated_share: float = 0.001
    erased: bool = False
    opens_history: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    @property
    def attributes(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.attribute)

    @property
    def personal(self) -> bool:
        """Does the table have personal columns?"""
        return any(column.personal for column in self.columns)

    @property
    def identities(self) -> dict[str, str]:
        """The columns that identify a person, or what one has: column → one of `IDENTITIES`."""
        found = {}
        for column in self.columns:
            own = self.name if self.key == (column.name,) else None
            of = column.references or own
            if column.name == "counterparty_account":
                of = "account"
            if of in IDENTITIES:
                found[column.name] = of
        return found

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def losses(self, lacking: Iterable[str]) -> list[str]:
        """What follows from columns that are not delivered, a line for each that matters."""
        found = ((name, self.column(name).without_it) for name in lacking)
        return [
            Message("no `{0}.{1}`: {2}", self.name, name, Message(loss))
            for name, loss in found
            if loss
        ]

    @property
    def loss(self) -> Message:
        """What follows where the table is not delivered."""
        return Message("no `{0}`: {1}", self.name, Message(self.without_it))


PRODUCT_LINES = tuple(line.product_line for line in vocabulary.PRODUCT_LINES)
ROLES = ("owner", "joint", "authorised")


@dataclass(frozen=True)
class Kind:
    """What a booking is. `sign` is that of its amount, None where either is ordinary; `on` names
    the product lines whose accounts book it with another sign."""

    name: str
    sign: int | None
    meaning: str
    on: Mapping[str, int | None] = field(default_factory=dict)

    def sign_on(self, product_line: str) -> int | None:
        return self.on.get(product_line, self.sign)


BOOKING_KINDS = tuple(
    Kind(
        kind.kind,
        vocabulary.SIGNS[kind.sign],
        kind.meaning,
        {
            line.product_line: line.signs[kind.kind]
            for line in vocabulary.PRODUCT_LINES
            if kind.kind in line.signs
        },
    )
    for kind in vocabulary.BOOKING_KINDS
)
KINDS = tuple(kind.name for kind in BOOKING_KINDS)
# Kind, product line and sign of the amount, where it has one.
SIGNS: tuple[tuple[str, str, int], ...] = tuple(
    (kind.name, line, sign)
    for kind in BOOKING_KINDS
    for line in PRODUCT_LINES
    if (sign := kind.sign_on(line)) is not None
)
CHANNELS = tuple(channel.channel for channel in vocabulary.CHANNELS)
ARMS = ("treatment", "control")
TOPICS = ("inquiry", "complaint", "appointment", "visit", "feedback")
RESULT_ITEMS = tuple(item.result_item for item in vocabulary.RESULT_ITEMS)
BOOKED_ACCOUNTS = ("interest_income", "interest_expense", "fee_income", "customer_balance")
# Not compared with bookings: the cost of the cost centres, which rates and pools charge.
OPERATING_COST = "operating_cost"
LEDGER_ACCOUNTS = (*BOOKED_ACCOUNTS, *RESULT_ITEMS, OPERATING_COST)

# The tables whose keys identify a person, or what a person has.
IDENTITIES = ("customer", "account", "loan", "card")

EARLIEST = "date '1900-01-01'"
LARGEST = "1000000000000"

TABLES: tuple[Table, ...] = (
    Table(
        "district",
        ("district_id",),
        (
            Column("district_id", TEXT, "identifies the district", example="D003", required=True),
            Column("district_name", TEXT, "its name", example="Castel"),
            Column("region", TEXT, "the region that it lies in", example="South"),
            Column("population", WHOLE, "inhabitants", example="34492", unit="persons", low="0"),
            Column(
                "average_salary",
                MONEY,
                "mean gross salary in the district",
                example="2761.00",
                unit="the bank's currency a month",
                low="0",
            ),
            Column(
                "unemployment_rate",
                RATE,
                "unemployed among the labour force",
                example="0.048800",
                unit="share, 0.05 is 5 %",
                low="0",
                high="1",
            ),
            Column(
                "latitude",
                REAL,
                "where its centre lies",
                example="48.9645",
                unit="degrees",
                sign="+ north, - south",
                low="-90",
                high="90",
            ),
            Column(
                "longitude",
                REAL,
                "where its centre lies",
                example="15.2427",
                unit="degrees",
                sign="+ east, - west",
                low="-180",
                high="180",
            ),
        ),
        meaning=(
            "Districts in which customers live and branches lie, with their population and income."
        ),
        without_it="districts appear by code, without name and region, and on no map",
    ),
    Table(
        "branch",
        ("branch_id",),
        (
            Column("branch_id", TEXT, "identifies the branch", example="B001", required=True),
            Column("branch_name", TEXT, "its name", example="Castel, market square"),
            Column(
                "district_id",
                TEXT,
                "the district that it lies in",
                example="D003",
                references="district",
            ),
        ),
        meaning="Branches of the bank and the district of each.",
        without_it="branches appear by code, without name",
    ),
    Table(
        "employee",
        ("employee_id",),
        (
            Column(
                "employee_id",
                TEXT,
                "identifies the employee; no name or other personal data",
                example="E00005",
                required=True,
            ),
            Column(
                "branch_id",
                TEXT,
                "the branch that the employee works at",
                example="B001",
                references="branch",
            ),
            Column(
                "role",
                TEXT,
                "relationship_manager, branch_manager, seller or another word of the bank's",
                example="relationship_manager",
            ),
            Column("hired_on", DAY, "first day of work", example="2005-11-17", low=EARLIEST),
        ),
        meaning="Employees, by number: relationship managers, their branch and role.",
        dated_by="hired_on",
        without_it="the numbers of employees in other tables are not checked",
    ),
    Table(
        "customer",
        ("customer_id",),
        (
            Column(
                "customer_id",
                TEXT,
                "identifies the customer; no national number, since it is published",
                example="C00000001",
                required=True,
            ),
            Column(
                "birth_date",
                DAY,
                "day of birth",
                example="1969-04-18",
                low=EARLIEST,
                high="as_of",
                erased=True,
                without_it="age is not known: minors are not left out of the contact plan",
            ),
            Column(
                "sex",
                TEXT,
                "as registered",
                example="female",
                values=("female", "male"),
                erased=True,
            ),
            Column(
                "district_id",
                TEXT,
                "the district that the customer lives in",
                example="D003",
                references="district",
                without_it="no grid map, and no profit by district",
            ),
            Column(
                "customer_since",
                DAY,
                "first day as a customer of the bank",
                example="2015-02-13",
                low=EARLIEST,
            ),
            Column(
                "occupation",
                TEXT,
                "the bank's own word",
                example="specialist",
                attribute="occupation",
                erased=True,
            ),
            Column(
                "education",
                TEXT,
                "the bank's own word",
                example="university",
                attribute="education",
                erased=True,
            ),
            Column(
                "marital_status",
                TEXT,
                "the bank's own word",
                example="divorced",
                attribute="marital status",
                erased=True,
            ),
            Column(
                "monthly_income",
                MONEY,
                "income known to the bank, before tax",
                example="2450.00",
                unit="the bank's currency a month",
                low="0",
                high=LARGEST,
                attribute="monthly income as declared",
                erased=True,
            ),
            Column(
                "customer_kind",
                TEXT,
                "whether a person, a sole trader, a small business or a larger company",
                example="person",
                values=("person", "sole_trader", "small_business", "corporate"),
                attribute="kind of customer",
                without_it="every customer counts as a person, and there is no profit by kind",
            ),
            Column(
                "industry",
                TEXT,
                "the bank's own word or code for the business; empty for persons",
                example="retail trade",
                attribute="industry of the business",
                erased=True,
            ),
            Column(
                "company_size",
                TEXT,
                "size of the business by the bank's classification; empty for persons",
                example="micro",
                values=("micro", "small", "medium", "large"),
                attribute="size of the business",
                erased=True,
            ),
            Column(
                "is_inclusive_finance",
                FLAG,
                "does the customer count as inclusive finance (普惠) by the bank's classification?",
                example="false",
                attribute="whether the customer counts as inclusive finance",
                erased=True,
            ),
            Column(
                "group_id",
                TEXT,
                "the same for all customers of one group of companies",
                example="G00012",
                attribute="group of companies",
            ),
            Column(
                "household_id",
                TEXT,
                "the same for all who live in one household",
                example="H00000001",
                erased=True,
                without_it="no profit by household, and no limit of contacts a household",
            ),
            Column(
                "employee_id",
                TEXT,
                "the relationship manager; empty where there is none",
                example="E00005",
                references="employee",
                without_it="no customer has a manager, and lists are of branches",
            ),
            Column(
                "marketing_consent",
                FLAG,
                "may the customer be contacted with offers? Unknown is read as no",
                example="true",
                erased=True,
                without_it="nobody may be contacted, so that no plan is made",
            ),
            Column("full_name", TEXT, "name of the person", example="Eva Feld", personal=True),
            Column("phone", TEXT, "telephone number", example="+420 700000005", personal=True),
            Column("email", TEXT, "e-mail address", example="eva.feld@example.org", personal=True),
            Column(
                "national_id",
                TEXT,
                "number of the identity document or register",
                example="19690418/012345",
                personal=True,
            ),
        ),
        meaning="Customers: profile, relationship manager and consent to be contacted.",
        required=True,
        dated_by="customer_since",
    ),
    Table(
        "product",
        ("product_id",),
        (
            Column("product_id", TEXT, "identifies the product", example="SAVINGS", required=True),
            Column(
                "product_name", TEXT, "its name, as customers read it", example="Savings account"
            ),
            Column(
                "product_line",
                TEXT,
                "the line of business that its profit belongs to",
                example="deposits",
                required=True,
                values=PRODUCT_LINES,
            ),
        ),
        meaning="Products of the bank and the business line of each.",
        required=True,
    ),
    Table(
        "account",
        ("account_id",),
        (
            Column(
                "account_id",
                TEXT,
                (
                    "identifies the account; a loan, a card's credit line and a fund deposit "
                    "are accounts too"
                ),
                example="A00000001",
                required=True,
            ),
            Column(
                "product_id",
                TEXT,
                "the product that the account is of",
                example="SAVINGS",
                required=True,
                references="product",
            ),
            Column(
                "branch_id",
                TEXT,
                "the branch that keeps it",
                example="B003",
                references="branch",
                without_it="no profit by branch, and customers without a manager are on one list",
            ),
            Column(
                "opened_on",
                DAY,
                "first day of the account",
                example="2015-02-13",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "closed_on",
                DAY,
                "last day of the account; empty while it is open",
                example="2024-11-30",
                low="opened_on",
                null_after_as_of=True,
            ),
            Column(
                "currency",
                TEXT,
                "the currency that it is kept in; empty is the bank's own",
                example="EUR",
                unit="code of ISO 4217",
                form="[A-Z]{3}",
            ),
            Column(
                "interest_rate",
                RATE,
                "what the customer is paid (deposits) or charged (loans, cards)",
                example="0.025000",
                unit="a year, 0.025 is 2.5 %",
                sign="+ as agreed; - only where depositors pay",
                low="-0.05",
                high="1",
                without_it="interest counts when it is booked, not as it accrues",
            ),
            Column(
                "credit_limit",
                MONEY,
                "how far the account may be drawn",
                example="5000.00",
                unit="the account's currency",
                low="0",
                high=LARGEST,
                without_it="undrawn limits carry no expected loss and no capital charge",
            ),
            Column(
                "term_months",
                WHOLE,
                "agreed term, from opened_on",
                example="24",
                unit="months",
                low="1",
                high="600",
                without_it=(
                    "accounts without matures_on have no term: term deposits and loans are priced "
                    "as if it were unknown, and none matures"
                ),
            ),
            Column(
                "matures_on",
                DAY,
                "end of the agreed term, where it is not opened_on and term_months later",
                example="2026-11-30",
                low="opened_on",
            ),
            Column(
                "priced_on",
                DAY,
                (
                    "day on which the rate in force was agreed, where it is not the opening: a "
                    "conversion or an extension"
                ),
                example="2024-11-30",
                low="opened_on",
                null_after_as_of=True,
            ),
            Column(
                "branch_since",
                DAY,
                (
                    "first day at branch_id of an account that moved, in the extract of the month "
                    "of the move: it splits that month"
                ),
                example="2025-05-16",
                low="opened_on",
                null_after_as_of=True,
            ),
        ),
        meaning="Accounts: product, branch, opening and closing, agreed rate and limit.",
        required=True,
        dated_by="opened_on",
    ),
    Table(
        "account_holder",
        ("account_id", "customer_id"),
        (
            Column(
                "account_id",
                TEXT,
                "the account",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "customer_id",
                TEXT,
                "a person who holds it or may use it",
                example="C00000001",
                required=True,
                references="customer",
            ),
            Column(
                "role",
                TEXT,
                (
                    "owner: the account is the customer's; joint: owned with others, value is "
                    "shared; authorised: may use it and owns nothing of it, value is not "
                    "counted"
                ),
                example="owner",
                required=True,
                values=ROLES,
            ),
        ),
        meaning="Who holds which account: owner, joint owner or authorised person.",
        required=True,
    ),
    Table(
        "account_owner",
        ("account_id", "employee_id", "valid_from"),
        (
            Column(
                "account_id",
                TEXT,
                "the account whose result is credited",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "employee_id",
                TEXT,
                "the employee who is credited",
                example="E00005",
                required=True,
                references="employee",
            ),
            Column(
                "share",
                RATE,
                (
                    "the employee's part of the account's result; the parts in force on a day sum "
                    "to at most 1"
                ),
                example="0.600000",
                unit="share, 0.6 is 60 %",
                sign="above 0",
                required=True,
                low="0.000001",
                high="1",
            ),
            Column(
                "role",
                TEXT,
                "what the credit is for: manager, seller, specialist or another word of the bank's",
                example="manager",
            ),
            Column(
                "valid_from",
                DAY,
                "first day of the credit",
                example="2024-01-01",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "valid_to",
                DAY,
                "last day of the credit; empty while it is in force",
                example="2024-12-31",
                low="valid_from",
                null_after_as_of=True,
            ),
        ),
        meaning="Employees who are credited with the result of an account, with shares and dates.",
        dated_by="valid_from",
        without_it="the whole result is credited to the customer's manager",
        shares_of="account_id",
    ),
    Table(
        "loan",
        ("loan_id",),
        (
            Column("loan_id", TEXT, "identifies the loan", example="L00000138", required=True),
            Column(
                "account_id",
                TEXT,
                "the account that the loan is kept on or paid from",
                example="A00000138",
                required=True,
                references="account",
            ),
            Column(
                "granted_on",
                DAY,
                "day of the contract",
                example="2021-03-14",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "principal",
                MONEY,
                "amount lent",
                example="149700.00",
                unit="the account's currency",
                low="0",
                high=LARGEST,
            ),
            Column(
                "term_months",
                WHOLE,
                "agreed term, from granted_on",
                example="276",
                unit="months",
                low="1",
                high="600",
            ),
            Column(
                "instalment",
                MONEY,
                "amount due each month, interest included",
                example="885.81",
                unit="the account's currency a month",
                low="0",
                high=LARGEST,
            ),
            Column(
                "interest_rate",
                RATE,
                "what the borrower is charged",
                example="0.046700",
                unit="a year, 0.045 is 4.5 %",
                low="0",
                high="1",
            ),
        ),
        meaning="Loans granted: principal, term, instalment and rate.",
        dated_by="granted_on",
        without_it=(
            "loans that no balance shows carry no risk; arrears and defaults are not known, so "
            "that expected loss follows the rating table alone, without early warnings"
        ),
    ),
    Table(
        "card",
        ("card_id",),
        (
            Column(
                "card_id",
                TEXT,
                "identifies the card; no card number",
                example="P00000001",
                required=True,
            ),
            Column(
                "account_id",
                TEXT,
                "the account that its payments are booked on",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "customer_id",
                TEXT,
                "who carries the card",
                example="C00000001",
                references="customer",
            ),
            Column(
                "card_type", TEXT, "debit, credit or another word of the bank's", example="debit"
            ),
            Column(
                "issued_on", DAY, "day of issue", example="2015-02-13", required=True, low=EARLIEST
            ),
        ),
        meaning="Cards issued to customers.",
        dated_by="issued_on",
        without_it="models do not know the number of a customer's bank cards",
    ),
    Table(
        "standing_order",
        ("order_id",),
        (
            Column(
                "order_id",
                TEXT,
                "identifies the standing order",
                example="S00000001",
                required=True,
            ),
            Column(
                "account_id",
                TEXT,
                "the account that pays",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "counterparty_bank",
                TEXT,
                "the receiver's bank, the bank's own code",
                example="NORDBK",
                erased=True,
            ),
            Column(
                "counterparty_account",
                TEXT,
                "the receiver's account",
                example="0000900000",
                erased=True,
            ),
            Column(
                "amount",
                MONEY,
                "amount of each payment",
                example="596.00",
                unit="the account's currency",
                sign="never negative, though it debits the account",
                low="0",
                high=LARGEST,
            ),
            Column(
                "purpose",
                TEXT,
                (
                    "what it pays: rent, household, insurance, loan_repayment or another word "
                    "of the bank's"
                ),
                example="rent",
                erased=True,
            ),
        ),
        meaning="Standing orders of customers to other accounts.",
        without_it="models do not know the number of a customer's standing orders",
    ),
    Table(
        "campaign",
        ("campaign_id",),
        (
            Column("campaign_id", TEXT, "identifies the campaign", example="K0004", required=True),
            Column("campaign_name", TEXT, "its name", example="Term deposit, new year"),
            Column(
                "product_id",
                TEXT,
                "the product that was offered",
                example="TERM06",
                required=True,
                references="product",
            ),
            Column(
                "channel", TEXT, "how customers were contacted", example="online", values=CHANNELS
            ),
            Column(
                "starts_on",
                DAY,
                "first day of the campaign",
                example="2023-12-01",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "ends_on", DAY, "last day of the campaign", example="2023-12-28", low="starts_on"
            ),
            Column(
                "cost_per_contact",
                MONEY,
                "what one contact costs the bank",
                example="0.10",
                unit="the bank's currency",
                low="0",
                high=LARGEST,
            ),
            Column(
                "incentive_cost",
                MONEY,
                "what the bank grants for one acceptance",
                example="15.00",
                unit="the bank's currency",
                low="0",
                high=LARGEST,
            ),
        ),
        meaning="Marketing campaigns: offer, channel, dates and costs.",
        dated_by="starts_on",
        without_it="there is no contact plan, and no campaign is measured or learned from",
    ),
    Table(
        "transaction",
        ("transaction_id",),
        (
            Column(
                "transaction_id",
                TEXT,
                "identifies the booking over all files",
                example="T00000015891",
                required=True,
            ),
            Column(
                "account_id",
                TEXT,
                "the account that it is booked on",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "booked_on",
                DAY,
                "day of the booking",
                example="2025-05-01",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "amount",
                MONEY,
                "what the booking adds to the account's balance",
                example="-30.50",
                unit="the account's currency",
                sign="+ credits the account, - debits it; see the kinds below",
                required=True,
                low=f"-{LARGEST}",
                high=LARGEST,
            ),
            Column(
                "kind",
                TEXT,
                "what the booking is",
                example="card_payment",
                required=True,
                values=KINDS,
            ),
            Column(
                "channel",
                TEXT,
                "how it was made",
                example="card",
                values=CHANNELS,
                without_it="bookings carry no cost, and no customer has a preferred channel",
            ),
            Column(
                "counterparty_bank",
                TEXT,
                "the other side's bank, the bank's own code",
                example="POSTBK",
                erased=True,
            ),
            Column(
                "counterparty_account",
                TEXT,
                "the other side's account",
                example="0000500003",
                erased=True,
            ),
            Column(
                "balance_after",
                MONEY,
                "balance of the account right after this booking: the balance before plus amount",
                example="3229.68",
                unit="the account's currency",
                sign="+ the bank owes the customer, - the customer owes the bank",
                low=f"-{LARGEST}",
                high=LARGEST,
            ),
        ),
        meaning="Every booking on an account: day, amount, kind and channel.",
        required=True,
        event=True,
        dated_by="booked_on",
    ),
    Table(
        "loan_status",
        ("loan_id", "month"),
        (
            Column(
                "loan_id", TEXT, "the loan", example="L00000138", required=True, references="loan"
            ),
            Column(
                "month",
                DAY,
                "the month whose end is described",
                example="2025-05-01",
                required=True,
                low=EARLIEST,
                first_of_month=True,
            ),
            Column(
                "outstanding",
                MONEY,
                "principal still owed at the end of the month",
                example="132581.49",
                unit="the account's currency",
                sign="never negative, though the borrower owes it",
                low="0",
                high=LARGEST,
            ),
            Column(
                "days_past_due",
                WHOLE,
                "days since the oldest unpaid instalment was due; 0 when all is paid",
                example="0",
                unit="days",
                low="0",
                high="36500",
            ),
            Column(
                "defaulted",
                FLAG,
                "is the loan in default by the bank's own rule at the end of the month?",
                example="false",
            ),
        ),
        meaning=(
            "What is owed on each loan at the end of a month, and how many days it is past due."
        ),
        event=True,
        dated_by="month",
        without_it=(
            "arrears and defaults are not known: expected loss follows the rating table alone, "
            "without early warnings"
        ),
    ),
    Table(
        "contact",
        ("contact_id",),
        (
            Column(
                "contact_id", TEXT, "identifies the contact", example="N000000001", required=True
            ),
            Column(
                "campaign_id",
                TEXT,
                "the campaign that it belongs to",
                example="K0004",
                required=True,
                references="campaign",
            ),
            Column(
                "customer_id",
                TEXT,
                "who was contacted, or held out",
                example="C00000012",
                required=True,
                references="customer",
            ),
            Column(
                "contacted_on",
                DAY,
                "day of the contact; of the assignment for the control group",
                example="2023-12-11",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "arm",
                TEXT,
                "treatment: was contacted; control: was chosen likewise and held out on purpose",
                example="treatment",
                required=True,
                values=ARMS,
            ),
            Column(
                "assignment_probability",
                REAL,
                (
                    "probability, known before the draw, of the arm that the customer is in: "
                    "0.7 on a treated row and 0.3 on a control row where 70 of 100 are "
                    "contacted"
                ),
                example="0.7",
                unit="probability",
                low="0",
                high="1",
            ),
            Column(
                "employee_id", TEXT, "who made the contact", example="E00005", references="employee"
            ),
        ),
        meaning="Customers whom a campaign contacted or held out as a control group.",
        event=True,
        dated_by="contacted_on",
        without_it="there is no contact plan, and no campaign is measured or learned from",
    ),
    Table(
        "response",
        ("campaign_id", "customer_id"),
        (
            Column(
                "campaign_id",
                TEXT,
                "the campaign that was answered",
                example="K0004",
                required=True,
                references="campaign",
            ),
            Column(
                "customer_id",
                TEXT,
                "who answered; at most once a campaign, treated or not",
                example="C00000108",
                required=True,
                references="customer",
            ),
            Column(
                "responded_on",
                DAY,
                "day of the answer: the product was taken",
                example="2024-01-30",
                required=True,
                low=EARLIEST,
            ),
            Column(
                "account_id",
                TEXT,
                "the account that was opened by it",
                example="A00000260",
                references="account",
            ),
        ),
        meaning="Customers who took the offer of a campaign, with the day.",
        event=True,
        dated_by="responded_on",
        without_it="there is no contact plan, and no campaign is measured or learned from",
    ),
    Table(
        "interaction",
        ("interaction_id",),
        (
            Column(
                "interaction_id",
                TEXT,
                "identifies the interaction",
                example="I000000190",
                required=True,
            ),
            Column(
                "customer_id",
                TEXT,
                "who turned to the bank, or was met",
                example="C00000040",
                required=True,
                references="customer",
            ),
            Column(
                "occurred_on",
                DAY,
                "day of the interaction",
                example="2025-05-10",
                required=True,
                low=EARLIEST,
            ),
            Column("channel", TEXT, "how it came about", example="telephone", values=CHANNELS),
            Column("topic", TEXT, "what it was about", example="complaint", values=TOPICS),
            Column(
                "sentiment",
                REAL,
                "how the customer felt, as judged by the bank or its software",
                example="-0.18",
                unit="from -1 to 1",
                sign="+ satisfied, - dissatisfied",
                low="-1",
                high="1",
            ),
        ),
        meaning="Inquiries, complaints, appointments and visits of customers.",
        event=True,
        dated_by="occurred_on",
        erased=True,
        without_it="a customer who complained is contacted all the same",
    ),
    Table(
        "account_balance",
        ("account_id", "month"),
        (
            Column(
                "account_id",
                TEXT,
                "the account",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "month",
                DAY,
                "the month whose end is described",
                example="2025-05-01",
                required=True,
                low=EARLIEST,
                first_of_month=True,
            ),
            Column(
                "closing_balance",
                MONEY,
                "balance at the end of the month",
                example="1500.00",
                unit="the account's currency",
                sign="+ the bank owes the customer, - the customer owes the bank",
                required=True,
            ),
            Column(
                "balance_day_sum",
                MONEY,
                "sum over the month's days of the balance at the end of the day",
                example="46500.00",
                unit="the account's currency × days",
                sign="as the balance",
            ),
        ),
        meaning=(
            "Balance of each account at the end of a month, as the core banking system has it. One "
            "row for each account opened before the history, of the month before the first month "
            "of bookings, is enough: it is the opening balance, and later balances follow from "
            "bookings. A row of the first month serves as well. Rows of older months are ignored."
        ),
        event=True,
        dated_by="month",
        without_it=(
            "accounts opened before the history whose bookings carry no balances are not priced "
            "(one row each for the month before the first month of bookings is enough)"
        ),
        opens_history=True,
    ),
    Table(
        "account_result",
        ("account_id", "month", "item"),
        (
            Column(
                "account_id",
                TEXT,
                "the account",
                example="A00000001",
                required=True,
                references="account",
            ),
            Column(
                "month",
                DAY,
                "the month of the result",
                example="2025-05-01",
                required=True,
                low=EARLIEST,
                first_of_month=True,
            ),
            Column(
                "item",
                TEXT,
                "; ".join(
                    f"{item.result_item}: {item.meaning} ({item.effect} {item.measure})"
                    for item in vocabulary.RESULT_ITEMS
                ).replace("(adds ", "(adds to "),
                example="interchange",
                required=True,
                values=RESULT_ITEMS,
            ),
            Column(
                "amount",
                MONEY,
                "the item's amount in the month",
                example="4.20",
                unit="the account's currency",
                sign="income, expense, cost and loss all +",
                required=True,
            ),
        ),
        meaning=(
            "Results by account, month and item that are not bookings, such as "
            "commissions and provisions."
        ),
        event=True,
        dated_by="month",
        without_it="results without a booking, such as interchange and commissions, are missing",
    ),
    Table(
        "fx_rate",
        ("month", "currency"),
        (
            Column(
                "month",
                DAY,
                "the month",
                example="2025-05-01",
                required=True,
                low=EARLIEST,
                first_of_month=True,
            ),
            Column(
                "currency",
                TEXT,
                "a currency other than the bank's own",
                example="USD",
                required=True,
                unit="code of ISO 4217",
                form="[A-Z]{3}",
            ),
            Column(
                "average_rate",
                REAL,
                "mean of the month's days: translates results, bookings and average balances",
                example="0.88672",
                unit="the bank's currency for one unit of the other",
                sign="always positive",
                required=True,
                low="0.00000001",
            ),
            Column(
                "closing_rate",
                REAL,
                "at the end of the month: translates balances",
                example="0.88121",
                unit="the bank's currency for one unit of the other",
                sign="always positive",
                required=True,
                low="0.00000001",
            ),
        ),
        meaning=(
            "Exchange rates by month and currency. The closing rate of the month before the first "
            "month of bookings translates opening balances."
        ),
        event=True,
        dated_by="month",
        opens_history=True,
        without_it="a delivery with accounts in other currencies than the bank's is refused",
    ),
    Table(
        "ledger",
        ("month", "branch_id", "product_line", "ledger_account"),
        (
            Column(
                "month",
                DAY,
                "the month of the totals",
                example="2025-05-01",
                required=True,
                low=EARLIEST,
                first_of_month=True,
            ),
            Column(
                "branch_id", TEXT, "the branch", example="B001", required=True, references="branch"
            ),
            Column(
                "product_line",
                TEXT,
                "the line of business",
                example="deposits",
                required=True,
                values=PRODUCT_LINES,
            ),
            Column(
                "ledger_account",
                TEXT,
                (
                    "interest_income: charged to customers; interest_expense: paid to them; "
                    "fee_income: fees and penalties; customer_balance: balances at the end of "
                    "the month; the items of account_result; operating_cost: cost of the branch "
                    "(cost centre) for the line"
                ),
                example="interest_expense",
                required=True,
                values=LEDGER_ACCOUNTS,
            ),
            Column(
                "amount",
                MONEY,
                "total of the month in the general ledger",
                example="299.07",
                unit="the bank's currency",
                sign=(
                    "income, expense and cost all +; balances + where the bank owes customers, - "
                    "where they owe it"
                ),
                required=True,
            ),
        ),
        meaning="The general ledger by month, branch, business line and account.",
        event=True,
        dated_by="month",
        without_it="profit is compared with the totals of the delivery, not with the ledger",
    ),
    Table(
        "adjustment",
        ("adjustment_id",),
        (
            Column(
                "adjustment_id", TEXT, "identifies the adjustment", example="J00001", required=True
            ),
            Column(
                "month",
                DAY,
                "the month whose ledger it explains",
                example="2025-03-01",
                required=True,
                low=EARLIEST,
                first_of_month=True,
            ),
            Column(
                "branch_id", TEXT, "the branch", example="B001", required=True, references="branch"
            ),
            Column(
                "product_line",
                TEXT,
                "the line of business",
                example="deposits",
                required=True,
                values=PRODUCT_LINES,
            ),
            Column(
                "item",
                TEXT,
                "the ledger account that is adjusted",
                example="fee_income",
                required=True,
                values=LEDGER_ACCOUNTS,
            ),
            Column(
                "amount",
                MONEY,
                "what the ledger has and no account: the ledger less the accounts",
                example="120.00",
                unit="the bank's currency",
                sign="as in the ledger",
                required=True,
            ),
            Column(
                "reason",
                TEXT,
                "why; no name or other personal data, since it is published",
                example="rent of safe deposit boxes, booked without accounts",
                required=True,
            ),
            Column(
                "maker",
                TEXT,
                "code of the employee who made it; no name, since it is published",
                example="F0012",
                required=True,
            ),
            Column(
                "checker",
                TEXT,
                "code of the employee who approved it; no name, since it is published",
                example="F0007",
                required=True,
                other_person_than="maker",
            ),
        ),
        meaning=(
            "Differences between ledger and accounts that the bank explains, "
            "checked by a second person."
        ),
        event=True,
        dated_by="month",
        without_it="differences from the general ledger stand without an explanation",
    ),
)

# What a bank gains most from by delivering it, first: losses and balances move the profit of every
# customer; campaigns decide whom to contact; managers and consent who may be; the rest is detail.
# A line holds what is of use together; the first has the words for all of it.
GAINS: tuple[tuple[str, ...], ...] = (
    ("loan", "loan_status"),
    ("account_balance",),
    ("account.interest_rate",),
    ("campaign", "contact", "response"),
    ("customer.marketing_consent",),
    ("customer.employee_id",),
    ("account.term_months",),
    ("transaction.channel",),
    ("account.branch_id", "branch"),
    ("customer.district_id", "district"),
    ("ledger",),
    ("account_result",),
    ("customer.birth_date",),
    ("interaction",),
    ("account.credit_limit",),
    ("customer.customer_kind",),
    ("customer.household_id",),
    ("account_owner",),
    ("adjustment",),
    ("card",),
    ("standing_order",),
    ("employee",),
    ("fx_rate",),
)

BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
# Of each table the columns without which a capability is missing.
WANTED: dict[str, tuple[str, ...]] = {
    table.name: tuple(column.name for column in table.columns if column.without_it)
    for table in TABLES
}
EVENTS: tuple[str, ...] = tuple(table.name for table in TABLES if table.event)
MASTERS: tuple[str, ...] = tuple(table.name for table in TABLES if not table.event)


def loss_of(name: str) -> str:
    """What follows where a table (`loan`) or a column (`customer.employee_id`) is not delivered."""
    table, _, column = name.partition(".")
    return BY_NAME[table].column(column).without_it if column else BY_NAME[table].without_it
