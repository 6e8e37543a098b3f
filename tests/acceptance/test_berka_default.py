"""Loan default from the application: on real loans, and from nothing dated after them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from ml.evaluation.metrics import Comparison, auc, brier, compare, expected_calibration_error
from orchestration.models.loan_application import (
    BOOKINGS,
    application_scorer,
    loan_applications,
    loan_outcomes,
)
from tests.conftest import real_data

pytestmark = pytest.mark.slow

FILES = ("loan", "account", "client", "disp", "card", "district", BOOKINGS)
FOLDS, REPEATS = 5, 5
# No account with a loan is younger than 102 days.
MOVED_BACK = timedelta(days=60)
Rows = list[list[str]]
Predict = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_data("berka")


@pytest.fixture(scope="module")
def applications(connection, folder):
    return loan_applications(connection, folder)


@pytest.fixture(scope="module")
def outcomes(connection, folder):
    return loan_outcomes(connection, folder)


# --- The raw files as lists of fields, to change rows in them; read by nothing of the project.


@dataclass
class Raw:
    """Header and rows of each file, fields as they stand there, quotes and all."""

    headers: dict[str, str]
    rows: dict[str, Rows]

    def written(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.rows.items():
            text = "\r\n".join([self.headers[name], *(";".join(row) for row in rows), ""])
            (folder / f"{name}.asc").write_text(text, newline="")
        return folder

    def granted(self) -> dict[str, date]:
        return {account: day(on) for _, account, on, *_ in self.rows["loan"]}


@pytest.fixture
def raw(folder) -> Raw:
    lines = {name: (folder / f"{name}.asc").read_text().splitlines() for name in FILES}
    return Raw(
        {name: found[0] for name, found in lines.items()},
        {name: [line.split(";") for line in found[1:]] for name, found in lines.items()},
    )


def day(text: str) -> date:
    return datetime.strptime("19" + text.strip('"')[:6], "%Y%m%d").date()


def yymmdd(on: date) -> str:
    return on.strftime("%y%m%d")


def moved_back(raw: Raw) -> Raw:
    """Each loan two months earlier, so that real bookings and cards come after it."""
    for row in raw.rows["loan"]:
        row[2] = yymmdd(day(row[2]) - MOVED_BACK)
    return raw


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def changed(found: pd.DataFrame, before: pd.DataFrame) -> set[str]:
    """The loans with any feature that is not the same."""
    assert list(found.index) == list(before.index)
    differs = (found != before) & ~(found.isna() & before.isna())
    return set(found.index[differs.any(axis=1)])


# --- Point in time


@pytest.mark.parametrize("seed", range(4))
def test_nothing_dated_on_or_after_the_loan_changes_a_feature(connection, raw, tmp_path, seed):
    moved_back(raw)
    before = loan_applications(connection, raw.written(tmp_path / "before"))
    generator = random.Random(seed)
    granted = raw.granted()

    def later(row: list[str], on: date) -> list[str]:
        """A booking of the same account from the loan's day on, the rest of it anything."""
        at = granted[row[1]] + timedelta(days=generator.choice((0, 0, 1, 45)))
        return [
            str(generator.randrange(10**8, 10**9)),
            row[1],
            yymmdd(max(at, on) if generator.random() < 0.5 else at),
            generator.choice(('"PRIJEM"', '"VYDAJ"', '"VYBER"')),
            generator.choice(('"VKLAD"', '"VYBER"', '"PREVOD NA UCET"', "")),
            f"{generator.uniform(0, 1e6):.2f}",
            f"{generator.uniform(-1e6, 1e6):.2f}",
            generator.choice(('"SANKC. UROK"', '"UVER"', '"SIPO"', '" "', '"UROK"')),
            "",
            "",
        ]

    bookings, touched = [], 0
    for row in raw.rows[BOOKINGS]:
        if (on := day(row[2])) < granted[row[1]]:
            bookings.append(row)
            continue
        touched += 1
        what = generator.choice(("deleted", "changed", "kept and one more"))
        if what == "kept and one more":
            bookings.append(row)
        if what != "deleted":
            bookings.append(later(row, on))
    generator.shuffle(bookings)
    assert touched > 5000
    raw.rows[BOOKINGS] = bookings

    account_of = {disp: account for disp, _, account, _ in raw.rows["disp"]}
    cards, cards_touched = [], 0
    for card, disp, kind, issued in raw.rows["card"]:
        loan_day = granted.get(account_of[disp])
        if loan_day is None or day(issued) < loan_day:
            cards.append([card, disp, kind, issued])
            continue
        cards_touched += 1
        if generator.random() < 0.5:
            cards.append([card, disp, '"gold"', f"{yymmdd(loan_day)} 00:00:00"])
    assert cards_touched > 100
    cards += [
        [str(90_000 + number), disp, '"junior"', f"{yymmdd(granted[account])} 00:00:00"]
        for number, (disp, _, account, _) in enumerate(raw.rows["disp"])
        if account in granted and generator.random() < 0.3
    ]
    generator.shuffle(cards)
    raw.rows["card"] = cards
    for name in ("loan", "account", "client", "disp", "district"):
        generator.shuffle(raw.rows[name])
    same(loan_applications(connection, raw.written(tmp_path / "after")), before)


