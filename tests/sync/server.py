"""A server on a socket that says what a test wants it to say, from any thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from queue import Queue
from types import TracebackType
from typing import Self

from indianyio.protocol import (
    Frame,
    Framer,
    GetProperties,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    PingReply,
    PingRequest,
    decode,
    encode,
)
from indianyio.testing import member_values

_SECONDS = 60.0


class Scripted:
    """It accepts a client after the other, and defines to each what there is.

    :ivar port: where it listens.
    :ivar definitions: what it defines, as XML.
    """

    def __init__(self) -> None:
        self.definitions: tuple[str, ...] = ()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._written: Queue[tuple[str, dict[str, str]]] = Queue()
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive()

    def say(self, *xml: str) -> None:
        """Send some XML to the client."""
        assert self._client is not None
        self._client.sendall("".join(xml).encode())

    def written(self, vector: str) -> dict[str, str]:
        """Wait until the client writes this vector; return the texts."""
        while True:
            name, values = self.next_write()
            if name == vector:
                return values

    def next_write(self) -> tuple[str, dict[str, str]]:
        """Wait for the next write of a client; return the vector and the texts."""
        return self._written.get(timeout=_SECONDS)

    def drop(self) -> None:
        """Close the connection to the client."""
        if self._client is not None:
            with suppress(OSError):  # it has gone already
                self._client.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def meanwhile(self, answer: Callable[[], object]) -> Generator[None]:
        """Answer while the block works; what fails there fails the test."""
        failures: list[BaseException] = []

        def work() -> None:
            try:
                answer()
            except BaseException as error:  # noqa: BLE001 - raised below
                failures.append(error)
                self.drop()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join(_SECONDS)
            assert not thread.is_alive()
            if failures:
                raise failures[0]  # of which the error of the block is a mere consequence

    def _serve(self) -> None:
        while True:
            try:
                self._client = self._listening.accept()[0]
            except OSError:
                return
            with self._client, suppress(OSError):  # it is lost, and the next may come
                self._read(self._client)

    def _read(self, client: socket.socket) -> None:
        framer = Framer()
        while data := client.recv(1 << 16):
            for frame in framer.feed(data):
                assert isinstance(frame, Frame)
                self._take(client, decode(frame))

    def _take(self, client: socket.socket, message: object) -> None:
        if isinstance(message, GetProperties):
            client.sendall("".join(self.definitions).encode())
        elif isinstance(message, PingRequest):
            client.sendall(bytes(encode(PingReply(uid=message.uid))))
        elif isinstance(message, NewNumberVector | NewSwitchVector | NewTextVector):
            self._written.put((message.name, member_values(message)))
