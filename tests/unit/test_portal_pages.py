"""The portal's pages of plan, campaigns, lists and customers, of a bank that is laid by hand."""

from __future__ import annotations

import csv
import re
from functools import partial
from html import unescape
from pathlib import Path

import pytest

from orchestration.portal import PAGES as PORTAL
from orchestration.portal import campaigns, customers, lists, plan
from orchestration.portal.note_words import NOTES, note_in_words
from reports import chart_interval, chart_panel, tables
from reports.words import LANGUAGES, Phrase
from tests import sites

MONTH = "date '2025-12-01'"
BANK = f"""
    create schema meta; create schema base; create schema value; create schema scores;
    create schema contacts; create schema decisions; create schema campaigns;
    create table meta.release as
    select 'r1' as release_id, 'by hand' as source, 'c1' as code_version, '2025-12' as as_of,
        'run1' as dagster_run_id;
    create table meta.model_version as from (values
        ('clv', 'champion', null),
        ('high_value', null,
            'too few to learn from: 4 events among 2524 rows; 20 of both kinds are needed')
    ) as t (model_name, alias, note);

    create table base.customer as from (values
        ('C1', 'E1', 'B1', 2, 5, 40, 100.00::decimal(18, 2), 0.00::decimal(18, 2), 10),
        ('C2', 'E1', 'B1', 1, 30, 10, 50.00, 0.00, 100),
        ('C3', null, 'B1', 1, 130, 95, 900.00, 10.00, 95),
        ('C4', 'E2', 'B2', 1, null, 300, 0.00, 0.00, null)
    ) as t (customer_id, employee_id, branch_id, accounts, tenure_months, age, balance_deposits,
        balance_wealth, days_since_active);
    alter table base.customer add column last_active_on date;
    create table base.account as from (values
        ('A1', 'T', 'Term deposit', 'B1', true, 500.00::decimal(18, 2), date '2026-02-10',
            0.02::decimal(9, 6)),
        ('A2', 'T', 'Term deposit', 'B1', true, 700.00, date '2026-03-31', 0.03),
        ('A3', 'T', 'Term deposit', 'B1', true, 900.00, date '2026-04-01', 0.03),
        ('A4', 'T', 'Term deposit', 'B1', true, 800.00, date '2025-12-31', 0.03),
        ('A5', 'L', 'Loan', 'B1', true, -400.00, date '2026-02-10', 0.05),
        ('A6', 'T', 'Term deposit', 'B1', false, 300.00, date '2026-02-10', 0.05)
    ) as t (account_id, product_id, product_name, branch_id, is_open, closing_balance, matures_on,
        interest_rate);
    create table base.account_holder as
    select account_id, 'C1' as customer_id, 1 as holder_number from base.account
    union all select account_id, 'C2', 2 from base.account;

    create table value.customer_tier as from (values
        ('C1', {MONTH}, 'top', 1, 1000.00::decimal(18, 2), 800.00::decimal(18, 2)),
        ('C2', {MONTH}, 'middle', 3, 100.00, 20.00),
        ('C3', {MONTH}, 'high', 2, 300.00, 200.00),
        ('C4', {MONTH}, 'unprofitable', 5, -40.00, -70.00),
        ('C1', date '2024-12-01', 'high', 2, 0.00, 0.00),
        ('C2', date '2024-12-01', 'middle', 3, 0.00, 0.00),
        ('C3', date '2024-12-01', 'top', 1, 0.00, 0.00),
        ('C5', date '2024-12-01', 'base', 4, 0.00, 0.00)
    ) as t (customer_id, month, tier, tier_number, contribution_margin_12m, economic_profit_12m);
    create table value.profit_by_customer as
    select
        'C4' as customer_id, {MONTH} as month, 10.00::decimal(18, 2) as net_interest_margin,
        5.00::decimal(18, 2) as fee_income, 35.00::decimal(18, 2) as direct_cost,
        20.00::decimal(18, 2) as expected_loss, 25.00::decimal(18, 2) as overhead,
        5.00::decimal(18, 2) as capital_charge;
    create table value.offer as from (values
        ('CARD', 'Card <Gold>'), ('FUND', 'Fund')
    ) as t (product_id, product_name);
    create table scores.customer as from (values
        ('C1', 900.00::decimal(18, 2), 0.1, 90.00::decimal(18, 2), null::double, 'older, single'),
        ('C2', 110.00, 0.2, 22.00, null, 'younger, digital'),
        ('C3', 280.00, 0.05, 14.00, null, 'older, single'),
        ('C4', -50.00, 0.3, 0.00, null, 'younger, digital')
    ) as t (customer_id, clv_12m, p_attrition, value_at_risk, p_high_value, segment_name);
    alter table scores.customer add column clv_horizon_months integer default 12;

    create table contacts.contactability as from (values
        ('C1', null, false, false), ('C2', null, false, false), ('C3', null, true, false),
        ('C4', 'no_consent', false, false)
    ) as t (customer_id, suppression, is_universal_control, is_campaign_control);
    create table decisions.contact_plan as from (values
        ('C1', 'CARD', 'telephone', 'E1', 'B1', 'treatment', null, 0.30, 0.20, 12.00, 6.00,
            'a contact adds 20.0 points to the probability of taking Card <Gold> (30.0 % when '
            || 'contacted); taken, it brings 100.00 in a year, less an expected loss of 0.00; the '
            || 'contact costs 6.00; income_12m 5 (usual 7); age 41 (usual 30)'),
        ('C2', 'FUND', 'telephone', 'E1', 'B1', 'treatment', null, 0.10, 0.05, 8.00, 6.00, null),
        ('C4', 'FUND', 'mobile', null, 'B2', 'treatment', null, 0.20, 0.10, 40.00, 0.15, null),
        ('C3', 'FUND', 'mobile', null, 'B1', 'control', 'universal', 0.20, 0.10, 9.00, 0.15, null),
        ('C5', 'CARD', 'mobile', 'E2', 'B2', 'control', 'campaign', 0.20, 0.10, 7.00, 0.15, null)
    ) as t (customer_id, product_id, channel, employee_id, branch_id, arm, control_kind,
        p_response, uplift, profit, cost, reason);
    alter table decisions.contact_plan add column plan_month date default date '2026-01-01';
    alter table decisions.contact_plan add column expires_on date default date '2026-02-15';
    alter table decisions.contact_plan add column campaign_id varchar default 'P202601-X';
    alter table decisions.contact_plan add column product_value decimal(18, 2) default 100;
    alter table decisions.contact_plan add column expected_loss decimal(18, 2) default 0;
    alter table decisions.contact_plan add column incentive_cost decimal(18, 2) default 0;
    alter table decisions.contact_plan add column expected_incremental_profit decimal(18, 2);
    alter table decisions.contact_plan add column contact_cost decimal(18, 2);
    update decisions.contact_plan set expected_incremental_profit = profit, contact_cost = cost;
    create table decisions.plan_comparison as from (values
        ('contact_plan', 3, 60.00::decimal(18, 2), 12.15::decimal(18, 2), 0.01, true),
        ('random', 3, 20.00, 12.15, null, false)
    ) as t (policy, contacts, expected_incremental_profit, contact_cost, gap, is_chosen);
    create table decisions.constraint_price as from (values
        ('budget', 'all', 120.0, 120.0, 0.5), ('channel', 'mobile', 10.0, 10.0, 2.0),
        ('unit', 'branch B1', 60.0, 1.0, 0.0)
    ) as t (kind, key, capacity, used, shadow_price);
    create table decisions.control_power as from (values
        ('P202601-X', 3, 1, 0.05, 0.1, 0.4, 0.21, null::double)
    ) as t (campaign_id, treated, control, base_rate, expected_effect, minimum_detectable_effect,
        power, control_share_for_power);

    create table decisions.worklist as from (values
        ('E1', 1, 'C1', 'CARD', 'Card <Gold>', 12.00, 'older, single', 'Ask first.', '先问。'),
        ('E1', 2, 'C2', 'FUND', 'Fund', 8.00, 'younger, digital', 'Be brief.', '简短。'),
        ('branch B1', 1, 'C3', 'FUND', 'Fund', 3.00, 'older, single', 'Be brief.', '简短。')
    ) as t (unit, unit_rank, customer_id, product_id, product_name, profit, segment_name,
        talking_points, talking_points_zh);
    alter table decisions.worklist add column channel varchar default 'telephone';
    alter table decisions.worklist add column best_channel varchar default 'mobile';
    alter table decisions.worklist add column campaign_id varchar default 'P202601-X';
    alter table decisions.worklist add column expected_incremental_profit decimal(18, 2);
    update decisions.worklist set expected_incremental_profit = profit;
    alter table decisions.worklist add column clv_12m decimal(18, 2) default 5;
    alter table decisions.worklist add column value_tier varchar default 'high';
    alter table decisions.worklist add column products_held varchar default 'Current account';
    alter table decisions.worklist add column reason varchar default 'chosen';
    alter table decisions.worklist add column expires_on date default date '2026-02-15';
    alter table decisions.worklist add column status varchar default 'open';
    create table decisions.guide as from (values
        ('older, single', 'CARD', 'Card <Gold>', 'Ask first.', '先问。'),
        ('younger, digital', 'CARD', 'Card <Gold>', 'Ask first.', '先问。'),
        ('older, single', 'FUND', 'Fund', 'Be patient.', '耐心。'),
        ('younger, digital', 'FUND', 'Fund', 'Be brief.', '简短。')
    ) as t (segment_name, product_id, product_name, talking_points, talking_points_zh);
    create table decisions.manager_scorecard as from (values
        ('E1', 'E1', 'B1', 2, 0.5, 0.02), ('E2', 'E2', 'B2', 1, 0.0, null),
        ('branch B1', null, 'B1', 1, 1.0, null)
    ) as t (unit, employee_id, branch_id, customers, coverage, effect);
    alter table decisions.manager_scorecard add column contribution_margin_12m decimal(18, 2)
    default 1100;
    alter table decisions.manager_scorecard add column growth double default 0.1;
    alter table decisions.manager_scorecard add column contacts_12m integer default 3;
    alter table decisions.manager_scorecard add column conversion_treated double default 0.04;
    alter table decisions.manager_scorecard add column conversion_control double default 0.02;
    alter table decisions.manager_scorecard add column effect_low double;
    alter table decisions.manager_scorecard add column effect_high double;
    alter table decisions.manager_scorecard add column credit_alerts integer default 0;
    create table decisions.manager_kpi as from (values
        ('E1', 'total', null, null, 0.9, 1.0, 90.00), ('E1', 'growth', 0.1, 0.2, 0.5, 0.4, 20.00)
    ) as t (employee_id, measure, value, target_value, attainment, weight, points);

    create table campaigns.measurement as from (values
        ('K1', 'response', 100, 50, 0.09, 0.05, 0.04, 0.01, 0.07, true, false, 0, 0, 0, null,
            null::decimal(18, 2), null::decimal(18, 2), null::decimal(18, 2)),
        ('K1', 'contribution', 100, 50, 9.0, 5.0, 4.0, -1.0, 9.0, true, false, 0, 0, 0,
            'no cost per contact delivered: taken as nothing', 350.00, -150.00, 850.00),
        ('K2', 'response', 10, 90, 0.1, 0.2, -0.1, 'nan'::double, 'nan'::double, false, true,
            0, 4, 1, 'the window is still running; '
            || 'less than 5 responses in an arm: the interval is rough',
            null, null, null)
    ) as t (campaign_id, outcome, treated, control, treated_mean, control_mean, effect, effect_low,
        effect_high, is_complete, is_sample_ratio_mismatch, contaminated_treated,
        contaminated_control, in_both_arms, note, incremental_profit, incremental_low,
        incremental_high);
    alter table campaigns.measurement add column campaign_name varchar default 'Spring';
    alter table campaigns.measurement add column product_id varchar default 'CARD';
    alter table campaigns.measurement add column channel varchar default 'mobile';
    alter table campaigns.measurement add column last_contact date default date '2025-06-30';
    alter table campaigns.measurement add column contact_cost decimal(18, 2) default 40;
    alter table campaigns.measurement add column incentive_cost decimal(18, 2) default 10;
    alter table campaigns.measurement add column return_on_cost double default 7;
    alter table campaigns.measurement add column sample_ratio_expected double default 0.6;
    alter table campaigns.measurement add column sample_ratio_observed double default 0.6;
    create table campaigns.learning as from (values
        ('CARD', 'response', 1, 0.5, 0.4, 0.6, 0.5, 0.4, 0.6, null::double, null::double),
        ('CARD', 'response', 2, 0.04, 0.02, 0.06, 0.05, -0.01, 0.11, 0.7, 0.01)
    ) as t (product_id, outcome, campaigns, fixed_effect, fixed_low, fixed_high, random_effect,
        random_low, random_high, i_squared, heterogeneity_p);
    create table campaigns.uplift_decile as from (values
        ('all', 'all', 1, 0.01, 0.0, 'nan'::double, 'nan'::double),
        ('all', 'all', 2, 0.06, 0.08, 0.04, 0.12),
        ('campaign', 'K1', 1, 0.02, 0.01, -0.02, 0.04)
    ) as t (scope, scope_id, decile, predicted, effect, effect_low, effect_high);
    alter table campaigns.uplift_decile add column rank_correlation double default 1;
    alter table campaigns.uplift_decile add column slope double default 1.2;
    alter table campaigns.uplift_decile add column slope_low double default 0.3;
    alter table campaigns.uplift_decile add column slope_high double default 2.1;
    alter table campaigns.uplift_decile add column is_rank_true boolean default true;
    create table campaigns.plan_outcome as from (values
        (date '2025-09-01', 'P202509-FUND', 'FUND', 'complete', 10, 8, 0.8, 0.1, 5.0, 4, 0.03,
            -0.02, 0.08, 200.00::decimal(18, 2), 150.00::decimal(18, 2), -50.00::decimal(18, 2),
            350.00::decimal(18, 2), 30.00::decimal(18, 2), null)
    ) as t (plan_month, campaign_id, product_id, status, planned_treated, contacted_treated,
        coverage, contamination, expected_responses, observed_responses, effect, effect_low,
        effect_high, expected_incremental_profit, realised_incremental_profit, realised_low,
        realised_high, spent, note);
"""