def test_a_huge_booking_counts_from_the_day_before_the_loan_and_not_on_its_day(
    connection, raw, applications, tmp_path
):
    loans = raw.rows["loan"][::7]
    original = list(raw.rows[BOOKINGS])
    for days_before, wanted in ((-1, set()), (0, set()), (1, {row[0] for row in loans})):
        raw.rows[BOOKINGS] = original + [
            [
                str(10**9 + number),
                account,
                yymmdd(day(on) - timedelta(days=days_before)),
                '"PRIJEM"',
                '"VKLAD"',
                "99999999.00",
                "99999999.00",
                '" "',
                "",
                "",
            ]
            for number, (_, account, on, *_) in enumerate(loans)
        ]
        found = loan_applications(connection, raw.written(tmp_path / str(days_before)))
        assert changed(found, applications) == wanted


@pytest.mark.parametrize("what", ["deleted", "dearer by a crown", "made penalty interest"])
def test_an_earlier_booking_changes_the_features_of_its_loan_alone(
    connection, raw, applications, tmp_path, what
):
    loan_of = {account: loan for loan, account, *_ in raw.rows["loan"]}
    last = {
        row[1]: row for row in raw.rows[BOOKINGS] if row[3] == '"VYDAJ"' and "SANKC" not in row[7]
    }
    chosen = [last[account] for account in sorted(last)[::11]]
    assert len(chosen) > 50
    if what == "deleted":
        raw.rows[BOOKINGS] = [row for row in raw.rows[BOOKINGS] if row not in chosen]
    for row in chosen:
        if what == "dearer by a crown":
            row[5] = f"{float(row[5]) + 1:.2f}"
        if what == "made penalty interest":
            row[7] = '"SANKC. UROK"'
    found = loan_applications(connection, raw.written(tmp_path))
    assert changed(found, applications) == {loan_of[row[1]] for row in chosen}


def test_a_card_counts_when_issued_before_the_day_of_the_loan(
    connection, raw, applications, tmp_path
):
    owner = {account: disp for disp, _, account, kind in raw.rows["disp"] if kind == '"OWNER"'}
    loans = raw.rows["loan"][:40]
    for number, (_, account, on, *_) in enumerate(loans):
        at = day(on) - timedelta(days=number % 2)
        raw.rows["card"].append(
            [str(90_000 + number), owner[account], '"classic"', f"{yymmdd(at)} 00:00:00"]
        )
    found = loan_applications(connection, raw.written(tmp_path))
    assert changed(found, applications) == {row[0] for row in loans[1::2]}
    more = found["cards"] - applications["cards"]
    assert set(more.index[more == 1]) == {row[0] for row in loans[1::2]} and more.sum() == 20


def test_the_outcome_and_instalment_of_loans_are_in_no_feature(
    connection, raw, applications, outcomes, tmp_path
):
    for row in raw.rows["loan"]:
        row[5], row[6] = "1.00", {'"A"': '"D"', '"B"': '"C"'}.get(row[6], '"B"')
    copy = raw.written(tmp_path)
    assert (loan_outcomes(connection, copy)["defaulted"] != outcomes["defaulted"]).sum() > 600
    same(loan_applications(connection, copy), applications)


