"""The process beside this one: its calls, its end, and batches shared with it."""

from __future__ import annotations

import os
import pickle
import time

import pytest

from orchestration.models.own_process import OwnProcess, side_by_side


def _twice(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def _refuse() -> None:
    raise ValueError("no rows to learn from")


def _end(code: int) -> None:
    os._exit(code)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_calls_run_in_order_in_one_other_process_that_ends_with_the_block():
    with OwnProcess() as own:
        answers = [call.result() for call in [own.submit(_twice, number) for number in range(3)]]
        (pid,) = {pid for _, pid in answers}
        assert _is_alive(pid)
    assert [double for double, _ in answers] == [0, 2, 4]
    assert pid != os.getpid()
    assert not _is_alive(pid)


def test_an_error_is_raised_here_with_its_origin_and_the_process_goes_on():
    with OwnProcess() as own:
        with pytest.raises(ValueError, match="no rows to learn from") as caught:
            own.submit(_refuse).result()
        assert "in _refuse" in "".join(caught.value.__notes__)
        assert own.submit(_twice, 4).result()[0] == 8


def test_a_process_that_was_ended_is_reported_with_its_exit_code_and_a_cure():
    with OwnProcess() as own, pytest.raises(RuntimeError, match=r"exit code 3\)\. Free memory"):
        own.submit(_end, 3).result()


def test_leaving_the_block_does_not_wait_for_a_call():
    started = time.monotonic()
    with OwnProcess() as own:
        own.submit(_twice, 1).result()
        own.submit(time.sleep, 600)
    assert time.monotonic() - started < 300


def test_a_call_that_cannot_be_pickled_is_refused_before_it_is_sent():
    with OwnProcess() as own:
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            own.submit(lambda: 1).result()
        assert own.submit(_twice, 1).result()[0] == 2


def _doubled(batch: list[int]) -> tuple[list[int], int]:
    if None in batch:
        raise ValueError("a batch is empty")
    return [2 * number for number in batch], os.getpid()


def test_batches_are_worked_on_in_two_processes_and_come_in_their_order():
    batches = [[number, number + 1] for number in range(5)]
    found = list(side_by_side(_doubled, iter(batches)))
    assert [given for given, _ in found] == batches
    assert [doubled for _, (doubled, _) in found] == [[2 * a, 2 * b] for a, b in batches]
    processes = [process for _, (_, process) in found]
    assert processes[::2] == [os.getpid()] * 3
    if (os.cpu_count() or 1) > 1:
        (other,) = set(processes[1::2])
        assert other != os.getpid() and not _is_alive(other)


def test_one_batch_needs_no_other_process():
    (((given,), ((doubled,), process)),) = side_by_side(_doubled, iter([[4]]))
    assert (given, doubled, process) == (4, 8, os.getpid())


@pytest.mark.parametrize("faulty", [0, 1])
def test_an_error_in_either_process_is_raised(faulty: int):
    batches: list[list[int | None]] = [[1], [2], [3]]
    batches[faulty] = [None]
    with pytest.raises(ValueError, match="a batch is empty"):
        list(side_by_side(_doubled, iter(batches)))


def test_no_more_than_two_batches_are_held():
    read: list[int] = []

    def batches():
        for number in range(6):
            read.append(number)
            yield [number]

    for done, _ in enumerate(side_by_side(_doubled, batches())):
        assert len(read) <= done + 2
