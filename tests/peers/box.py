#!/usr/bin/env python3
"""The driver with which every server is asked: a plain program with one device, which uses no library.

It is started without arguments, as indiserver starts drivers; its device is named as its file is. The text vector
``ECHO`` is set to what is written to it, ``HEARD`` tells how many requests the driver has had, and a write to
``DO`` has it do something. One message is one line.
"""

import base64
import os
import re
import signal
import sys
import time
from collections.abc import Callable

DEVICE = os.path.basename(sys.argv[0])
MESSAGE = re.compile(rb"<(getProperties|newTextVector)\b[^>]*?(?:/>|>.*?</\1>)", re.DOTALL)
MEMBER = re.compile(rb"<oneText\b[^>]*>\s*(.*?)\s*</oneText>", re.DOTALL)

heard = 0


def say(text: str) -> None:
    data = memoryview(text.encode() + b"\n")
    while data:
        data = data[os.write(1, data) :]


def text(name: str, value: object, more: str = "", tag: str = "setTextVector", part: str = "oneText") -> None:
    head = f'<{tag} device="{DEVICE}" name="{name}" state="Ok"{more}>'
    say(f'{head}<{part} name="t">{value}</{part}></{tag}>')


def define() -> None:
    for name in ("ECHO", "DO", "COUNT", "HEARD"):
        text(name, "new", ' label="" group="Main" perm="rw"', "defTextVector", "defText")
    say(
        f'<defBLOBVector device="{DEVICE}" name="IMAGE" label="" group="Main" state="Ok" perm="ro">'
        '<defBLOB name="t" label=""/></defBLOBVector>'
    )


def count(most: str, padding: str = "0") -> None:
    """Set COUNT to 1, 2, ... most, each with a message of so many bytes."""
    for number in range(1, int(most) + 1):
        text("COUNT", number, f' message="{"x" * int(padding)}"')


def image(size: str) -> None:
    content = base64.b64encode(bytes(int(size))).decode()
    say(
        f'<setBLOBVector device="{DEVICE}" name="IMAGE" state="Ok">'
        f'<oneBLOB name="t" size="{size}" format=".bin">{content}</oneBLOB></setBLOBVector>'
    )
    text("COUNT", "after the image")


def broken() -> None:
    """Send a message whose end tag is not that of its start."""
    text("COUNT", "before")
    member = '<oneText name="t">broken</oneTxt>'
    say(f'<setTextVector device="{DEVICE}" name="COUNT" state="Ok">{member}</setTextVector>')
    text("COUNT", "after")


def die() -> None:
    os._exit(3)


def rest(seconds: float) -> None:
    """Do nothing for so long, or until the server has ended."""
    server = os.getppid()
    deadline = time.monotonic() + seconds
    while os.getppid() == server and time.monotonic() < deadline:
        time.sleep(0.1)


def deaf(seconds: str) -> None:
    """Read nothing for so long."""
    text("COUNT", "deaf")
    rest(float(seconds))


def stay() -> None:
    """Ignore SIGTERM, and the end of the input too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    text("COUNT", "staying")
    rest(600)


ORDERS: dict[str, Callable[..., None]] = {
    "count": count,
    "image": image,
    "broken": broken,
    "die": die,
    "deaf": deaf,
    "stay": stay,
}


def handle(message: bytes) -> None:
    global heard
    if message.startswith(b"<getProperties"):
        if f'device="{DEVICE}"'.encode() in message or b"device=" not in message:
            define()
        return
    member = MEMBER.search(message)
    if f'device="{DEVICE}"'.encode() not in message or member is None:
        return
    heard += 1
    value = member.group(1).decode("utf-8", "replace")
    if b'name="DO"' in message:
        order, *arguments = value.split()
        ORDERS[order](*arguments)
    elif b'name="ECHO"' in message:
        text("HEARD", heard)
        text("ECHO", value)


def main() -> None:
    waiting = b""
    define()
    while data := os.read(0, 65536):
        waiting += data
        end = 0
        for found in MESSAGE.finditer(waiting):
            handle(found.group())
            end = found.end()
        waiting = waiting[end:]


if __name__ == "__main__":
    main()
