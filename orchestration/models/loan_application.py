"""Loan applications of the Berka data: what the bank knew of each on the day before the loan.

One row a loan, summed up by the engine straight from the raw files, which a refresh does not read
(`trans_before_loan.asc` is a selected sample, no bank's history). Sums are taken in whole hellers:
integers add up to the same whatever the order of the rows, so that features are the same to the
last bit as long as the rows before the loan are the same.

Not read, since the files do not date them: standing orders (`order.asc`, which
holds the repayment of the loan itself) and, unless asked for, authorised users (`disp.asc`). Not
read since they come after the loan: its status and its repayments. Sex is no feature of any model.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from ml.hazard import DiscreteTimeHazard
from sources.delimited import DelimitedReader

DELIMITER = ";"
BOOKINGS = "trans_before_loan"
HEADERS: dict[str, tuple[str, ...]] = {
    "account": ("account_id", "district_id", "frequency", "date"),
    "client": ("client_id", "birth_number", "district_id"),
    "disp": ("disp_id", "client_id", "account_id", "type"),
    "district": tuple(f"a{number}" for number in range(1, 17)),
    "trans": (
        "trans_id",
        "account_id",
        "date",
        "type",
        "operation",
        "amount",
        "balance",
        "k_symbol",
        "bank",
        "account",
    ),
    "card": ("card_id", "disp_id", "type", "issued"),
    "loan": ("loan_id", "account_id", "date", "amount", "duration", "payments", "status"),
}
# Days before the loan over which balances and flows are summed up.
WINDOWS = (30, 90, 180)
# Spread and trend of a month hold little but the day on which the salary comes.
LONG_WINDOWS = (90, 180)
# The half year of income is six of these.
PERIOD_DAYS = 30
PERIODS = 6
DEFAULTED = {"A": False, "B": True, "C": False, "D": True}
FINISHED = ("A", "B")


def text(column: str) -> str:
    """The value, NULL if it is blank (k_symbol may be one space) or `?`."""
    return f"nullif(nullif(trim({column}), ''), '?')"


def iso_date(column: str) -> str:
    """YYMMDD, optionally with a time, as 19YY-MM-DD; anything else unchanged."""
    return (
        f"case when regexp_full_match({column}, '[0-9]{{6}}( 00:00:00)?') then "
        f"'19' || {column}[1:2] || '-' || {column}[3:4] || '-' || {column}[5:6] "
        f"else {column} end"
    )


class _RawFiles:
    """The files of one folder as relations of text; keeps the reader's copies while in use."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._reader = DelimitedReader(DELIMITER)

    def __getitem__(self, name: str) -> str:
        path = self._folder / f"{name}.asc"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing. Put it beside the other .asc files.")
        relation = f"({self._reader.relation(self._connection, path)})"
        described = self._connection.execute(f"describe {relation}").fetchall()
        header = {column.lower() for column, *_ in described}
        wanted = HEADERS["trans" if name == BOOKINGS else name]
        if missing := [column for column in wanted if column not in header]:
            raise ValueError(f"{path} has no column {', '.join(missing)}. Use the original file.")
        broken = self._connection.execute(
            f"select _row, _malformed from {relation} where _malformed is not null "
            "order by _row limit 1"
        ).fetchone()
        if broken is not None:
            raise ValueError(f"{path}, data row {broken[0]}: {broken[1]}")
        return relation


def _day(column: str) -> str:
    return f"({iso_date(column)})::date"


def _hellers(column: str) -> str:
    return f"({text(column)}::decimal(18, 2) * 100)::bigint"


