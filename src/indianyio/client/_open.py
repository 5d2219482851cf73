"""Opening a client: a block that has a connection to a server for as long as it lasts."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from indianyio._block import at_work
from indianyio._environment import THIS_MACHINE, Environment
from indianyio.client._client import Client
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol._text import require_xml_text
from indianyio.streams import ByteStream

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["open_client", "way_to"]


@asynccontextmanager
async def open_client(
    host: str = "localhost",
    port: int = 7624,
    *,
    unix: str | None = None,
    stream: ByteStream | None = None,
    tls: bool | SSLContext = False,
    device: str | None = None,
    reconnect: bool = False,
    timeout: float = 10.0,
    validate: bool = True,
    folder: str | os.PathLike[str] | None = None,
    environment: Environment = THIS_MACHINE,
) -> AsyncGenerator[Client]:
    """Be the client of an INDI server for as long as the block lasts.

    ::

        async with open_client("observatory") as indi:
            camera = await indi.device("CCD Simulator", timeout=5)
            ...

    What the block raises comes out of it unchanged. If the server is lost, and the client does not
    reconnect, the block is cancelled at once and one :exc:`ConnectionLostError` comes out.

    When the block begins there is a connection, but the server may not have reported any device yet.

    :param host: the server's name or address.
    :param port: its TCP port.
    :param unix: its unix socket instead: a path, or for an abstract one ``@`` and its name. BLOBs then arrive as
        descriptors.
    :param stream: an existing connection instead; closed when the block ends.
    :param tls: whether the connection is encrypted: ``True`` trusts whom this machine trusts; a context (made by
        :func:`ssl.create_default_context`) says whom to trust, and may hold the client's own certificate.
    :param device: the only device that is wanted; all if absent.
    :param reconnect: whether to reconnect when the server is lost, for as long as that takes. What was known about
        it stays, and is marked as stale until the server has sent it again. An operation that was in progress
        raises :exc:`ConnectionLostError` nevertheless, and is never repeated automatically.
    :param timeout: how long connecting may take, in seconds.
    :param validate: whether writes are checked before they are sent, unless a single write says otherwise.
    :param folder: where large BLOBs are kept as long as somebody has them; where temporary files go if absent.
    :param environment: what it uses to connect, and its source of random numbers; this machine if absent. See
        :class:`indianyio.server.Environment`.
    :raises OSError: the server cannot be reached, or its certificate is not accepted; the text says which, and why.
    :raises ConnectionLostError: it was lost.
    :raises RemoteProtocolError: it defines more than a client can keep.
    :raises ValueError: a stream is given beside a unix socket or is to reconnect; or TLS is wanted without TCP.
    """
    if unix is not None and stream is not None:
        raise ValueError("give a unix socket or a stream, not both")
    if stream is not None and reconnect:
        raise ValueError("a stream that is given cannot be connected again; leave reconnect out")
    require_xml_text("all" if device is None else device, "the device")
    if tls and (unix is not None or stream is not None):
        raise ValueError("only a TCP connection can be encrypted by TLS")
    name, dial_once = way_to(host, port, unix, stream, timeout, _context(tls), environment)
    client = Client(
        dial_once,
        name=name,
        device=device,
        reconnect=reconnect,
        validate=validate,
        folder=None if folder is None else os.fspath(folder),
        environment=environment,
    )
    async with at_work(
        client._serve, client._end, what="the client", failed=lambda failure: failure, outranks=ConnectionLostError
    ):
        yield client


def _context(tls: bool | SSLContext) -> SSLContext | None:
    if not isinstance(tls, bool):
        return tls
    if not tls:
        return None
    import ssl  # here, because few programs need it

    return ssl.create_default_context()


def way_to(
    host: str,
    port: int,
    unix: str | None,
    stream: ByteStream | None,
    timeout: float,
    tls: SSLContext | None,
    environment: Environment = THIS_MACHINE,
) -> tuple[str, Callable[[], Awaitable[ByteStream]]]:
    """Return what the server is called, and the function that connects to it."""

    async def connect() -> ByteStream:
        try:
            if stream is not None:
                return stream
            if unix is not None:
                return await environment.connect_unix(unix, timeout, name=name)
            return await environment.connect(host, port, timeout, name=name, tls=tls)
        except UnicodeError as error:  # raised for a name that cannot be one in DNS
            raise OSError(f"{name}: there is no such host: {error}") from error
        except OSError as error:
            hint = "; is an INDI server running there?" if error.errno == errno.ECONNREFUSED else ""
            raise OSError(error.errno, f"{name}: {error.strerror or error}{hint}") from error

    name = unix or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if stream is not None:
        name = stream.name
    return name, connect
