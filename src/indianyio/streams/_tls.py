"""TLS under INDI: a byte stream that encrypts what it sends and decrypts what arrives.

Here OpenSSL works on two buffers in memory and never sees the socket, so waiting, closing and cancelling work as in
:class:`~indianyio.streams.SocketStream`. Receiving never sends: whatever OpenSSL wants to answer (with TLS 1.3, a
new key) may travel with the next message. So a peer that does not read cannot hold up the reading of what it sends,
and the task that receives and the task that sends need no lock between them.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import cast

import anyio
import anyio.lowlevel

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol._elements import Attachment
from indianyio.streams._base import RECEIVE_BYTES, SCRATCH, Received, refuse_attachments
from indianyio.streams._sockets import SocketStream

__all__ = ["HANDSHAKE_SECONDS", "TLSStream", "accept_tls", "check_server_context", "connect_tls"]

HANDSHAKE_SECONDS = 10.0
"""How long a client may take for the handshake: enough for some round trips over a slow line, no more."""

# How much is encrypted and sent at a time: four records. More would only be held twice.
_PIECE_BYTES = 64 << 10

# How much OpenSSL may want to answer before something is sent; it wants a few dozen bytes at a time. A peer that
# provokes more than this means no good.
_UNSENT_ANSWER_BYTES = 16 << 10

_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)


def check_server_context(context: ssl.SSLContext) -> None:
    """Refuse a context that cannot serve, before a client finds out.

    :raises ValueError: it is made for clients.
    """
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    except ssl.SSLError as exc:
        raise ValueError(
            "this SSLContext is for clients; make one with ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"
        ) from exc


async def accept_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    name: str | None = None,
    handshake_seconds: float = HANDSHAKE_SECONDS,
) -> TLSStream:
    """Do the server's part of a handshake on a connected socket and return the encrypted stream.

    If it is cancelled or fails, the socket cannot be used any more and the caller must close it. Otherwise the
    stream closes it.

    :param context: has the server's certificate; :attr:`ssl.SSLContext.verify_mode` decides about the client's.
    :param name: for log lines; derived from the peer's address unless given.
    :param handshake_seconds: how long the client may take.
    :raises ConnectionLostError: the client does not speak TLS, its certificate is not accepted, it took too long,
        or it has disconnected.
    """
    stream = TLSStream(sock, context, name=name)
    with anyio.move_on_after(handshake_seconds):
        await stream.shake_hands()
        return stream
    raise ConnectionLostError(f"{stream.name}: no TLS handshake within {handshake_seconds:g} s")


async def connect_tls(sock: socket.socket, context: ssl.SSLContext, host: str, *, name: str) -> TLSStream:
    """Do the client's part of a handshake on a connected socket and return the encrypted stream.

    If it is cancelled or fails, it closes the socket.

    :param context: which servers are trusted, and the client's own certificate if it has one.
    :param host: the server's name or address, which its certificate must show if the context demands that.
    :param name: what the stream is called in log lines.
    :raises OSError: the server does not speak TLS, or its certificate is not accepted; the text says why.
    :raises ValueError: the context is made for servers.
    """
    try:
        try:
            stream = TLSStream(sock, context, name=name, host=host)
        except ssl.SSLError as error:
            raise ValueError(
                "this SSLContext is for servers; make one with ssl.create_default_context()"
            ) from error
        try:
            await stream.shake_hands()
        except ConnectionLostError as error:
            raise OSError(errno.EPROTO, str(error).removeprefix(f"{name}: ")) from error.__cause__
    except BaseException:
        sock.close()
        raise
    return stream


class TLSStream:
    """A byte stream over a socket, encrypted; made by :func:`accept_tls` and :func:`connect_tls`.

    :param host: the server's name, if this end is the client's.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, name: str | None = None, host: str | None = None
    ) -> None:
        self._socket = sock
        self._stream = SocketStream(sock, name=name)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=host is None, server_hostname=host)
        # Whether a record may have been sent only in part: then nothing can follow it, not even a close_notify.
        self._torn = True

    @property
    def name(self) -> str:
        """The name of the peer, as in :class:`~indianyio.streams.SocketStream`."""
        return self._stream.name

    @property
    def carries_attachments(self) -> bool:
        """``False``: a descriptor would travel outside the encryption."""
        return False

    @property
    def certificate(self) -> Mapping[str, object] | None:
        """The peer's certificate, if it showed one and the context verified it; ``None`` otherwise."""
        return self._tls.getpeercert() or None

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says.

        The stream ends when the peer says so in TLS, or when it just closes the connection. The difference does not
        matter, because an INDI element that was cut off is recognised as such.
        """
        await anyio.lowlevel.checkpoint()
        while (decrypted := self._decrypt()) is None:
            received = await self._stream.receive()
            if not received.data:
                return Received(b"")
            self._incoming.write(received.data)
        return Received(decrypted)

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Encrypt and send all of ``data``, as :meth:`ByteStream.send` says.

        :raises ValueError: there are attachments.
        """
        refuse_attachments(self.name, attachments)
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._encrypt(rest[:_PIECE_BYTES]) :]
            await self._send_encrypted()

    def send_now(self, data: bytes) -> int:
        """Send nothing: whatever is encrypted has to be sent to its end."""
        return 0

    async def aclose(self) -> None:
        """Close the connection, as :meth:`ByteStream.aclose` says; tell the peer if that takes no waiting."""
        self.close()

    def close(self) -> None:
        """Do what :meth:`aclose` does, for callers that cannot await; an event loop must be running."""
        if not self._torn:
            self._torn = True
            with suppress(OSError):  # among others OpenSSL's error that it wants an answer, for which nobody waits
                self._tls.unwrap()
            with suppress(OSError):
                self._socket.send(self._outgoing.read(), _DONTWAIT)
        self._stream.close()

    async def shake_hands(self) -> None:
        """Do this end's part of the handshake.

        :raises ConnectionLostError: it has failed; the text says why.
        """
        while (unfinished := self._advance_handshake()) is not None:
            if not isinstance(unfinished, ssl.SSLWantReadError):
                with suppress(ConnectionLostError):
                    await self._send_encrypted()  # the alert, which tells the client what is wrong
                raise self._failed("TLS handshake failed", unfinished) from unfinished
            await self._send_encrypted()
            received = await self._stream.receive()
            if not received.data:
                raise ConnectionLostError(f"{self.name}: the peer left during the TLS handshake")
            self._incoming.write(received.data)
        await self._send_encrypted()

    def _advance_handshake(self) -> ssl.SSLError | None:
        """Do as much as is possible without waiting; return why it is not finished, or ``None`` if it is."""
        try:
            self._tls.do_handshake()
        except ssl.SSLError as exc:
            return exc
        return None

    def _decrypt(self) -> bytes | None:
        """Return what arrived, nothing at the end of the stream, or ``None`` if more has to arrive first."""
        decrypted = None
        landing = SCRATCH.memory[:RECEIVE_BYTES]
        try:
            # Given a buffer, it returns a length, whatever its stub says.
            decrypted = bytes(landing[: cast("int", self._tls.read(RECEIVE_BYTES, landing))])
        except ssl.SSLWantReadError:
            pass  # OpenSSL may want to answer something; that is counted below in any case
        except ssl.SSLError as exc:
            raise self._failed("TLS failed", exc) from exc
        if self._outgoing.pending > _UNSENT_ANSWER_BYTES:
            raise ConnectionLostError(f"{self.name}: TLS failed: too many requests to renegotiate")
        return decrypted

    def _encrypt(self, piece: memoryview) -> int:
        """Encrypt a piece for sending; return how much of it was encrypted."""
        try:
            return self._tls.write(piece)
        except ssl.SSLError as exc:
            # A peer that renegotiates, with a TLS older than 1.3, ends up here too; no INDI client has reason to.
            raise self._failed("TLS failed", exc) from exc

    async def _send_encrypted(self) -> None:
        """Send what OpenSSL has ready, if anything."""
        self._torn = True
        if self._outgoing.pending:
            await self._stream.send(self._outgoing.read())
        self._torn = False

    def _failed(self, what: str, error: ssl.SSLError) -> ConnectionLostError:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        if isinstance(error, ssl.SSLCertVerificationError):
            reason += f": {error.verify_message.rstrip('.')}"
        return ConnectionLostError(f"{self.name}: {what}: {reason}")