def _balance_columns(days: int) -> str:
    """Mean, least, spread and trend (crowns in 30 days) of the balances at the ends of days.

    From integer sums, so that the order in which they are added does not matter.
    """
    inside = f"filter (where days_before <= {days})"
    columns = f"""
            avg(balance) {inside} / 100 as balance_mean_{days}d,
            min(balance) {inside} / 100 as balance_min_{days}d,"""
    if days in LONG_WINDOWS:
        n, b = f"count(*) {inside}", f"sum(balance) {inside}"
        t = f"sum(-days_before) {inside}"
        columns += f"""
            sqrt(
                ({n} * (sum(balance::hugeint * balance) {inside}) - {b} * {b})::double
                / nullif({n} * ({n} - 1), 0)
            ) / 100 as balance_std_{days}d,
            {PERIOD_DAYS} * ({n} * (sum(-days_before * balance) {inside}) - {t} * {b})::double
                / nullif({n} * (sum(days_before * days_before) {inside}) - {t} * {t}, 0) / 100
                as balance_trend_{days}d,"""
    return columns


def _flow_columns(days: int) -> str:
    """Crowns in and out in 30 days; an account younger than the window has fewer of them."""
    inside = f"booking.days_before <= {days}"
    per_period = f"* {PERIOD_DAYS} / least({days}, account_age_days) / 100"
    return f"""
            coalesce(sum(inflow) filter (where {inside}), 0)::double {per_period} as inflow_{days}d,
            coalesce(sum(outflow) filter (where {inside}), 0)::double {per_period}
                as outflow_{days}d,"""