PAGES = (customers.PAGE, plan.PAGE, campaigns.PAGE, lists.PAGE)


build = partial(sites.build, pages=PAGES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("planned"), BANK)


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank without plan, campaigns, scores of potential and attrition, and a year of history."""
    return build(
        tmp_path_factory.mktemp("young"),
        BANK
        + """
        delete from decisions.contact_plan; delete from decisions.worklist;
        delete from decisions.plan_comparison; delete from decisions.constraint_price;
        delete from decisions.control_power; delete from value.customer_tier
        where month < date '2025-12-01';
        drop schema campaigns cascade;
        update scores.customer set value_at_risk = null, p_attrition = null, clv_12m = null;
        insert into meta.model_version values
        ('uplift', null, 'too few matured contacts with a known assignment: 961 treated, 684 held '
            || 'out, 62 responses; 400 of each arm with 40 responses are needed, over several '
            || 'campaigns');
        create table base.branch as select 'B1' as branch_id, 'Market square' as branch_name;
        alter table base.account add column currency varchar default 'EUR';
        create table base.account_month as from (values
            ('A1', date '2025-12-01', true), ('A2', date '2025-12-01', false)
        ) as t (account_id, month, is_balance_known);
        create table value.account_month as
        select account_id, month, 12.00::decimal(18, 2) as contribution_margin
        from base.account_month;
        create schema profile;
        create table profile.landing_table as
        select
            'customer' as table_name, true as required, 4 as rows, 'marketing_consent' as lacking;
        """,
    )


def words_of(path: Path) -> str:
    """What a page shows, its elements split by spaces."""
    text = path.read_text(encoding="utf-8")
    body = text[text.index("<main") : text.index("</main>")]
    body = re.sub(r"<svg.*?</svg>", " ", body, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def labels_of(path: Path) -> set[str]:
    """The labels of the marks of a page's charts."""
    return set(map(unescape, re.findall(r'aria-label="([^"]*)"', path.read_text())))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- Contact plan ---------------------------------------------------------------------------


