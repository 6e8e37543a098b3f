"""What may be overridden, and what a person must state: the rules of the gates themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestration.platform import audit
from orchestration.platform.environment import PROJECT
from orchestration.platform.overrides import read, today
from orchestration.platform.settings import Settings
from orchestration.release.gate_overrides import Asked, OverrideRefused, override, rules, withdraw
from tests.unit.test_expectations import SUITES

RULES = rules()
BINDING = {name for name, (_, rule) in RULES.items() if rule.binding}
IN_FORCE = (today() + timedelta(30)).isoformat()
SOUND = Asked(
    rule="G1/landing_quarantine.above_tolerance",
    table="landing.transaction",
    bound="0.01",
    expires=IN_FORCE,
    approver="Ana Lima",
    reason="one branch, corrected in June",
)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, user="Tove Berg")


def test_a_rule_has_one_name():
    stated = [(gate, rule.name) for gate, suite in SUITES.items() for rule in suite().rules]
    assert len(stated) == len(set(stated)) > 100
    for name, (profile, rule) in RULES.items():
        assert re.fullmatch(r"(G[1-5]|GV)/\w+\.\w+", name)
        assert profile.about and rule.severity in ("fail", "warn")


def test_what_guards_the_ledger_persons_and_the_as_of_date_is_binding():
    """By figures that only such rules have."""
    to_the_cent = {
        *("G2/base_count.difference", "G2/base_account_month.balance_breaks"),
        *("G2/base_account_month.bookings_difference", "G2/base_ledger.lines_missing"),
        *("G2/base_ledger.lines_differing", "GV/value_reconciliation.lines"),
        *("GV/value_reconciliation.lines_differing", "GV/value_month.balance_difference"),
        *("GV/value_month.unbalanced", "GV/value_provision.unexplained"),
    }
    personal = {"G3/feature_column.column_name", "G4/score_reason.barred_features"}
    later = {
        *("G2/base_latest_date.days_after_as_of", "G3/feature_month.after_as_of"),
        "G4/alert_transaction.of_other_months",
    }
    decided = {"G3/model_champion.without_promoter"}
    assert to_the_cent | personal | later | decided <= BINDING
    assert all(RULES[name][1].severity == "fail" for name in BINDING)
    words = re.compile(r"to the cent|ledger|after the as-of|identifies|consent|suppressed")
    assert {
        name
        for name, (_, rule) in RULES.items()
        if rule.severity == "fail" and words.search(rule.meaning)
    } <= BINDING


def test_the_documentation_lists_the_binding_rules():
    page = (PROJECT / "docs" / "gates.md").read_text(encoding="utf-8")
    section = page.partition("## Overrides")[2].partition("\n## ")[0]
    stated = {
        f"{gate}/{rule}"
        for line in section.splitlines()
        if line.startswith("| ")
        for gate, rule in re.findall(r"`(G[V1-5])/(\w+\.\w+)`", line)
    }
    assert stated == BINDING


@pytest.mark.parametrize("name", sorted(BINDING))
def test_a_binding_rule_is_refused_with_the_reason(settings, name):
    with pytest.raises(OverrideRefused, match="can never be overridden: ") as refusal:
        override(settings, replace(SOUND, rule=name, table="", bound=""))
    assert RULES[name][1].binding in str(refusal.value)
    (line,) = audit.entries(settings)
    assert (line.act, line.subject, line.outcome) == ("override_gate", name, "refused")
    assert read(settings) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rule": "G1/landing_quarantine.above"}, "Did you mean G1/landing_quarantine.above_tol"),
        ({"rule": "G1/landing_customer.median_age"}, "RULE=.* only warns"),
        ({"table": ""}, "TABLE= is invalid: expected landing.<table_name>"),
        ({"table": "landing.transactions"}, "TABLE=landing.transactions is invalid"),
        ({"table": "base.transaction"}, "TABLE=base.transaction is invalid"),
        ({"bound": "none"}, "BOUND=none is invalid: expected a number"),
        ({"bound": "nan"}, "BOUND=nan is invalid: expected a number"),
        ({"bound": "0"}, "BOUND=0 is invalid: expected a figure beyond the limit"),
        ({"expires": ""}, "EXPIRES= is invalid: expected a day from"),
        ({"expires": "2026-13-01"}, "EXPIRES=2026-13-01 is invalid"),
        ({"expires": (today() - timedelta(1)).isoformat()}, "EXPIRES=.* is invalid"),
        ({"expires": (today() + timedelta(93)).isoformat()}, "at most 92 days ahead"),
        ({"approver": " "}, "APPROVER is missing"),
        ({"reason": "because"}, "REASON is too short: expected at least 10 characters"),
        ({"reason": "x" * 1_000}, "APPROVER and REASON are too long"),
    ],
)
def test_an_override_that_is_not_complete_is_refused(settings, change, words):
    known = "G1/landing_customer.median_age"
    if change.get("rule") == known:
        change = {"rule": next(n for n in RULES if n.startswith("G1/landing_customer."))}
    with pytest.raises(OverrideRefused, match=words):
        override(settings, replace(SOUND, **change))
    (line,) = audit.entries(settings)
    assert line.outcome == "refused" and read(settings) == []


@pytest.mark.parametrize(
    ("rule", "table", "bound", "expected"),
    [
        # At most 0, and a share at least of 60 %.
        ("G1/landing_quarantine.above_tolerance", "landing.account", "0.02", (None, 0.02)),
        ("G1/landing_booking_month.bookings_ratio", "", "0.5", (0.5, None)),
        # Within a factor of five; five standard deviations either way; none at all.
        ("G1/landing_booking_month.amount_ratio", "", "7", (0.2, 7)),
        ("G1/landing_booking_month.amount_ratio", "", "0.1", (0.1, 5)),
        ("G5/control_group.deviations", "", "-6", (-6, 6)),
        ("G2/base_customer_month.with_gaps", "", "12", (-12, 12)),
        ("G3/feature_column.infinite_values", "features.customer_month.age", "3", (-3, 3)),
        ("G3/model_comparison.best_case_ahead_of_rule", "models.clv", "-0.1", (-0.1, None)),
    ],
)
def test_a_bound_widens_the_limit_on_its_side(settings, rule, table, bound, expected):
    override(settings, replace(SOUND, rule=rule, table=table, bound=bound))
    (one,) = read(settings)
    assert (one.terms.least, one.terms.most) == expected and one.state == "in force"
    assert one.place == (table or RULES[rule][0].about)
    inside = [limit for limit in expected if limit is not None]
    assert not one.fault(min(inside), max(inside), ["Tove Berg"])
    for least, most in ((-1e9, max(inside)), (min(inside), 1e9)):
        limit = expected[0] if least == -1e9 else expected[1]
        assert bool(one.fault(least, most, ["Tove Berg"])) is (limit is not None)


def test_a_rule_about_rows_or_words_has_no_bound(settings):
    with pytest.raises(OverrideRefused, match="expected none, since the rule is not about a fig"):
        override(settings, replace(SOUND, rule="G4/score_offer.rows", table="", bound="1"))
    override(settings, replace(SOUND, rule="G4/score_offer.rows", table="", bound=""))
    (one,) = read(settings)
    assert one.fault(None, None, ["Tove Berg"]) == ""


def test_the_last_line_about_a_rule_and_a_table_counts(settings):
    override(settings, SOUND)
    override(settings, replace(SOUND, table="landing.account"))
    override(settings, replace(SOUND, bound="0.02"))
    withdraw(settings, Asked(SOUND.rule, "landing.account", approver="Bo Holm"))
    assert [(one.place, one.state) for one in read(settings)] == [
        ("landing.transaction", "replaced or withdrawn"),
        ("landing.account", "replaced or withdrawn"),
        ("landing.transaction", "in force"),
        ("landing.account", "withdrawal"),
    ]
    with pytest.raises(OverrideRefused, match="is in force. See make overrides"):
        withdraw(settings, Asked(SOUND.rule, "landing.account", approver="Bo Holm"))