def _sql(raw: _RawFiles, with_authorised_users: bool) -> str:
    per_period = f"* {PERIOD_DAYS} / account_age_days / 100"
    users = (
        "(select count(*) from disp where disp.account_id = application.account_id "
        "and disp.type = 'DISPONENT') as authorised_users,"
        if with_authorised_users
        else ""
    )
    return f"""
    with application as (
        select
            loan.loan_id,
            loan.account_id,
            {_day("loan.date")} as granted_on,
            {_hellers("loan.amount")} as principal,
            loan.duration::bigint as term_months,
            account.district_id,
            account.frequency as statement_frequency,
            {_day("account.date")} as opened_on,
            granted_on - opened_on as account_age_days
        from {raw["loan"]} as loan
        left join {raw["account"]} as account on account.account_id = loan.account_id
    ),

    disp as (from {raw["disp"]}),

    booking as (
        select
            application.loan_id,
            granted_on - {_day("trans.date")} as days_before,
            account_age_days,
            {text("trans.operation")} as made_by,
            {text("trans.k_symbol")} as symbol,
            {_hellers("trans.amount")} as hellers,
            case when trans.type = 'PRIJEM' then hellers else 0 end as credit,
            case when trans.type = 'PRIJEM' then 0 else hellers end as outflow,
            case when symbol = 'UROK' then 0 else credit end as inflow
        from {raw[BOOKINGS]} as trans
        join application on application.account_id = trans.account_id
        where {_day("trans.date")} < granted_on
    ),

    day as (
        select
            loan_id,
            unnest(range(1, account_age_days + 1)) as days_before
        from application
    ),

    movement as (
        select loan_id, days_before, sum(credit - outflow) as net
        from booking
        group by all
    ),

    balance_at_end_of_day as (
        select
            loan_id,
            days_before,
            sum(coalesce(net, 0)) over (
                partition by loan_id order by days_before desc
            )::bigint as balance
        from day
        left join movement using (loan_id, days_before)
    ),

    balance as (
        select
            loan_id,
            {"".join(_balance_columns(days) for days in WINDOWS)}
            max(balance) filter (where days_before = 1) / 100 as balance_last,
            avg(balance) / 100 as balance_mean,
            min(balance) / 100 as balance_min,
            max(balance) / 100 as balance_max,
            least(min(balance), 0) / 100 as overdrawn_most,
            count(*) filter (where balance < 0) as overdrawn_days,
            count(*) filter (where balance < 100000)::double / count(*) as share_of_days_below_1000
        from balance_at_end_of_day
        group by loan_id
    ),

    flow as (
        select
            loan_id,
            {"".join(_flow_columns(days) for days in WINDOWS)}
            sum(inflow)::double {per_period} as inflow,
            sum(outflow)::double {per_period} as outflow,
            count(*)::double * {PERIOD_DAYS} / account_age_days as bookings,
            min(days_before) as days_since_booking,
            max(inflow) / 100 as largest_credit,
            sum(inflow) filter (where made_by = 'VKLAD')::double / nullif(sum(inflow), 0)
                as cash_share_of_inflow,
            sum(outflow) filter (where made_by = 'VYBER')::double / nullif(sum(outflow), 0)
                as cash_share_of_outflow,
            coalesce(sum(outflow) filter (where symbol = 'SIPO'), 0)::double {per_period}
                as household_payments,
            coalesce(sum(outflow) filter (where symbol = 'POJISTNE'), 0)::double {per_period}
                as insurance_premiums,
            coalesce(
                sum(outflow) filter (where made_by = 'PREVOD NA UCET' and symbol is null), 0
            )::double {per_period} as other_transfers_out,
            coalesce(sum(inflow) filter (where made_by = 'PREVOD Z UCTU'), 0)::double
                {per_period} as transfers_in,
            count(*) filter (where symbol = 'SANKC. UROK') as penalty_interest_bookings,
            coalesce(sum(outflow) filter (where symbol = 'SANKC. UROK'), 0)::double / 100
                as penalty_interest
        from booking
        group by loan_id, account_age_days
    ),

    income_of_period as (
        select
            loan_id,
            (days_before - 1) // {PERIOD_DAYS} as period,
            coalesce(sum(inflow), 0)::bigint as income
        from day
        left join booking using (loan_id, days_before)
        where days_before <= {PERIODS * PERIOD_DAYS}
        group by all
        -- A period that began before the account would look like one of little income.
        having count(distinct days_before) = {PERIOD_DAYS}
    ),

    income as (
        select
            loan_id,
            median(income) / 100 as income_median,
            min(income) / 100 as income_least,
            count(*) filter (where income = 0)::double / count(*)
                as share_of_periods_without_income,
            sqrt(
                (count(*) * sum(income::hugeint * income) - sum(income) * sum(income))::double
                / nullif(count(*) * (count(*) - 1), 0)
            ) / nullif(avg(income), 0) as income_variation
        from income_of_period
        group by loan_id
    ),

    owner as (
        select
            disp.account_id,
            min(
                make_date(
                    1900 + birth_number[1:2]::integer,
                    birth_number[3:4]::integer % 50,
                    birth_number[5:6]::integer
                )
            ) as born_on
        from disp
        join {raw["client"]} as client on client.client_id = disp.client_id
        where disp.type = 'OWNER'
        group by disp.account_id
    ),

    card as (
        select disp.account_id, {_day("card.issued")} as issued_on
        from {raw["card"]} as card
        join disp on disp.disp_id = card.disp_id
    )

    select
        application.loan_id,
        principal / 100 as principal,
        term_months,
        principal / 100 / term_months as instalment,
        account_age_days,
        statement_frequency,
        (granted_on - owner.born_on) / 365.25 as owner_age,
        {users}
        (
            select count(*) from card
            where card.account_id = application.account_id and issued_on < granted_on
        ) as cards,
        {text("district.a4")}::double as district_population,
        {text("district.a10")}::double as district_urban_share,
        {text("district.a11")}::double as district_average_salary,
        {text("district.a14")}::double as district_entrepreneurs,
        -- The rates of a year are known once it is over: before 1996 the data hold none.
        case
            when granted_on >= date '1997-01-01' then {text("district.a13")}::double
            when granted_on >= date '1996-01-01' then {text("district.a12")}::double
        end as district_unemployment,
        1000 * case
            when granted_on >= date '1997-01-01' then {text("district.a16")}::double
            when granted_on >= date '1996-01-01' then {text("district.a15")}::double
        end / {text("district.a4")}::double as district_crimes,
        balance.* exclude (loan_id),
        flow.* exclude (loan_id),
        income.* exclude (loan_id),
        -- As shares of the sum of both: ratios without bounds where income or balance is next to
        -- nothing would be outliers to a linear model, and missing where they matter most.
        instalment / (instalment + coalesce(income_median, 0)) as instalment_beside_income,
        instalment / (instalment + coalesce(inflow_180d, 0)) as instalment_beside_inflow,
        instalment / (instalment + greatest(balance_mean_90d, 0)) as instalment_beside_balance,
        (inflow_180d - outflow_180d) / instalment as surplus_to_instalment,
        balance_min_90d / instalment as least_balance_to_instalment,
        household_payments / nullif(inflow, 0) as household_share_of_inflow
    from application
    left join owner on owner.account_id = application.account_id
    left join {raw["district"]} as district on district.a1 = application.district_id
    left join balance on balance.loan_id = application.loan_id
    left join flow on flow.loan_id = application.loan_id
    left join income on income.loan_id = application.loan_id
    order by application.loan_id
    """