def test_other_loans_are_in_no_feature(connection, raw, applications, tmp_path):
    kept = raw.rows["loan"][::3]
    raw.rows["loan"] = list(kept)
    found = loan_applications(connection, raw.written(tmp_path))
    assert len(found) == len(kept)
    same(found, applications.loc[found.index])


# --- Features by a second implementation


def test_features_are_those_of_plain_python_over_the_raw_rows(raw, applications):
    granted, bookings = raw.granted(), {}
    for row in raw.rows[BOOKINGS]:
        bookings.setdefault(row[1], []).append(row)
    opened = {row[0]: day(row[3]) for row in raw.rows["account"]}
    born = {row[0]: row[1].strip('"') for row in raw.rows["client"]}
    owner = {row[2]: row[1] for row in raw.rows["disp"] if row[3] == '"OWNER"'}
    for loan, account, _, amount, duration, *_ in raw.rows["loan"][::9]:
        net: dict[int, float] = {}
        inflow, penalty, cash, out = 0.0, 0, 0.0, 0.0
        by_period: dict[int, float] = {}
        for _, _, on, kind, how, sum_text, _, symbol, *_ in bookings[account]:
            before, money = (granted[account] - day(on)).days, float(sum_text)
            net[before] = net.get(before, 0) + (money if kind == '"PRIJEM"' else -money)
            if kind == '"PRIJEM"' and symbol != '"UROK"':
                if before <= 180:
                    inflow += money
                period = (before - 1) // 30
                by_period[period] = by_period.get(period, 0) + money
            if kind != '"PRIJEM"':
                out += money
                cash += money if how == '"VYBER"' else 0
            penalty += symbol == '"SANKC. UROK"'
        age = (granted[account] - opened[account]).days
        balance, at_end = 0.0, {}
        for before in range(age, 0, -1):
            balance += net.get(before, 0)
            at_end[before] = balance
        incomes = [by_period.get(period, 0) for period in range(min(6, age // 30))]
        quarter = np.array([at_end[before] for before in range(min(age, 90), 0, -1)])
        half = [at_end[before] for before in range(min(age, 180), 0, -1)]
        number = born[owner[account]]
        birthday = date(1900 + int(number[:2]), int(number[2:4]) % 50, int(number[4:]))
        slope = np.polyfit(np.arange(len(quarter)), quarter, 1)[0]
        instalment = float(amount) / float(duration)
        wanted = {
            "principal": float(amount),
            "instalment": instalment,
            "account_age_days": age,
            "owner_age": (granted[account] - birthday).days / 365.25,
            "balance_last": at_end[1],
            "balance_min_180d": min(half),
            "balance_min": min(at_end.values()),
            "overdrawn_days": sum(round(value, 2) < 0 for value in at_end.values()),
            "balance_mean_90d": quarter.mean(),
            "balance_std_90d": quarter.std(ddof=1),
            "balance_trend_90d": 30 * slope,
            "inflow_180d": inflow * 30 / min(age, 180),
            "penalty_interest_bookings": penalty,
            "cash_share_of_outflow": cash / out if out else np.nan,
            "income_median": np.median(incomes),
            "income_least": min(incomes),
            "income_variation": np.std(incomes, ddof=1) / np.mean(incomes)
            if len(incomes) > 1 and sum(incomes)
            else np.nan,
            "instalment_beside_income": instalment / (instalment + np.median(incomes)),
        }
        found = applications.loc[loan, list(wanted)].to_numpy(dtype=float)
        np.testing.assert_allclose(found, list(wanted.values()), rtol=1e-7, atol=1e-6)


def test_district_rates_are_of_the_newest_year_that_was_over(raw, applications):
    district = {row[0]: row for row in raw.rows["district"]}
    account = {row[0]: district[row[1]] for row in raw.rows["account"]}
    known = 0
    for loan, number, on, *_ in raw.rows["loan"]:
        place = {1993: None, 1994: None, 1995: None, 1996: 11}.get(day(on).year, 12)
        found = applications.loc[loan, "district_unemployment"]
        if place is None or account[number][place] == "?":
            assert np.isnan(found)
        else:
            known += 1
            assert found == float(account[number][place])
    assert known > 400


# --- Faults


def test_every_loan_has_one_row_and_one_outcome(raw, applications, outcomes):
    loans = sorted(row[0] for row in raw.rows["loan"])
    assert list(applications.index) == list(outcomes.index) == loans
    bad = {row[0] for row in raw.rows["loan"] if row[6] in ('"B"', '"D"')}
    assert set(outcomes.index[outcomes["defaulted"]]) == bad


def test_unusable_files_are_named(connection, raw, tmp_path):
    copy = raw.written(tmp_path / "without")
    (copy / "card.asc").unlink()
    with pytest.raises(FileNotFoundError, match="card.asc"):
        loan_applications(connection, copy)
    raw.rows["loan"][5][6] = '"X"'
    with pytest.raises(ValueError, match="X"):
        loan_outcomes(connection, raw.written(tmp_path / "status"))
    raw.rows["loan"][5][2] = "920101"
    with pytest.raises(ValueError, match=raw.rows["loan"][5][0]):
        loan_applications(connection, raw.written(tmp_path / "early"))


# --- How good


def boosted(train: pd.DataFrame, y: np.ndarray, held: pd.DataFrame) -> np.ndarray:
    return application_scorer().fit(train, np.ones(len(y)), y).probability(held)


def logistic(
    train: pd.DataFrame, y: np.ndarray, held: pd.DataFrame, inverse_penalty: float = 1.0
) -> np.ndarray:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(C=inverse_penalty, max_iter=5000))
    return model.fit(train, y).predict_proba(held)[:, 1]


def shrunk_logistic(train: pd.DataFrame, y: np.ndarray, held: pd.DataFrame) -> np.ndarray:
    """With ten times the usual penalty: sixty features are many for 76 defaults."""
    return logistic(train, y, held, inverse_penalty=0.1)


def least_balance(train: pd.DataFrame, y: np.ndarray, held: pd.DataFrame) -> np.ndarray:
    """The rule: the lower the balance once fell in half a year, the worse."""
    return -held["balance_min_180d"].to_numpy(dtype=float)


def out_of_fold(
    predict: Predict, frame: pd.DataFrame, y: np.ndarray, repeats: int = REPEATS
) -> np.ndarray:
    """Predictions of models that have not seen the loan, shape (n, repeats)."""
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=0)
    found = np.full((len(y), repeats), np.nan)
    for number, (seen, held) in enumerate(splits.split(frame, y)):
        found[held, number // FOLDS] = predict(frame.iloc[seen], y[seen], frame.iloc[held])
    assert np.isfinite(found).all()
    return found


def judged(y: np.ndarray, own: np.ndarray, other: np.ndarray) -> dict[str, Comparison]:
    """Each measure as its mean over the repeats, loans resampled in pairs.

    Averaging the predictions instead would judge five models at once, which nobody would run.
    """
    both = np.concatenate([own, other])

    def mean_of(metric: Callable[[np.ndarray, np.ndarray], float]):
        def over_repeats(outcome: np.ndarray, place: np.ndarray) -> float:
            return float(np.mean([metric(outcome, p) for p in both[place.astype(int)].T]))

        return over_repeats

    places = np.arange(len(y), dtype=float)
    metrics = {
        "AUC": mean_of(auc),
        "Brier": mean_of(brier),
        "calibration error": mean_of(expected_calibration_error),
    }
    return compare(metrics, y, places, places + len(y), seed=0, rounds=300)


def shown(title: str, found: dict[str, Comparison], *names: str) -> None:
    """The figures of docs/credit.md: `pytest -s` shows them."""
    print(f"\n{title}")
    for name in names or found:
        one = found[name]
        print(
            f"  {name}: "
            + "; ".join(
                f"{which} {e.value:.4f} [{e.low:.4f}, {e.high:.4f}]"
                for which, e in (
                    ("ours", one.score),
                    ("other", one.other),
                    ("difference", one.difference),
                )
            )
        )


@pytest.fixture(scope="module")
def predictions(applications, outcomes):
    """Out-of-fold of each model over all 682 loans."""
    y = outcomes["defaulted"].to_numpy(dtype=float)
    return y, {
        model.__name__: out_of_fold(model, applications, y)
        for model in (boosted, logistic, shrunk_logistic, least_balance)
    }


@pytest.mark.parametrize("baseline", ["logistic", "shrunk_logistic"])
def test_default_is_predicted_no_worse_than_by_a_logistic_regression(
    predictions, outcomes, baseline
):
    y, by_model = predictions
    assert len(y) == 682 and y.sum() == 76
    found = judged(y, by_model["boosted"], by_model[baseline])
    shown(f"all 682 loans, beside {baseline}", found)
    assert found["AUC"].score.low > 0.8
    assert found["AUC"].difference.high > 0
    assert found["Brier"].difference.low < 0
    # Loans of 1998 had little time to fail: the order must not rest on recognising them.
    older = (outcomes["granted_on"] < "1998-01-01").to_numpy()
    found = judged(y[older], by_model["boosted"][older], by_model[baseline][older])
    shown(f"the {older.sum()} loans before 1998 among them", found)
    assert found["AUC"].score.low > 0.8
    assert found["AUC"].difference.high > 0


def test_default_is_predicted_better_than_by_the_lowest_balance_alone(predictions):
    y, by_model = predictions
    found = judged(y, by_model["boosted"], by_model["least_balance"])
    shown("all 682 loans, beside the rule", found, "AUC")
    assert found["AUC"].difference.low > 0


def test_predicted_probabilities_match_the_observed_rates(predictions):
    y, by_model = predictions
    base_rate = np.full((len(y), REPEATS), y.mean())
    found = judged(y, by_model["boosted"], base_rate)
    assert found["Brier"].difference.high < 0
    assert found["calibration error"].score.value < 0.05
    # Binomial outcomes at these very probabilities: what chance alone leaves between the two sums.
    expected = by_model["boosted"].mean(axis=1)
    spread = np.sqrt((expected * (1 - expected)).sum())
    assert abs(expected.sum() - y.sum()) < 2 * spread


def test_default_of_finished_loans_is_predicted_from_finished_loans(
    applications, outcomes, predictions
):
    finished = outcomes["finished"].to_numpy()
    frame = applications[finished]
    y, by_model = predictions[0][finished], predictions[1]
    assert len(y) == 234 and y.sum() == 31
    own = out_of_fold(boosted, frame, y)
    for model in (logistic, shrunk_logistic):
        found = judged(y, own, out_of_fold(model, frame, y))
        shown(f"the 234 finished loans alone, beside {model.__name__}", found)
        assert found["AUC"].score.low > 0.7
        assert found["AUC"].difference.high > 0
    found = judged(y, by_model["boosted"][finished], own)
    shown("the same loans, learned from all, beside learned from them alone", found, "AUC")


def test_default_of_the_loans_of_1997_is_predicted_from_earlier_loans(applications, outcomes):
    year = pd.to_datetime(outcomes["granted_on"]).dt.year.to_numpy()
    y = outcomes["defaulted"].to_numpy(dtype=float)
    before, then = year < 1997, year == 1997
    assert (before.sum(), then.sum()) == (328, 196)
    own, other = (
        model(applications[before], y[before], applications[then])[:, None]
        for model in (boosted, logistic)
    )
    found = judged(y[then], own, other)
    shown("the 196 loans of 1997 from the 328 before, beside logistic", found)
    assert found["AUC"].score.low > 0.7
    assert found["AUC"].difference.high > 0


def test_authorised_users_without_a_date_hardly_improve_the_order(connection, folder, predictions):
    y, by_model = predictions
    more = loan_applications(connection, folder, with_authorised_users=True)
    own = by_model["boosted"][:, :2]
    found = judged(y, own, out_of_fold(boosted, more, y, repeats=2))
    shown("all 682 loans, beside the same with authorised users", found)
    assert found["AUC"].difference.low > -0.05
