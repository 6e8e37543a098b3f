"""The portal's playbook of a bank that is laid by hand: findings, what to say, practice cases."""

from __future__ import annotations

import csv
import re
from functools import partial
from html import unescape
from pathlib import Path

import pytest

from orchestration.portal import playbook
from orchestration.portal.page import anchor
from reports.words import LANGUAGES
from tests import sites

CONTACTED = "date '2025-06-17'"
# So many customers in all: 24 alike with a fund, 19 alike with a card.
ALIKE, FEWER = 24, 19
BANK = f"""
    create schema meta; create schema base; create schema value; create schema contacts;
    create schema campaigns;
    create table meta.release as
    select 'r1' as release_id, 'by hand' as source, 'c1' as code_version, '2025-12' as as_of,
        'run1' as dagster_run_id;
    create table value.offer as from (values
        ('CARD', 'Card <Gold>', 'cards'), ('FUND', 'Fund', 'wealth')
    ) as t (product_id, product_name, product_line);
    create table contacts.talking_point as from (values
        ('wealth', '*', 'en', 'Ask first.'), ('wealth', '*', 'zh', '先问。'),
        ('wealth', 'high', 'en', 'Show the fees.'), ('wealth', 'high', 'zh', '说明费用。'),
        ('wealth', 'older', 'en', 'Leave time.'), ('wealth', 'older', 'zh', '留时间。')
    ) as t (product_line, audience, language, text);
    create table campaigns.measurement as from (values
        ('K1', 'response', 60, false), ('K2', 'response', 60, false), ('K3', 'response', 60, true)
    ) as t (campaign_id, outcome, window_days, is_sample_ratio_mismatch);

    create table campaigns.playbook as from (values
        ('all', 'FUND', 'mobile', 800, 400, 0.08, 0.03, 0.05, 0.02, 0.08, null, 'works', 4.5),
        ('high', 'FUND', 'mobile', 90, 60, 0.10, 0.02, 0.08, 0.01, 0.15, 0.06, 'open', -1.25),
        ('base', 'FUND', 'mobile', 300, 200, 0.07, 0.03, 0.04, 0.02, 0.06, 0.045, 'works', 2.0),
        ('base', 'FUND', 'branch', 310, 210, 0.09, 0.03, 0.06, 0.03, 0.09, 0.05, 'works', 1.0),
        ('(none)', 'FUND', 'mobile', null, null, null, null, null, null, null, null, 'few', null),
        ('all', 'OLD', 'online', 0, 0, null, null, null, null, null, null, 'rates only', null)
    ) as t (customer_group, product_id, channel, treated, control, treated_rate, control_rate,
        effect, effect_low, effect_high, pooled_effect, verdict, profit_per_contact);
    alter table campaigns.playbook add column profit_low double;
    alter table campaigns.playbook add column profit_high double;
    alter table campaigns.playbook add column other_contacts bigint;
    alter table campaigns.playbook add column other_rate double;
    alter table campaigns.playbook add column note varchar;
    update campaigns.playbook set other_contacts = 120, other_rate = 0.11 where product_id = 'OLD';
    update campaigns.playbook set note = 'no response of a control was delivered: were they not '
        || 'recorded, the effect is too high' where channel = 'branch';

    create table base.customer as
    select
        'PERSON' || n as customer_id, date '2015-03-01' + n::integer as customer_since
    from generate_series(1, {ALIKE + FEWER}) as s (n);
    create table base.customer_month as
    select
        'PERSON' || n as customer_id, month, (2345.67 + n)::decimal(18, 2) as balance_deposits,
        (1.01 * n)::decimal(18, 2) as balance_wealth, (3100.29 + n)::decimal(18, 2) as inflow,
        0 as accounts_lending, 1 as accounts_cards, 0 as accounts_wealth
    from generate_series(1, {ALIKE + FEWER}) as s (n)
    cross join (values (date '2025-04-01'), (date '2025-05-01'), (date '2025-06-01')) as t (month);
    -- The month of the contact has other figures: nobody may see them.
    update base.customer_month set balance_deposits = 999999, inflow = 999999
    where month = date '2025-06-01';
    create table value.customer_tier as
    select
        customer_id, month, case when month < date '2025-06-01' then 'base' else 'high' end as tier,
        case when month < date '2025-06-01' then 4 else 2 end as tier_number
    from base.customer_month;
    insert into value.customer_tier values
    ('X', date '2025-12-01', 'high', 2), ('Y', date '2025-12-01', 'base', 4);
    create table base.campaign_contact as
    select
        'CONTACT' || n as contact_id, case when n <= {ALIKE} then 'K1' else 'K2' end as campaign_id,
        case when n <= {ALIKE} then 'FUND' else 'CARD' end as product_id, 'mobile' as channel,
        'PERSON' || n as customer_id, {CONTACTED} as contacted_on, date '2025-06-01' as month,
        case when n % 2 = 0 then 'treatment' else 'control' end as arm,
        0.5 as assignment_probability,
        case when n % 4 = 0 then {CONTACTED} + 60 when n % 4 = 2 then {CONTACTED} + 61 end
            as responded_on
    from generate_series(1, {ALIKE + FEWER}) as s (n);
    create table base.account as
    select 'A1' as account_id, 'FUND' as product_id, {CONTACTED} + 3 as opened_on;
    create table base.account_holder as
    select 'A1' as account_id, 'PERSON3' as customer_id, true as is_beneficial;
"""


built = partial(sites.build, pages=(playbook.PAGE,))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("playbook"), BANK)