def test_the_plan_sums_its_contacts_and_not_those_held_out(site):
    text = words_of(site / "en/plan.html")
    assert "Contacts to make 3 the first is to be made by 2026-02-15" in text
    assert "Expected incremental profit 60.00 20.00 a contact" in text
    assert "Cost of the contacts 12.15" in text
    assert "Held out for comparison 1 and 1 whom no campaign contacts" in text
    by = {(row["dimension"], row["key"]): row for row in rows_of(site / "csv/plan_by.csv")}
    mobile, card = by["channel", "mobile"], by["offer", "CARD"]
    assert (mobile["contacts"], mobile["held_out"]) == ("1", "1")
    assert (mobile["expected_incremental_profit"], mobile["contact_cost"]) == ("40.00", "0.15")
    assert (card["contacts"], card["expected_incremental_profit"]) == ("1", "12.00")
    assert by["manager", "E1"]["contacts"] == "2" and by["manager", ""]["contacts"] == "1"
    assert {row["contacts"] for row in by.values() if row["dimension"] == "branch"} == {"2", "1"}
    assert [row["customer_id"] for row in rows_of(site / "csv/plan_contact.csv")] == [
        *("C4", "C1", "C2"),
    ]


def test_a_tenth_more_of_a_limit_is_a_marginal_estimate(site, tmp_path):
    text = words_of(site / "en/plan.html")
    # 0.5 × 10 % of 120.
    assert (
        "If the budget were 10 % more, the plan would bring about 6.00 more (marginal estimate)."
        in text
    )
    assert "若预算增加10%，计划利润约增加 6.00（边际估计）。" in words_of(site / "zh/plan.html")
    gains = {row["key"]: row["gain_of_a_tenth"] for row in rows_of(site / "csv/plan_limit.csv")}
    assert gains == {"all": "6.00", "mobile": "2.00", "branch B1": "0.00"}
    slack = (
        "update decisions.constraint_price set shadow_price = 0, used = 60 where kind = 'budget'"
    )
    text = words_of(build(tmp_path, f"{BANK}; {slack}") / "en/plan.html")
    assert "The budget is not used up (60.00 of 120.00): more of it would bring nothing." in text
    assert (
        "If Mobile allowed 10 % more contacts, the plan would bring about 2.00 more "
        "(marginal estimate)." in text
    )


