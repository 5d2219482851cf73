"""Drivers that are programs of a few lines, and what the tests of them say to each other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from indianyio._routing import OUTBOX_BYTES
from indianyio.protocol import NewTextVector, OneText, SetTextVector
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._supervision import Backoff
from tests.server.watching import Watcher

SOON = Backoff(first_seconds=0.01, most_seconds=0.02)

# A driver of one text vector, as small as can be; what each test has it do comes in between and behind.
BEGINNING = '''
import os, signal, socket, sys, time

def say(text):
    data = text.encode()
    while data:
        data = data[os.write(1, data):]

def show(value, device="Box"):
    say(f'<setTextVector device="{device}" name="T" state="Ok"><oneText name="t">{value}</oneText></setTextVector>')

def define(device="Box"):
    say(f'<defTextVector device="{device}" name="T" label="T" group="G" state="Ok" perm="rw">'
        '<defText name="t" label="t">new</defText></defTextVector>')

def hear():
    data = os.read(0, 65536).decode()
    if not data:
        sys.exit(0)
    return data

def until_written():
    """Define for whoever asks, until somebody writes; return what a listener shows."""
    while True:
        heard = hear()
        if "<getProperties" in heard:
            define()
        if "oneText" in heard:
            return heard.count("oneText")

hear()
define()
'''
ANSWERING = "\nwhile True: show(until_written())\n"
LISTENING = "\nwhile True: show(hear().count('oneText'))\n"


class Programs:
    """Makes drivers out of a few lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, body: str, name: str = "box", device: str = "Box") -> str:
        path = self.folder / name
        beginning = BEGINNING.replace("Box", device)
        path.write_text(f"#!{sys.executable} -IS\n{beginning}{body}", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def driver(
        self,
        body: str = LISTENING,
        name: str = "box",
        *,
        device: str = "Box",
        restarts: int = 0,
        grace_seconds: float = 5.0,
        environment: Mapping[str, str] | None = None,
        outbox_bytes: int = OUTBOX_BYTES,
    ) -> ExternalDriver:
        return ExternalDriver(
            self.path(body, name, device),
            restarts=restarts,
            grace_seconds=grace_seconds,
            environment=environment,
            outbox_bytes=outbox_bytes,
            backoff=SOON,
        )


def write(value: str, device: str = "Box") -> NewTextVector:
    return NewTextVector(device=device, name="T", members=(OneText(name="t", value=value),))


async def value_shown(watcher: Watcher) -> str:
    update = await watcher.expect(SetTextVector)
    return str(update.members[0].value)


async def process_of(watcher: Watcher) -> int:
    """Return the process of a driver that shows it first."""
    return int(await value_shown(watcher))


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()
