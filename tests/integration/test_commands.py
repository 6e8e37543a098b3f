"""The command line: what it refuses, before anything is built, and with which words."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: what they refuse leaves nothing that the next would meet."""
    return tmp_path_factory.mktemp("commands")


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        pytest.param(
            ("refresh",),
            {"as_of": "2029-01"},
            "AS_OF (JINGXI_AS_OF) is invalid: expected a month up to 2025-12",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("refresh",),
            {"as_of": "2022-12"},
            "before the first booking (2023-01)",
            marks=pytest.mark.slow,
        ),
        (("refresh", "--months", "2024-13"), {}, "MONTHS=2024-13 is invalid: expected YYYY-MM"),
        (("refresh",), {"costumers": "50"}, "unknown setting(s) JINGXI_COSTUMERS"),
        (("refresh",), {"source": "files"}, "requires the folder of its files"),
        (("summary",), {}, "nothing is published"),
        (("rollback",), {}, "no release precedes the served one"),
    ],
)
def test_a_command_that_cannot_run_names_the_reason_and_ends_with_status_2(
    home, command, arguments, settings, words
):
    result = command(home, *arguments, prepared=False, customers=100, **settings)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert not list(home.glob("published/releases/*"))