def test_the_plan_is_compared_and_its_power_marked(site):
    assert "Random" not in words_of(site / "en/plan.html")
    assert {
        "This plan, Expected incremental profit: 60.00",
        "By lot, Expected incremental profit: 20.00",
    } <= labels_of(site / "en/plan.html")
    assert "5.0 % 10.0 % 40.0 % 21.0 % too few –" in words_of(site / "en/plan.html")
    text = words_of(site / "en/plan.html")
    assert "may be contacted 2" in text and "there is no consent to marketing 1" in text


def test_without_a_plan_the_page_states_what_is_missing(young):
    text = words_of(young / "en/plan.html")
    assert "There is no contact plan in this release." in text
    assert (
        "uplift: too few matured contacts with a known assignment: 961 treated, 684 held out, 62 "
        "responses; 400 of each arm with 40 responses are needed, over several campaigns" in text
    )
    assert "Deliver campaigns, contacts with arm and assignment probability" in text
    chinese = words_of(young / "zh/plan.html")
    assert "联系组 961，对照组 684，响应 62" in chinese and "needed" not in chinese
    assert "The contacts" not in text and not (young / "csv/plan_contact.csv").exists()


# --- Campaigns ------------------------------------------------------------------------------


def test_campaigns_have_effects_with_intervals_and_marks(site):
    page = site / "en/campaigns.html"
    text = words_of(page)
    assert "Campaigns measured 2" in text
    assert "With more responses beyond chance 1 of 2" in text
    # Of K1 alone: K2's window is not over.
    assert "Incremental profit 350.00 of 1 campaigns whose window is over" in text
    assert "Return on cost 700.0 %" in text
    assert "With groups not to be trusted 1 of 2" in text
    assert {
        "Spring (K1): 4.0 % (1.0 % to 7.0 %)",
        "Spring (K2): -10.0 % (– to –)",
        "Spring (K1): 350.00 (-150.00 to 850.00)",
        # The newest row of the offer: the random effect.
        "Card <Gold>: 5.0 % (-1.0 % to 11.0 %)",
    } <= labels_of(page)
    checks = re.findall(
        r"Spring \(K(\d)\) 60.0 % 60.0 % (not as drawn|as drawn) (.*?)(?= S|$)", text
    )
    assert checks[0][:2] == ("1", "as drawn") and checks[0][2].startswith("0 0 0 clean")
    assert checks[1][:2] == ("2", "not as drawn") and checks[1][2].startswith("0 4 1 mixed")
    assert "70.0 % differ beyond chance" in text


