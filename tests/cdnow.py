"""The published CDNOW sample as the papers use it; summed up without the engine."""

from __future__ import annotations

from datetime import date

import pandas as pd

from tests.conftest import real_data

# Weeks 1 to 39 and 40 to 78 of Fader, Hardie and Lee (2005).
CALIBRATED_UNTIL = date(1997, 9, 30)
HOLDOUT_WEEKS = 39


def purchase_log() -> pd.DataFrame:
    """Columns customer_id, day, amount; one row a purchase, several on some days."""
    log = pd.read_csv(
        real_data("cdnow") / "CDNOW_sample.txt",
        sep=r"\s+",
        header=None,
        names=["master_id", "customer_id", "day", "discs", "amount"],
    )
    log["day"] = pd.to_datetime(log["day"].astype(str))
    return log[["customer_id", "day", "amount"]]


def customers() -> pd.DataFrame:
    """frequency, recency, T (weeks), monetary_value of the calibration, and the days bought on in
    the holdout; by customer_id."""
    return summed(purchase_log(), pd.Timestamp(CALIBRATED_UNTIL))


def whole_log() -> pd.DataFrame:
    """The same columns of all 23,570 customers."""
    log = pd.read_csv(real_data("cdnow") / "purchases.csv.gz", parse_dates=["date"])
    return log.rename(columns={"users_id": "customer_id", "date": "day", "amt": "amount"})


def summed(log: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    """A log cut after a day: as `customers`, the holdout being all that follows."""
    days = log.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    seen, later = days[days["day"] <= until], days[days["day"] > until]
    first = seen.groupby("customer_id")["day"].min()
    repeats = seen[seen["day"] > seen["customer_id"].map(first)].groupby("customer_id")
    last = seen.groupby("customer_id")["day"].max()
    frame = pd.DataFrame(
        {
            "frequency": repeats.size(),
            "recency": (last - first).dt.days / 7,
            "T": (until - first).dt.days / 7,
            "monetary_value": repeats["amount"].mean(),
            "holdout": later.groupby("customer_id").size(),
        },
        index=first.index,
    )
    return frame.fillna(0.0)