def loan_applications(
    connection: duckdb.DuckDBPyConnection, folder: Path, *, with_authorised_users: bool = False
) -> pd.DataFrame:
    """Features of each loan from what was dated before its day.

    Bookings are used when booked before the day of the loan, cards when issued before it, district
    rates when their year was over. Balances are the bank's own at the ends of days, rebuilt from
    the bookings since the account was opened (the data do not order the bookings of a day).
    The instalment is principal over term, as agreed: the column `payments` is not read.

    Parameters
    ----------
    connection : open connection; nothing is left in it
    folder : with loan, account, client, disp, card, district and trans_before_loan (`.asc`)
    with_authorised_users : also count the account's authorised users. They have no date: some may
        have been added after the loan.

    Returns
    -------
    frame of shape (loans, features), indexed and ordered by loan_id (text). Money in crowns; flows
    in crowns in 30 days; shares and ratios without unit; ages in the unit they name (owner_age in
    years). Missing where nothing is known, such as the spread of income within two months of
    opening, or unemployment before 1996.

    Raises
    ------
    FileNotFoundError
        For a file that is not there.
    ValueError
        For a missing column, a row that cannot be split, or a loan granted on or before the day its
        account was opened.
    duckdb.ConversionException
        For a date or number that cannot be read.
    """
    raw = _RawFiles(connection, folder)
    found = connection.execute(_sql(raw, with_authorised_users)).df().set_index("loan_id")
    without = found.index[~(found["account_age_days"] > 0)]
    if len(without):
        raise ValueError(
            f"loan {without[0]} and {len(without) - 1} more are invalid: expected an account "
            "opened before the loan, since an application is scored from the account's history"
        )
    return found


def loan_outcomes(connection: duckdb.DuckDBPyConnection, folder: Path) -> pd.DataFrame:
    """How each loan went by the end of 1998, for learning and judging, never for features.

    Returns
    -------
    frame indexed and ordered by loan_id: defaulted (bool; status B, finished unpaid, or D, running
    in debt), finished (bool; A or B), granted_on (datetime)

    Raises
    ------
    ValueError
        For a status other than A, B, C or D, which the message lists.
    """
    found = connection.execute(
        f"""
        select loan_id, status, {_day("date")} as granted_on
        from {_RawFiles(connection, folder)["loan"]}
        order by loan_id
        """
    ).df()
    unknown = sorted(set(found["status"].fillna("(none)")) - set(DEFAULTED))
    if unknown:
        raise ValueError(
            f"loan.asc, status is invalid: expected A, B, C or D, found {', '.join(unknown)}"
        )
    return pd.DataFrame(
        {
            "defaulted": found["status"].map(DEFAULTED).astype(bool).to_numpy(),
            "finished": found["status"].isin(FINISHED).to_numpy(),
            "granted_on": found["granted_on"].to_numpy(),
        },
        index=pd.Index(found["loan_id"], name="loan_id"),
    )


def application_scorer(seed: int = 0) -> DiscreteTimeHazard:
    """The learner of default within the term of a loan, for some hundreds of loans.

    One period, since the files record how a loan went, not when it failed: fit it with a time of 1
    for each loan. The defaults of the learner suit tens of thousands of rows and find little in
    tens of events; here the trees are smaller and slower, leaves may hold fifteen loans, and there
    are five folds.
    """
    return DiscreteTimeHazard(
        seed=seed,
        periods=1,
        trees=100,
        leaves=4,
        least_leaf=15,
        rate=0.05,
        penalty=5.0,
        folds=5,
    )