def test_notes_of_campaigns_are_in_the_language_of_the_page(site):
    chinese = words_of(site / "zh/campaigns.html")
    assert "观察期尚未结束；某组响应少于 5 个：置信区间较粗略" in chinese
    assert "未提供单次联系成本：按零计" in chinese


def test_uplift_is_shown_by_tenth_with_its_prediction(site):
    labels = labels_of(site / "en/campaigns.html")
    assert "Tenth 2: measured 8.0 % (4.0 % to 12.0 %), predicted 6.0 %" in labels
    assert "Tenth 1: measured 0.0 % (– to –), predicted 1.0 %" in labels
    deciles = rows_of(site / "csv/campaigns_uplift_decile.csv")
    assert [(row["scope"], row["decile"], row["effect_low"]) for row in deciles] == [
        *(("all", "2", "0.04"), ("all", "1", ""), ("campaign", "1", "-0.02")),
    ]
    assert "All campaigns 1 1.2 0.3 2.1 ranks beyond chance" in words_of(site / "en/campaigns.html")


def test_an_earlier_plan_stands_beside_its_outcome(site):
    page = site / "en/campaigns.html"
    assert "Fund, 2025-09: realised 150.00 (-50.00 to 350.00), planned 200.00" in labels_of(page)
    assert "80.0 % 10.0 %" in words_of(page)


def test_without_campaigns_the_page_states_what_to_deliver(young):
    text = words_of(young / "en/campaigns.html")
    assert "No campaign is measured in this release." in text
    assert "a campaign without a control group cannot be measured" in text
    assert "<table" not in (young / "en/campaigns.html").read_text()


# --- Lists ----------------------------------------------------------------------------------


def test_a_units_page_has_its_own_customers_alone(site):
    own = {"E1": {"C1", "C2"}, "E2": set(), "branch_20_B1": {"C3"}}
    for language in LANGUAGES:
        pages = {path.stem: path for path in (site / language / "lists").glob("*.html")}
        assert set(pages) == set(own)
        for unit, path in pages.items():
            assert set(re.findall(r"\bC\d\b", path.read_text())) == own[unit], unit
    for unit, ids in own.items():
        for file in (site / "csv/lists" / unit).glob("*.csv"):
            assert set(re.findall(r"\bC\d\b", file.read_text())) <= ids, file


