"""A server that says what a test wants it to say, at the other end of a stream in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, TypeVar

import anyio
import pytest

from indianyio.client import Client, Device, Vector, open_client
from indianyio.protocol import (
    EnableBLOB,
    GetProperties,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    WireMessage,
)
from indianyio.streams import memory_pair
from indianyio.testing import Peer, member_values

DEVICE = "Scripted"

M = TypeVar("M", bound=WireMessage)


class Script:
    """The server's side of a conversation."""

    def __init__(self, peer: Peer, client: Client) -> None:
        self.peer = peer
        self.client = client

    async def say(self, *xml: str) -> None:
        """Send some XML, and wait until the client has dealt with it."""
        for each in xml:
            await self.peer.send(each)
        await self.fence()

    async def fence(self) -> None:
        """Wait until the client has dealt with everything that was sent."""
        done = anyio.Event()
        with self.client._listeners.listening(lambda change: done.set() if change.message == "fence" else None):
            await self.peer.send('<message message="fence"/>')
            await done.wait()

    async def written(self, vector: str) -> dict[str, str]:
        """Wait until the client writes this vector; return the texts."""
        while True:
            message = await self.peer.receive()
            if isinstance(message, NewNumberVector | NewSwitchVector | NewTextVector) and message.name == vector:
                return member_values(message)

    async def asked(self, kind: type[M]) -> M:
        """Wait until the client sends this."""
        return await self.peer.expect(kind)

    @property
    def device(self) -> Device:
        return self.client[DEVICE]

    def vector(self, name: str) -> Vector[Any]:
        return self.client[DEVICE][name]


@contextmanager
def ends_with(kind: type[BaseException], match: str | None = None) -> Iterator[None]:
    """Expect an error of a block that has more than one statement, as a client's has."""
    with pytest.raises(kind, match=match):
        yield


@asynccontextmanager
async def scripted(
    *definitions: str, capacity_bytes: int = 1 << 20, folder: str | None = None
) -> AsyncGenerator[Script]:
    """Open a client of a server that has defined this much."""
    near, far = memory_pair(names=("the client", "the script"), capacity_bytes=capacity_bytes)
    peer = Peer(near)
    async with open_client(stream=far, folder=folder) as client:
        script = Script(peer, client)
        await peer.expect(GetProperties)
        await script.say(*definitions)
        yield script
    await near.aclose()


def _vector(tag: str, name: str, state: str, members: str, attributes: str = "", message: str = "") -> str:
    said = f' message="{message}"' if message else ""
    return f'<{tag} device="{DEVICE}" name="{name}" state="{state}"{attributes}{said}>{members}</{tag}>'


Values: TypeAlias = Mapping[str, float | bool]


def numbers(name: str, state: str = "Idle", values: Values | None = None, /, **more: float) -> str:
    members = "".join(
        f'<defNumber name="{key}" format="%g" min="0" max="0" step="0">{value}</defNumber>'
        for key, value in {**(values or {}), **more}.items()
    )
    return _vector("defNumberVector", name, state, members, ' perm="rw"')


def set_numbers(name: str, state: str, values: Values | None = None, /, *, message: str = "", **more: float) -> str:
    members = "".join(
        f'<oneNumber name="{key}">{value}</oneNumber>' for key, value in {**(values or {}), **more}.items()
    )
    return _vector("setNumberVector", name, state, members, message=message)


def switches(
    name: str, state: str = "Idle", values: Values | None = None, /, *, rule: str = "OneOfMany", **more: bool
) -> str:
    members = "".join(
        f'<defSwitch name="{key}">{"On" if value else "Off"}</defSwitch>'
        for key, value in {**(values or {}), **more}.items()
    )
    return _vector("defSwitchVector", name, state, members, f' perm="rw" rule="{rule}"')


def set_switches(name: str, state: str, values: Values | None = None, /, *, message: str = "", **more: bool) -> str:
    members = "".join(
        f'<oneSwitch name="{key}">{"On" if value else "Off"}</oneSwitch>'
        for key, value in {**(values or {}), **more}.items()
    )
    return _vector("setSwitchVector", name, state, members, message=message)


def blobs(name: str = "CCD1", member: str = "CCD1") -> str:
    return (
        f'<defBLOBVector device="{DEVICE}" name="{name}" state="Idle" perm="ro">'
        f'<defBLOB name="{member}"/></defBLOBVector>'
    )


def deleted(name: str | None = None) -> str:
    return (
        f'<delProperty device="{DEVICE}"/>' if name is None else f'<delProperty device="{DEVICE}" name="{name}"/>'
    )


async def enabled(script: Script) -> EnableBLOB:
    return await script.peer.expect(EnableBLOB)