def words(site: Path, language: str = "en") -> str:
    page = (site / language / "playbook.html").read_text(encoding="utf-8")
    page = re.sub(r"<svg.*?</svg>", " ", page[page.index("<main") :], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def rows(site: Path, name: str) -> list[dict[str, str]]:
    with (site / "csv" / f"playbook_{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_findings_are_marked_and_counted(site):
    text = words(site)
    # Of groups: all customers are no group, and one group has too few.
    assert "Combinations compared 3 group, offer and channel; 1 more have too few" in text
    assert "That work beyond chance 2 of 3" in text
    assert "Contacts without a comparison 120" in text
    assert "Mobile High the data cannot tell 90 60 10.0 % 2.0 % 8.0 % 1.0 % 15.0 % -1.25" in text
    assert "Mobile Without a tier at the time too few to tell – –" in text
    assert "Online All customers no comparison 0 0 – – – – – – – – 120 11.0 %" in text
    assert "works beyond chance no response of a control was delivered" in text
    labels = (site / "en" / "playbook.html").read_text()
    assert "Mobile: Base: 4.0 % (2.0 % to 6.0 %), drawn towards the mean 4.5 %" in labels
    assert [row["verdict"] for row in rows(site, "cell")].count("works") == 3


def test_each_offer_has_channels_that_work_and_what_to_say_by_group(site):
    text = words(site)
    guide = text[text.index("Fund All customers") : text.index("More responses")]
    # By the effect drawn towards the mean, the highest first; all customers have none.
    base = guide[guide.index("Base ") :]
    assert base.index("Branch 9.0 %") < base.index("Mobile 7.0 %")
    assert "High No channel works beyond chance so far. Show the fees." in guide
    assert "Ask first." in guide and "Leave time." not in text
    assert "说明费用。" in words(site, "zh") and "Show the fees." not in words(site, "zh")
    page = (site / "en" / "playbook.html").read_text()
    assert all(f'id="{anchor(product)}"' in page for product in ("CARD", "FUND", "OLD"))
    assert "No contact for this offer is measured yet." in text


def test_a_case_is_one_of_many_alike_and_shows_the_month_before(site):
    found = rows(site, "case")
    # Of the card, 19 are alike: no case. Those contacted answered on day 60, or too late; a control
    # opened an account.
    assert {(row["product_id"], row["arm"], row["is_taken"]) for row in found} <= {
        ("FUND", "treatment", "True"),
        ("FUND", "treatment", "False"),
        ("FUND", "control", "True"),
        ("FUND", "control", "False"),
    }
    assert len(found) == 3 and {row["alike"] for row in found} == {str(ALIKE)}
    for row in found:
        assert (row["customer_group"], row["years"]) == ("base", "5")
        # 2,346 to 2,394 and 3,101 to 3,125; 999,999 is of the month of the contact.
        assert (row["balance"], row["inflow"], row["has_cards"]) == ("3000", "3000", "True")
    text = words(site)
    assert "Which offer, over which channel, or leave alone?" in text
    assert "Measured in this group: 7.0 % of those contacted and 3.0 % of those left alone" in text
    assert "What works in this group beyond chance: Fund, Branch ; Fund, Mobile" in text
    assert text.count("One customer’s outcome is no proof") == 3


def test_no_id_amount_or_day_of_a_customer_stands_in_page_or_file(site):
    everything = "".join(
        path.read_text(encoding="utf-8") for path in site.rglob("*") if path.is_file()
    )
    assert "PERSON" not in everything and "CONTACT" not in everything.replace("CONTACTED", "")
    plain = everything.replace(",", "")
    for number in range(1, ALIKE + FEWER + 1):
        for exact in (2345.67 + number, 3100.29 + number, 2345.67 + 2.01 * number):
            assert f"{exact:.2f}" not in plain and f"{round(exact)}.0" not in plain
    assert "2025-06" not in everything and "2015" not in everything


def test_the_same_cases_come_from_the_same_contacts_in_any_order(site, tmp_path):
    again = built(
        tmp_path,
        BANK
        + """
        create or replace table base.campaign_contact as
        select * from base.campaign_contact order by md5(contact_id);
        """,
    )
    assert rows(again, "case") == rows(site, "case")


@pytest.mark.parametrize(
    "change",
    [
        "update base.campaign_contact set assignment_probability = null",
        "update base.campaign_contact set assignment_probability = 1",
        "update campaigns.measurement set is_sample_ratio_mismatch = true",
        "update base.campaign_contact set contacted_on = date '2025-11-02'",
        f"delete from base.customer where customer_id > 'PERSON{ALIKE - 5}'",
    ],
    ids=["no probability", "certain", "mismatch", "window open", "too few alike"],
)
def test_without_contacts_to_learn_from_there_is_no_case(tmp_path, change):
    found = built(tmp_path, f"{BANK};{change};")
    assert "No case can be shown: it takes past contacts" in words(found)
    assert not (found / "csv" / "playbook_case.csv").exists()


def test_a_bank_without_campaigns_sees_what_to_deliver(tmp_path):
    found = built(
        tmp_path,
        BANK + "drop schema campaigns cascade; drop table base.campaign_contact;",
    )
    for language in LANGUAGES:
        assert "<table" not in (found / language / "playbook.html").read_text()
    text = words(found)
    assert "Deliver campaigns, contacts with arm and assignment probability" in text
    assert "Fund All customers Ask first." in text and "Practice cases No case can be" in text