def test_a_list_shows_reason_words_and_a_sheet_in_the_language_of_the_page(site):
    english, chinese = (words_of(site / one / "lists/E1.html") for one in ("en", "zh"))
    assert (
        "Why: salary and pension received over the last 12 months is 5.00, less than the 7.00 of "
        "other customers; a contact adds 20.0 points to the probability of taking Card <Gold> "
        "(30.0 % when contacted); taken, it brings 100.00 in a year" in english
    )
    assert "What to say: Ask first." in english and "先问" not in english
    assert "近12个月工资和养老金入账为5.00，低于其他客户的7.00" in chinese
    assert "联系使办理“Card <Gold>”的概率提高 20.0 个百分点（联系后为 30.0%）" in chinese
    assert "话术： 先问。" in chinese and "Ask first" not in chinese
    assert "1 C1 P202601-X Card <Gold> 2026-02-15 ☐ taken ☐ interested" in english
    assert "☐ 已办理 ☐ 有意向" in chinese
    # What only compliance may read stands beside no customer.
    for text in (english, chinese):
        assert "41" not in text


def test_a_segment_stands_in_the_guide_and_beside_no_customer(site):
    page = (site / "en/lists/E1.html").read_text()
    worklist = page[page.index('id="worklist"') : page.index('id="guide"')]
    guide = words_of(site / "en/lists/E1.html").partition("Guide")[2]
    assert "older" not in worklist and "older, single" in guide
    assert "segment_name" not in rows_of(site / "csv/lists/E1/worklist.csv")[0]
    # All segments of an offer have the same words.
    assert "Card <Gold> All groups of customers Ask first." in guide
    # The branch has no card on its list, and one segment.
    branch = words_of(site / "en/lists/branch_20_B1.html").partition("Guide")[2]
    assert "Card" not in branch and "Be patient." in branch and "Be brief." not in branch


def test_occasions_need_no_plan(young):
    text = words_of(young / "en/lists/E1.html")
    assert "No contact is planned for this unit this month." in text
    # A1 and A2 mature within three months; A3 later, A4 on the day, A5 is a debt, A6 is closed.
    found = [row["account_id"] for row in rows_of(young / "csv/lists/E1/maturing.csv")]
    assert found == ["A1", "A2"]
    assert "C3" in words_of(young / "en/lists/branch_20_B1.html")
    overview = words_of(young / "en/lists.html")
    assert "No list has a contact: this release has no contact plan" in overview


def test_a_page_names_its_assets_and_its_run_and_has_no_address(site):
    """They are links where the page is served beside Dagster (`served.js`)."""
    for file, asset in (("customers", "scores/customer"), ("lists/E1", "decisions/worklist")):
        page = (site / f"en/{file}.html").read_text()
        for path in (f"assets/{asset}", "runs/run1"):
            assert f'data-dagster="{path}"' in page
        assert not re.search(r'(href|src)="(https?:)?//', page)


def test_the_overview_leads_to_each_unit(site):
    page = (site / "en/lists.html").read_text()
    assert re.findall(r'href="(lists/[^"]+)"', page) == [
        *("lists/E1.html", "lists/branch_20_B1.html", "lists/E2.html"),
    ]
    text = words_of(site / "en/lists.html")
    assert "Contacts open on the lists 3 the first is to be made by 2026-02-15" in text
    assert "Expected incremental profit 23.00" in text
    assert not set(re.findall(r"\bC\d\b", page))


# --- Customers ------------------------------------------------------------------------------


def test_customers_are_summed_by_tier_segment_and_stage(site):
    text = words_of(site / "en/customers.html")
    assert "Customers of the two best tiers 2 of 4; they bring 96 % of the contribution" in text
    assert "Value at risk 126.00 3 customers" in text
    assert "Matures within three months 1,200 2 accounts" in text
    assert "Good customers, inactive for 90 days 1 contributed 300.00" in text
    assert "Unprofitable customers 1 economic profit -70.00" in text
    assert "older, single 1,000 300.00 · · 1,300" in text
    stages = {row["years"]: row["customers"] for row in rows_of(site / "csv/customers_stage.csv")}
    assert stages == {"0": "1", "1": "1", "3": "0", "5": "0", "10": "1"}
    tiers = {row["tier"]: row["customers"] for row in rows_of(site / "csv/customers_tier.csv")}
    # A tier of the year before that nobody is in now.
    assert tiers == {"top": "1", "high": "1", "middle": "1", "base": "0", "unprofitable": "1"}
    moves = {
        (row["tier_before"], row["tier"]): row["customers"]
        for row in rows_of(site / "csv/customers_migration.csv")
    }
    assert moves == {
        ("high", "top"): "1",
        ("top", "high"): "1",
        ("middle", "middle"): "1",
        ("base", "(left)"): "1",
        ("(new)", "unprofitable"): "1",
    }
    assert "C4 Unprofitable E2 B2 -70.00 15.00 35.00 20.00 25.00 5.00" in text


