"""The bank's own currency, which figures are in: proposed from the files, and asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sources.mapping.proposal.keeping import Given
from sources.mapping.proposal.matching import TableMatch
from sources.mapping.proposal.synonyms import CJK, currency_of
from sources.message import Message, listed

# Encodings of simplified Chinese: with Chinese names of columns they are a bank's of the mainland.
MAINLAND = ("gbk", "gb18030")
YUAN = "CNY"


def bank_currency(
    found: Mapping[str, TableMatch], given: Given | None = None
) -> tuple[str | None, str | None]:
    """The proposed currency and the question for it; no question where accounts name one only."""
    account = found.get("account")
    match = account.matches.get("currency") if account else None
    answered = given.columns("account").get("currency") if given and account else None
    codes = answered.get("codes") if isinstance(answered, dict) else None
    if isinstance(answered, dict) and answered.get("constant"):
        return answered["constant"], None
    counted: Counter[str] = Counter()
    for code, rows in (match.profile.counts if match else {}).items():
        named = (codes or {}).get(code) or currency_of(code)
        if named is None and len(code) == 3 and code.isalpha():
            named = code.upper()
        if named:
            counted[named] += rows
    if len(counted) == 1:
        return next(iter(counted)), None
    if counted:
        own = counted.most_common(1)[0][0]
        shown = listed([f"{code} {rows:,}" for code, rows in counted.most_common()], 6)
        return own, Message(
            "The bank's currency: accounts are in several ({0}). Most are in {1}: if it is the "
            "bank's own, set CURRENCY={1} (export JINGXI_CURRENCY={1}).",
            *(shown, own),
        )
    mainland = any(
        one.seen.sniffed is not None
        and one.seen.sniffed.encoding in MAINLAND
        and any(map(CJK.search, one.seen.profiles))
        for one in found.values()
    )
    if mainland:
        return YUAN, Message(
            "The bank's currency: no file names it. The files are written as banks in mainland "
            "China do: if it is {0}, set CURRENCY={0} (export JINGXI_CURRENCY={0}).",
            YUAN,
        )
    return None, Message(
        "The bank's currency: no file names it. Set CURRENCY to its code (export "
        "JINGXI_CURRENCY=EUR); without it pages and lists name no currency."
    )
