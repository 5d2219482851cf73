"""When what was lost is tried again."""

from __future__ import annotations

import itertools
import logging

import pytest

from indianyio._routing import PeerOutbox
from indianyio._vocabulary import Limits
from indianyio.server._hub import Hub
from indianyio.server._peers import CLIENT, Peer, run_guarded
from indianyio.server._supervision import STEADY_SECONDS, Attempts, Backoff
from indianyio.streams import memory_pair


def middle() -> float:
    return 0.5


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff(), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (Backoff(first_seconds=1, factor=3, most_seconds=5), [1, 3, 5, 5, 5, 5, 5, 5]),
        (Backoff(factor=1), [0.5] * 8),
        (Backoff(limit=3), [0.5, 1, 2]),
        (Backoff(limit=0), []),
    ],
)
def test_delays_grow_up_to_a_bound(backoff: Backoff, delays: list[float]) -> None:
    assert list(itertools.islice(backoff.delays(middle), 8)) == delays


@pytest.mark.parametrize(("drawn", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_delays_differ_by_the_jitter(drawn: float, factor: float) -> None:
    first, *_, last = itertools.islice(Backoff().delays(lambda: drawn), 2000)
    assert first == pytest.approx(0.5 * factor)
    assert last == pytest.approx(30 * factor)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_seconds": 0.0},
        {"first_seconds": float("nan")},
        {"first_seconds": 31.0},
        {"factor": 0.9},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"limit": -1},
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="nothing can be tried again"):
        Backoff(**wrong)  # type: ignore[arg-type]


def test_what_worked_for_a_while_is_tried_again_soon() -> None:
    attempts = Attempts(Backoff(), middle)
    assert [attempts.next_delay(0) for _ in range(4)] == [0.5, 1, 2, 4]
    assert attempts.next_delay(STEADY_SECONDS) == 0.5
    assert attempts.next_delay(STEADY_SECONDS - 1) == 1
    assert attempts.made == 6


def test_a_limit_is_one_on_all_attempts_together() -> None:
    attempts = Attempts(Backoff(limit=3), middle)
    assert [attempts.next_delay(1000) for _ in range(4)] == [0.5, 0.5, 0.5, None]
    assert attempts.next_delay(0) is None
    assert attempts.made == 3


@pytest.mark.anyio
async def test_what_fails_in_a_port_is_logged_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Hub):
        def receive(self, *args: object, **options: object) -> None:
            raise RuntimeError("a bug")

    near, far = memory_pair(names=("broken", "test"))
    await far.send(b'<getProperties version="1.7"/>')
    assert await run_guarded(Peer(Broken(Limits()), near, PeerOutbox(), CLIENT)) == "serving it failed"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "a bug" in caplog.text
