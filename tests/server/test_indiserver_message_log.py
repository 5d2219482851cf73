"""What the drop-in for indiserver keeps of what drivers say."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from indianyio._routing import PeerKind, Relayed
from indianyio._vocabulary import Limits
from indianyio.indiserver._logs import TRAFFIC_LOGGER, MessageLog, keeping_messages, log_traffic
from indianyio.protocol import Frame
from indianyio.server._hub import Hub
from indianyio.server._ports import Direction, Port

MESSAGE = '<message device="Box"/>'
NOW = "2026-03-04T05:06:07"


def frame(attributes: str, tag: str = "message") -> Frame:
    return Frame(tag, f"<{tag} {attributes}/>".encode())


def kept(folder: Path, *frames: Frame) -> dict[str, str]:
    log = MessageLog(folder, lambda: datetime.fromisoformat(NOW).replace(tzinfo=UTC))
    for one in frames:
        log.note(one)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("sent", "stamp"),
    [
        ("2024-05-06T07:08:09", "2024-05-06T07:08:09"),
        ("2024-05-06T07:08:09.123", "2024-05-06T07:08:09.123"),
        ("2024/5/6 7:08:09", "2024-05-06T07:08:09"),
        ("../../etc/passwd", NOW),
        ("/etc/cron.T00:00:00", NOW),
        ("2024-99-99T07:08:09", NOW),
        ("2024-05-06T../../x", NOW),
        ("", NOW),
    ],
)
def test_the_file_is_a_day_whatever_was_sent(tmp_path: Path, sent: str, stamp: str) -> None:
    message = frame(f'device="Scope" timestamp="{sent}" message="slewing"')
    assert kept(tmp_path, message) == {f"{stamp[:10]}.islog": f"{stamp}: Scope: slewing\n"}


def test_every_kind_of_message_is_kept_and_only_those_with_a_text(tmp_path: Path) -> None:
    messages = [
        frame('device="A" name="V" state="Ok" message="done &amp; dusted"', "setTextVector"),
        frame('device="A" name="V" state="Ok" message=""', "setTextVector"),
        frame('device="A" name="V" state="Ok"', "setTextVector"),
        frame('message="for all"'),
    ]
    assert kept(tmp_path, *messages) == {f"{NOW[:10]}.islog": f"{NOW}: A: done & dusted\n{NOW}: : for all\n"}


def test_a_message_stays_one_line(tmp_path: Path) -> None:
    forged = frame(f'device="A&#10;" message="x&#10;{NOW}: B: forged&#x2028;line"')
    (text,) = kept(tmp_path, forged).values()
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1


def test_a_folder_that_is_not_there_stops_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = MessageLog(tmp_path / "later")
    for _ in range(3):
        log.note(frame('device="A" message="x"'))
    assert len(caplog.records) == 1
    (tmp_path / "later").mkdir()
    log.note(frame('device="A" message="x"'))
    assert len(list((tmp_path / "later").iterdir())) == 1


class Silent:
    name = "silent"
    attaches = None

    def deliver(self, relay: Relayed) -> None:
        pass

    def refuse(self, reason: str) -> None:
        pass


def test_what_clients_say_is_not_kept(tmp_path: Path) -> None:
    hub = Hub(Limits(), [keeping_messages(MessageLog(tmp_path))])
    client, driver = Silent(), Silent()
    hub.add_client(client)
    hub.add_driver(driver)
    hub.receive(client, frame('device="A" message="from a client"'))
    assert list(tmp_path.iterdir()) == []
    hub.receive(driver, frame('device="A" message="from a driver"'))
    (file,) = tmp_path.iterdir()
    assert "from a driver" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "name", "title"),
    [
        (PeerKind.DRIVER, "Driver indi_x", "Driver indi_x"),
        (PeerKind.DRIVER, "indi_x", "driver indi_x"),
        (PeerKind.REMOTE, "dome.local:7624", "server dome.local:7624"),
        (PeerKind.CLIENT, "127.0.0.1:50000 (client 1)", "client 127.0.0.1:50000 (client 1)"),
    ],
)
@pytest.mark.parametrize(("level", "what"), [(logging.INFO, "message Box "), (logging.DEBUG, MESSAGE)])
def test_a_line_of_traffic_says_once_what_a_peer_is(
    kind: PeerKind, name: str, title: str, level: int, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, TRAFFIC_LOGGER)
    port = cast("Port", SimpleNamespace(name=name))
    log_traffic(port, kind, Direction.RECEIVED, Frame("message", MESSAGE.encode()))
    assert [record.getMessage() for record in caplog.records] == [f"{title}: read {what}"]