def test_a_customer_on_a_list_of_occasions_has_the_reason_in_the_language_of_the_page(site):
    english, chinese = (words_of(site / one / "customers.html") for one in ("en", "zh"))
    assert (
        "Term deposit: 500.00 matures on 2026-02-10 and earns 2.00 % a year until then" in english
    )
    assert "Term deposit：500.00将于2026年2月10日到期，到期前年利率2.00%" in chinese
    assert (
        "the income of twelve months is 15.00; the direct cost alone takes 35.00, and 70.00 is "
        "missing to break even" in english
    )
    (row,) = rows_of(site / "csv/customers_dormant.csv")
    assert row["reason"] == (
        "no booking of the customer's own is on record; contributed 300.00 in twelve months and "
        "holds 910.00"
    )
    assert row["reason_zh"].endswith("近12个月贡献300.00，现有存款和投资910.00")
    unit = words_of(site / "zh/lists/E1.html")
    assert "近12个月贡献1,000，潜在流失价值90.00" in unit


def test_a_branch_has_its_name_and_the_page_its_currency(young, site):
    text = words_of(young / "en/customers.html")
    assert "Market square B1" in text and "B2" in text
    assert "网点 Market square（B1）工作清单" in words_of(young / "zh/lists/branch_20_B1.html")
    (row,) = rows_of(young / "csv/lists/branch_20_B1/dormant.csv")
    assert (row["branch_id"], row["branch_name"]) == ("B1", "Market square")
    for folder, words in ((young, "money in EUR"), (site, "money in the bank's currency")):
        assert (folder / "en/plan.html").read_text().count(words.replace("'", "&#39;")) == 1


def test_every_page_with_money_begins_with_the_accounts_that_are_not_priced(young, site):
    english = "not priced 1 of 2 accounts have no known balance in 2025-12"
    for file in ("customers", "plan", "campaigns", "lists", "lists/E1"):
        path = f"{file}.html"
        if (young / "en" / path).exists():
            assert words_of(young / "en" / path).startswith(english), file
            assert words_of(young / "zh" / path).startswith("未定价 2个账户中有1个"), file
        assert "not priced" not in words_of(site / "en" / path), file
    assert [page.name for page in PORTAL if not page.has_money] == ["models", "quality"]


def test_a_units_contribution_is_that_of_its_priced_accounts(site, tmp_path):
    unpriced = """
        create table value.profit_unpriced as from (values
            ('customer', 'C1', date '2025-12-01', 30.00::decimal(18, 2)),
            ('customer', 'C2', date '2025-02-01', -7.50),
            ('customer', '(none)', date '2025-12-01', 5.00)
        ) as t (dimension, dimension_key, month, contribution_margin)
    """
    built = build(tmp_path, f"{BANK}; {unpriced}")
    units = {row["unit"]: row for row in rows_of(built / "csv/lists_unit.csv")}
    # 1,100.00 - 30.00 + 7.50 of E1; other units have no such account.
    names = ("contribution_margin_12m", "contribution_margin_all_12m", "growth")
    assert [units["E1"][name] for name in names] == ["1077.50", "1100.00", ""]
    assert [units["E2"][name] for name in names] == ["1100.00", "1100.00", "0.1"]
    assert "Contribution, 12 months 1,078 priced accounts only" in words_of(
        built / "en/lists/E1.html"
    )
    assert "priced accounts only" not in words_of(site / "en/lists/E1.html")


def test_lists_of_occasions_name_whom_to_serve_and_nobody_whom_the_bank_bars(site, tmp_path):
    maturing = rows_of(site / "csv/lists/E1/maturing.csv")
    assert {row["marketing"] for row in maturing} == {"allowed"}
    suppress = "update contacts.contactability set suppression = '{}' where customer_id = 'C1'"
    quiet = build(tmp_path / "quiet", f"{BANK}; {suppress.format('complaint')}")
    served = rows_of(quiet / "csv/lists/E1/maturing.csv")
    assert {row["marketing"] for row in served} == {"service only"}
    assert [row["account_id"] for row in served] == [row["account_id"] for row in maturing]
    assert "service only" in words_of(quiet / "en/lists/E1.html")
    assert "仅限服务" in words_of(quiet / "zh/lists/E1.html")
    barred = build(tmp_path / "barred", f"{BANK}; {suppress.format('a reason of the bank')}")
    for file in ("maturing", "at_risk", "dormant", "loss_maker"):
        for path in (f"customers_{file}", f"lists/E1/{file}"):
            if (barred / f"csv/{path}.csv").exists():
                assert "C1" not in {
                    row["customer_id"] for row in rows_of(barred / f"csv/{path}.csv")
                }
    assert {row["customer_id"] for row in rows_of(site / "csv/customers_at_risk.csv")} > {"C1"}


