"""Messages: English text that another language shows by its pattern."""

from __future__ import annotations

import copy
import pickle

import pytest

from orchestration.platform.wording import Found, in_language
from reports.words import Phrase
from sources import codes
from sources.interface import DeliveryRefused, Problem
from sources.message import Message, guess, listed, sentences

PROBLEM = Problem(
    "customer", "month", Message("is missing"), sentences(Message("Rename it."), guess(["{x}"]))
)


def test_a_message_is_its_english_text_in_any_copy():
    message = PROBLEM.message
    assert message == "customer, column month: is missing. Rename it. Is it {x}?"
    for copied in (copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert (copied, copied.pattern, copied.parts) == (message, message.pattern, message.parts)


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        # Names stay, also those that are words of the catalogue.
        (PROBLEM.message, "customer，列 month：缺失。请改名。 是否为 {x}？"),
        (Message("{0} other values", "1,234"), "另有1,234个值"),
        (Message("note: {0}", Phrase("branch {0}", 7)), "提示：网点 7"),
        (Message("{0}: changed rows", listed(["a", "b", "c"], 2)), "a, b，另有1项：数据行有变化"),
        (
            Found("G1 warns: 3", Message("G1 warns: {0}: {1}. {2}", "a", "b", "c")),
            "G1 警告：a：b。c",
        ),
        ("customer", "customer"),
        ("", ""),
    ],
)
def test_a_message_is_shown_in_a_language_and_names_in_it_stay(text, chinese):
    assert in_language(text, "zh") == chinese
    assert in_language(text, "en") == text


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("`mystery` (3 rows)", "`mystery`（共3行）"),
        (
            "`depsit` (1,412 rows): did you mean `deposit`?; `a; b` (1 row); 2 values (9 rows)",
            "`depsit`（共1,412行）：是否应为 `deposit`？；`a; b`（1行）；2个值（共9行）",
        ),
        ("1 value (2 rows)", "1个值（共2行）"),
        ("of an earlier version", "of an earlier version"),
    ],
)
def test_a_description_of_codes_that_was_kept_as_text_is_shown_in_a_language(text, chinese):
    found = codes.in_words(text)
    assert found == text and in_language(found, "zh") == chinese


def test_a_refused_delivery_has_all_problems_in_both_languages():
    refused = DeliveryRefused([PROBLEM, PROBLEM])
    assert str(refused).splitlines()[1] == f"  1. {PROBLEM}"
    chinese = in_language(refused.args[0], "zh").splitlines()
    assert chinese[0] == "所提供的数据被拒绝，共2个问题："
    assert [line[:5] for line in chinese[1:]] == ["  1. ", "  2. "]
