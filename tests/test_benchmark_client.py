"""The client that measures servers must count right, and notice what is lost, wrong, or comes twice."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.peers.bursts import attached_blob, blob, content_of, numbers, payload, texts, wrapped_blob
from benchmarks.peers.client import DescriptorLink, NumberLink, PayloadLink, Plan, WrongContentError
from benchmarks.peers.measuring import run_client

NUMBER_TAG, BLOB_TAG, TEXT_TAG = b"</setNumberVector>", b"</setBLOBVector>", b"</setTextVector>"
DATA = payload(5_000)
ENCODED = base64.b64encode(DATA)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "door"))
        listener.listen()
        yield listener


@pytest.fixture
def place(door: socket.socket) -> str:
    return str(door.getsockname())


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def feed(link: NumberLink | PayloadLink, data: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the link receive this, so many bytes at a time."""
    left = pieces(data, size)
    monkeypatch.setattr(link, "receive", lambda: next(left))
    for _ in range(-(-len(data) // size)):
        link.take()
    link.sock.close()


@pytest.mark.parametrize("size", [1, 2, 17, 18, 19, 229, 1000, 1 << 18])
class TestWhereverTheStreamIsCut:
    def test_numbers(self, size: int, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        link = NumberLink(place, NUMBER_TAG)
        feed(link, numbers(20), size, monkeypatch)
        assert link.count == 20
        link.check(20)

    @pytest.mark.parametrize("ends", [b"", b"\n\n"])
    @pytest.mark.parametrize("message", [blob(DATA), wrapped_blob(DATA)], ids=["one line", "wrapped"])
    def test_a_blob_with_white_space_or_without(
        self, size: int, message: bytes, ends: bytes, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = content_of(message)
        link = PayloadLink(place, BLOB_TAG, b"<oneBLOB", content)
        head, _, tail = message.partition(content)
        feed(link, numbers(1) + (head.rstrip() + ends + content + ends + tail.lstrip()) * 3, size, monkeypatch)
        assert link.count == 3
        link.check(3)

    def test_a_blob_that_was_wrapped_on_the_way(
        self, size: int, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link = PayloadLink(place, BLOB_TAG, b"<oneBLOB", ENCODED)
        feed(link, wrapped_blob(DATA), size, monkeypatch)
        link.check(1)

    def test_texts(self, size: int, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        link = PayloadLink(place, TEXT_TAG, b"<oneText", b"x" * 500)
        feed(link, texts(4, b"x" * 500), size, monkeypatch)
        assert link.count == 4
        link.check(4)


@pytest.mark.parametrize("message", [blob(DATA[:200]), wrapped_blob(DATA[:200])], ids=["one line", "wrapped"])
def test_a_blob_in_two_pieces_cut_at_each_place(message: bytes, place: str) -> None:
    link = PayloadLink(place, BLOB_TAG, b"<oneBLOB", content_of(message))
    for cut in range(1, len(message)):
        for piece in (message[:cut], message[cut:]):
            link.handle(piece)
        link.check(1)
    assert link.count == len(message) - 1
    link.sock.close()


def test_numbers_as_another_writer_has_them(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = NumberLink(place, NUMBER_TAG)
    feed(link, numbers(3).replace(b'"', b"'").replace(b"\n", b""), 100, monkeypatch)
    link.check(3)


FOUR = [message + NUMBER_TAG for message in numbers(4).split(NUMBER_TAG)[:4]]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([*FOUR[:2], FOUR[3]], id="lost"),
        pytest.param([FOUR[0], FOUR[2], FOUR[1], FOUR[3]], id="swapped"),
        pytest.param([*FOUR[:3], FOUR[2]], id="twice in place of another"),
        pytest.param([*FOUR, FOUR[3]], id="one too many"),
        pytest.param([*FOUR[:3], FOUR[3].replace(b"12.345678", b"12.345679")], id="another value"),
        pytest.param([*FOUR[:3], FOUR[3].replace(b'"Ok"', b'"Busy"')], id="another state"),
        pytest.param([*FOUR[:3], FOUR[3].replace(b'"Bench"', b'"Other"')], id="another device"),
        pytest.param([*FOUR[:3], FOUR[3].replace(b' timestamp="2026', b' stamp="2026')], id="no timestamp"),
    ],
)
def test_numbers_that_are_not_what_was_sent(sent: list[bytes], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = NumberLink(place, NUMBER_TAG)
    feed(link, b"".join(sent), 1000, monkeypatch)
    with pytest.raises(WrongContentError):
        link.check(4)


@pytest.mark.parametrize(
    "content",
    [ENCODED[:-4], ENCODED + b"AAAA", ENCODED[:3000] + b"!" + ENCODED[3001:], b""],
    ids=["too short", "too long", "another byte", "empty"],
)
@pytest.mark.parametrize("size", [100, 1 << 18])
def test_a_blob_that_is_not_what_was_sent(
    content: bytes, size: int, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = PayloadLink(place, BLOB_TAG, b"<oneBLOB", ENCODED)
    with pytest.raises(WrongContentError):
        feed(link, blob(DATA).replace(ENCODED, content), size, monkeypatch)
    link.sock.close()


def test_a_blob_without_its_element(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = PayloadLink(place, BLOB_TAG, b"<oneBLOB", ENCODED)
    feed(link, b'<setBLOBVector device="Bench" name="IMAGE" state="Ok"></setBLOBVector>', 1000, monkeypatch)
    assert link.count == 1
    with pytest.raises(WrongContentError):
        link.check(1)


class TestDescriptors:
    def send(self, door: socket.socket, link: DescriptorLink, *contents: bytes) -> None:
        accepted, _ = door.accept()
        with accepted:
            for content in contents:
                descriptor = os.memfd_create("blob")
                os.write(descriptor, content)
                socket.send_fds(accepted, [attached_blob(len(DATA))], [descriptor])
                os.close(descriptor)
                link.take()

    def test_the_content_behind_each_is_compared(self, door: socket.socket, place: str) -> None:
        link = DescriptorLink(place, BLOB_TAG, DATA)
        with link.sock:
            self.send(door, link, DATA, DATA)
            assert link.count == 2
            link.check(2)

    @pytest.mark.parametrize("wrong", [DATA[:-1] + b"!", bytes(len(DATA))])
    def test_another_content(self, wrong: bytes, door: socket.socket, place: str) -> None:
        link = DescriptorLink(place, BLOB_TAG, DATA)
        with link.sock:
            self.send(door, link, wrong)
            with pytest.raises(WrongContentError):
                link.check(1)

    def test_a_message_without_one(self, door: socket.socket, place: str) -> None:
        link = DescriptorLink(place, BLOB_TAG, DATA)
        with link.sock:
            accepted, _ = door.accept()
            with accepted:
                accepted.sendall(attached_blob(len(DATA)))
                link.take()
            assert link.count == 1
            with pytest.raises(WrongContentError):
                link.check(1)


def test_a_plan_survives_its_way_to_the_client() -> None:
    for address in (("127.0.0.1", 7624), "\0name"):
        plan = Plan(address, "</setTextVector>", "<oneText", "/file", (1, 2), readers=3, stalled=4, seconds=5.0)
        read = Plan.from_json(plan.to_json())
        assert (read.address, list(read.bursts), read.readers) == (address, [1, 2], 3)


def serve_one_client(listener: socket.socket, sent: bytes) -> None:
    """Answer its two questions, and its wish for a burst with this; then hang up."""
    accepted, _ = listener.accept()
    with accepted:
        for answer in (b"</defNumberVector>", b"</defNumberVector>", sent):
            accepted.recv(1 << 16)
            accepted.sendall(answer)


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (numbers(3), "has closed a connection after 3 updates"),
        (numbers(4).replace(b"2.000000", b"7.000000"), "update 2 came with"),
    ],
    ids=["lost", "wrong"],
)
def test_what_a_server_does_wrong_fails_the_round(sent: bytes, complaint: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        done = threads.submit(serve_one_client, listener, sent)
        plan = Plan(listener.getsockname(), "</setNumberVector>", "numbers", bursts=(4,), seconds=20)
        with pytest.raises(RuntimeError, match=complaint):
            run_client(plan)
        done.result(20)
