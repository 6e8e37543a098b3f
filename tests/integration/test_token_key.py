"""The key of quarantine's tokens: where it may come from, and what another one changes."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import duckdb
import pytest
from pydantic import ValidationError

from orchestration.cli import main
from orchestration.landing.engine import land
from orchestration.landing.months import STATE_FILE
from orchestration.landing.token_key import rotate, token_key
from orchestration.platform import audit, files
from orchestration.platform.environment import HomeRefused, prepare
from orchestration.platform.files import write_whole
from orchestration.platform.settings import Settings, read_settings
from sources.files import DeliveredFiles
from tests.unit.test_changes import NEWEST, TODAY, WHOLE, small_bank

LONG, OTHER = "k" * 32, "o" * 40


@pytest.fixture
def settings(tmp_path) -> Settings:
    settings = Settings(home=tmp_path, user="Tove Berg")
    settings.landing.mkdir()
    return settings


def given(settings: Settings, key: str) -> Settings:
    return Settings(home=settings.home, user="Tove Berg", token_key=key)


def acts(settings: Settings) -> list[tuple[str, str, str]]:
    return [(one.act, one.outcome, one.detail) for one in audit.entries(settings)]


def test_a_new_key_replaces_the_file_whole_and_is_recorded_without_it(settings):
    before = token_key(settings)
    rotate(settings)
    after = token_key(settings)
    assert before != after and len(after) == 32
    assert stat.S_IMODE(settings.token_key_file.stat().st_mode) == 0o600
    ((act, outcome, detail),) = acts(settings)
    assert (act, outcome) == ("rotate_key", "done")
    assert len(set(re.findall(r"\b[0-9a-f]{16}\b", detail))) == 2
    assert before.hex() not in detail and after.hex() not in detail


def test_a_rotation_that_fails_or_is_killed_leaves_one_whole_key(settings, monkeypatch):
    before = token_key(settings)
    replace = os.replace

    class Killed(BaseException):
        pass

    for fault, after in ((OSError(28, "No space left on device"), False), (Killed(), True)):

        def fail(source, target, fault=fault, after=after):
            if Path(target) == settings.token_key_file:
                if after:
                    replace(source, target)
                raise fault
            replace(source, target)

        monkeypatch.setattr(files.os, "replace", fail)
        with pytest.raises(type(fault)):
            rotate(settings)
        monkeypatch.undo()
        assert (token_key(settings) != before) is after
        assert [path.name for path in settings.token_key_file.parent.iterdir()] == ["token.key"]
    assert [one[:2] for one in acts(settings)] == [
        ("rotate_key", "done"),
        ("rotate_key", "failed"),
        ("rotate_key", "done"),
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read_is_refused_and_left_as_it_is(settings, mode):
    token_key(settings)
    settings.token_key_file.chmod(mode)
    for read in (token_key, prepare):
        with pytest.raises(HomeRefused, match=f"expected mode 0600, found {mode:04o}. Run chmod"):
            read(settings)
    assert stat.S_IMODE(settings.token_key_file.stat().st_mode) == mode


@pytest.mark.parametrize("key", ["short", "x" * 31, " " * 64])
def test_a_short_key_of_the_environment_is_refused_unseen(settings, monkeypatch, capsys, key):
    monkeypatch.setenv("JINGXI_TOKEN_KEY", key)
    with pytest.raises(ValidationError):
        read_settings(home=settings.home)
    monkeypatch.setenv("JINGXI_HOME", str(settings.home))
    assert main(["releases"]) == 2
    shown = capsys.readouterr().err
    assert "TOKEN_KEY (JINGXI_TOKEN_KEY) is invalid: expected at least 32 characters" in shown
    assert key not in shown


def test_the_key_of_the_environment_is_not_kept_and_another_is_refused(settings):
    assert token_key(given(settings, LONG)) == LONG.encode()
    assert not settings.token_key_file.exists()
    (mark,) = settings.token_key_file.parent.iterdir()
    assert LONG not in mark.read_text() and LONG not in repr(given(settings, LONG))
    for other in (given(settings, OTHER), settings):
        with pytest.raises(HomeRefused, match="make rotate-key"):
            token_key(other)
    rotate(given(settings, OTHER))
    assert token_key(given(settings, OTHER)) == OTHER.encode()
    with pytest.raises(HomeRefused, match="is the key of .* already"):
        rotate(given(settings, OTHER))
    with pytest.raises(HomeRefused, match="make rotate-key"):
        token_key(given(settings, LONG))


def test_a_key_moves_from_file_to_environment_and_back_only_by_rotation(settings):
    token_key(settings)
    with pytest.raises(HomeRefused, match="it is not the key of the tokens"):
        token_key(given(settings, LONG))
    rotate(given(settings, LONG))
    assert not settings.token_key_file.exists()
    assert token_key(given(settings, LONG)) == LONG.encode()
    rotate(settings)
    assert len(token_key(settings)) == 32 and settings.token_key_file.exists()
    assert [one[:2] for one in acts(settings)] == [("rotate_key", "done")] * 2


def test_a_lost_key_is_replaced_by_a_rotation_alone(settings):
    write_whole(settings.landing / STATE_FILE, "{}")
    for one in (settings, given(settings, LONG)):
        with pytest.raises(HomeRefused, match="make rotate-key"):
            token_key(one)
    rotate(settings)
    assert len(token_key(settings)) == 32


def test_a_refresh_after_a_rotation_has_new_tokens_and_rebuilds_no_month(settings):
    bank = small_bank()
    for name in ("ann@mail.example", "bob@mail.example", "bob@mail.example"):
        bank.add("customer/2024-04", customer_id=name[:3] + str(len(name)), birth_date=name)
    source = DeliveredFiles(bank.write(settings.home / "given"))
    tokens, digests = [], []
    with duckdb.connect() as connection:
        for window in (WHOLE, NEWEST, NEWEST):
            summary = land(
                *(connection, source, window, settings.landing, token_key(settings), TODAY)
            )
            if tokens:
                assert (summary.window, summary.changes) == (window, ())
            found = connection.table("quarantine.customer").project("value").fetchall()
            tokens.append(sorted(value for (value,) in found))
            digests.append(connection.table("meta.landed_month").order("all").fetchall())
            if len(tokens) == 2:
                rotate(settings)
    assert tokens[0] == tokens[1] != tokens[2]
    assert not set(tokens[0]) & set(tokens[2])
    assert digests[0] == digests[1] == digests[2]