def test_a_unit_has_its_next_maturity_beside_its_next_contact(site):
    units = {row["unit"]: row for row in rows_of(site / "csv/lists_unit.csv")}
    # A1 of C1, whom E1 looks after; A2 matures later, A4 before the as-of date, A5 is a loan.
    assert units["E1"]["matures_on"] == "2026-02-10" and units["E2"]["matures_on"] == ""
    assert units["E1"]["expires_on"] == "2026-02-15"


def test_the_customers_counted_are_explained(site, tmp_path):
    text = words_of(site / "en/customers.html")
    assert "4 customers are counted: with an account in 2025-12; 0 of them closed the last" in text
    closed = "update base.customer set accounts = 0 where customer_id = 'C4'"
    text = words_of(build(tmp_path, f"{BANK}; {closed}") / "en/customers.html")
    assert "4 customers are counted: with an account in 2025-12; 1 of them closed the last" in text


def test_consent_that_was_not_delivered_is_not_put_on_the_customer(young, site):
    without, refused = (words_of(one / "en/plan.html") for one in (young, site))
    assert "consent to marketing was not delivered: it counts as not given 1" in without
    assert "deliver marketing_consent of customers" in without
    assert "there is no consent to marketing 1" in refused
    assert "not delivered" not in refused


def test_what_a_release_lacks_is_explained(young):
    text = words_of(young / "en/customers.html")
    assert (
        "No model of future high value scores in this release. Reason: too few to learn from: 4 "
        "events among 2,524 rows; 20 of both kinds are needed." in text
    )
    assert "Nothing scores attrition in this release." in text
    assert "Tiers of a year ago are not known: the history is shorter than 13 months." in text
    assert "there is no expected contribution" in text


def test_no_page_shows_a_protected_attribute(site):
    for path in site.rglob("*.csv"):
        header = path.read_text().partition("\n")[0].split(",")
        assert not {"age", "sex", "district_id", "monthly_income"} & set(header), path


# --- Words and charts -----------------------------------------------------------------------


@pytest.mark.parametrize("pattern", NOTES)
def test_a_note_is_found_by_its_own_pattern(pattern):
    found = note_in_words(pattern.format(*(11, 22, 33, 44)))
    assert found == pattern.format(11, 22, 33, 44)
    assert found.pattern == pattern if isinstance(found, Phrase) else "{" not in pattern


def test_an_interval_is_green_above_zero_red_below_and_grey_across():
    rows = [
        {"name": "B", "value": 0.02, "low": 0.01, "high": 0.03},
        {"name": "A", "value": -0.02, "low": -0.03, "high": -0.01},
        {"name": "C", "value": 0.0, "low": -0.01, "high": 0.01},
    ]
    chart = chart_interval.intervals(rows, "Effects", "{name}: {value} ({low} to {high})")
    wide = chart.partition("</svg>")[0]
    marks = re.findall(r'aria-label="(\w): [^"]*"[^>]*fill="([^"]+)"', wide)
    assert marks == [("B", "var(--good)"), ("A", "var(--bad)"), ("C", "var(--soft)")]
    # In the order of the rows, from the top.
    assert [text for text in re.findall(r">(\w)</text>", wide)] == ["B", "A", "C"]
    assert re.findall(r'<svg class="chart (\S+)"', chart) == ["wide-only", "narrow-only"]


def test_panels_have_a_figure_for_each_row_and_measure():
    rows = [{"name": "Top", "number": 3, "amount": None}, {"name": "Low", "number": 0, "amount": 2}]
    chart = chart_panel.panels(
        rows, {"number": ("Customers", "count"), "amount": ("Paid", "count")}, "Tiers"
    )
    wide = chart.partition("</svg>")[0]
    for label in ("Top, Customers: 3", "Low, Customers: 0", "Top, Paid: –", "Low, Paid: 2"):
        assert wide.count(f'aria-label="{label}"') == 1
    assert wide.count(">Top</text>") == 1 and chart.count(">Top</text>") == 3


def test_warmth_grows_with_the_amount_on_one_scale():
    rows = [{"of": {"a": 100, "b": -25}}, {"of": {"a": 4}}, {"kind": "total", "of": {"a": 104}}]
    first, second = tables.warmths(str, {"a": "A", "b": "B"}, "of", rows)
    found = [(cell.css, cell.style) for row in rows for cell in (first.cell(row),)]
    assert found == [
        ("figure heat up", "--heat: 0.50"),
        ("figure heat up", "--heat: 0.10"),
        ("figure", ""),
    ]
    assert second.cell(rows[0]).css == "figure loss heat down"
    assert second.cell(rows[0]).style == "--heat: 0.25"
    assert second.cell(rows[1]).text == "·"
