"""What the benchmarks measure with must notice a message that is lost, wrong or late."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest
from benchmarks.peers.client import WrongContentError
from benchmarks.peers.processes import running
from benchmarks.peers.steady_client import SteadyLink, SteadyPlan, check, percentiles
from benchmarks.peers.steady_driver import updates
from benchmarks.peers.wire import Wire, check_echo, check_image, check_readings

TAG = b"</setNumberVector>"


def reading(value: int) -> bytes:
    return b"<setNumberVector name='READING'><oneNumber name='VALUE'>%d</oneNumber></setNumberVector>\n" % value


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield Wire(ours), theirs


class TestWire:
    @pytest.mark.parametrize("cut", [1, 2, 7, 17, 18, 19, 1000])
    def test_marks_count_wherever_the_stream_is_cut(
        self, cut: int, pair: tuple[Wire, socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wire, _ = pair
        sent = reading(1) + reading(2) + reading(3)
        pieces = iter([sent[start : start + cut] for start in range(0, len(sent), cut)])
        monkeypatch.setattr(wire, "_next_piece", lambda: next(pieces))
        assert wire.receive_until(TAG, 2) + b"\n" == reading(1) + reading(2)

    def test_what_comes_behind_is_kept(self, pair: tuple[Wire, socket.socket]) -> None:
        wire, peer = pair
        peer.sendall(reading(1) + reading(2) + reading(3))
        assert wire.receive_until(TAG, 2).count(b"<set") == 2
        assert wire.receive_until(TAG).strip() == reading(3).strip()

    def test_the_end_is_an_error(self, pair: tuple[Wire, socket.socket]) -> None:
        wire, peer = pair
        peer.sendall(reading(1))
        peer.close()
        with pytest.raises(ConnectionError):
            wire.receive_until(TAG, 2)


class TestChecks:
    @pytest.mark.parametrize("values", [[1], [1, 3, 2], [1, 2, 2], [1, 2, 3, 4], []])
    def test_a_burst_that_is_not_whole(self, values: list[int]) -> None:
        check_readings(b"".join(map(reading, [1, 2, 3])), 3)
        with pytest.raises(ValueError, match="of 3 messages"):
            check_readings(b"".join(map(reading, values)), 3)

    def test_an_answer_with_another_value(self) -> None:
        answer = reading(5).replace(b"READING", b"ECHO")
        check_echo(answer, 5)
        with pytest.raises(ValueError, match="the answer to 6"):
            check_echo(answer, 6)

    def test_a_blob_with_another_content(self) -> None:
        blob = b'<oneBLOB name="DATA" size="4" format=".bin">\nAB8+\nXQ==\n</oneBLOB>'
        check_image(blob, [], 4)
        with pytest.raises(ValueError, match="other content"):
            check_image(blob.replace(b"XQ", b"XA"), [], 4)
        with pytest.raises(ValueError, match="came out as 0 bytes"):
            check_image(b"<oneBLOB/>", [], 4)


class TestSteadyClient:
    @pytest.fixture
    def plan(self) -> Iterator[SteadyPlan]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            yield SteadyPlan(port=port, clients=2, vectors=2, period=0.5, ticks=2, seconds=1)

    @pytest.fixture
    def links(self, plan: SteadyPlan) -> Iterator[list[SteadyLink]]:
        links = [SteadyLink(plan) for _ in range(plan.clients)]
        for link in links:
            link.start = 100.0
        yield links
        for link in links:
            link.sock.close()

    def test_each_update_is_late_by_its_own_tick(
        self, links: list[SteadyLink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.monotonic", lambda: 100.75)
        links[0].note(3)
        links[0].note(3)
        assert list(zip(links[0].late, links[0].weight, strict=True)) == [(0.75, 2), (0.25, 1)]
        assert percentiles(links) == {"median": 0.75, "99th percentile": 0.75, "latest": 0.75}

    def test_updates_are_checked(self, plan: SteadyPlan, links: list[SteadyLink]) -> None:
        good = updates(2, 0) + updates(2, 1)
        check(plan, links, [good], complete=True)
        for bad in (updates(2, 0), updates(2, 1) + updates(2, 0), good.replace(b"12.3", b"12.4"), good + good):
            with pytest.raises(WrongContentError):
                check(plan, links, [bad], complete=True)

    def test_what_came_of_too_many_updates_is_checked(self, plan: SteadyPlan, links: list[SteadyLink]) -> None:
        check(plan, links, [updates(2, 0)], complete=False)
        with pytest.raises(WrongContentError):
            check(plan, links, [updates(2, 1)], complete=False)

    def test_all_clients_must_get_the_same(self, plan: SteadyPlan, links: list[SteadyLink]) -> None:
        links[1].checksum = 1
        with pytest.raises(WrongContentError, match="different bytes"):
            check(plan, links, [updates(2, 0) + updates(2, 1)], complete=True)


class TestPrograms:
    def test_what_a_program_leaves_behind_is_ended(self) -> None:
        script = (
            "import subprocess, time; subprocess.Popen(['sleep', '600']); print('x', flush=True); time.sleep(600)"
        )
        reading_end, writing_end = os.pipe()
        with open(reading_end, "rb") as said:
            with open(writing_end, "wb") as out, running([sys.executable, "-c", script], stdout=out.fileno()):
                out.close()
                assert said.readline() == b"x\n"
            assert said.read() == b""  # nobody is left who could write

    def test_a_failure_tells_what_the_program_said(self) -> None:
        def fail() -> None:
            with running([sys.executable, "-c", "import sys; sys.exit('no camera')"]) as process:
                process.wait()
                raise TimeoutError

        with pytest.raises(TimeoutError) as caught:
            fail()
        assert ["status 1" in note and "no camera" in note for note in caught.value.__notes__] == [True]
