"""Runs a driver for as long as a block lasts; exceptions of the block come out as they were raised."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from indianyio._block import at_work
from indianyio.driver import IPyDriver
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._peer import Peer

__all__ = ["begin_anew", "require_driver", "running", "running_over"]


@asynccontextmanager
async def running(
    driver: IPyDriver, *, carries_attachments: bool = False, answer_pings: bool = True, cut: int | None = None
) -> AsyncGenerator[Peer]:
    """Run a driver for as long as the block lasts, and yield its peer when the driver is ready.

    Leaving the block closes the stream, as a server does when it ends, and waits until the driver has ended
    properly. A driver that fails cancels the block, which then raises the driver's error, also in place of a
    :exc:`ConnectionLostError` that this caused in the block. Any other exception of the block comes out as it was
    raised, with a note if the driver had failed too.

    :param driver: the driver; it can be run again afterwards.
    :param carries_attachments: whether BLOBs may travel beside the XML, as under ``indiserver`` (protocol.md 1.6).
    :param answer_pings: whether :meth:`Peer.receive` answers the driver's pings (protocol.md 3.6).
    :param cut: let the driver receive at most this many bytes at a time, to check that this does no harm.
    :raises TypeError: ``driver`` is not a driver.
    """
    near, far = memory_pair(names=("driver", "test"), carries_attachments=carries_attachments)
    far.cut = cut
    peer = Peer(near, answer_pings=answer_pings)
    async with running_over(driver, far, peer.close):
        yield peer


def running_over(
    driver: IPyDriver, stream: ByteStream, end: Callable[[], Awaitable[None]], park_file: Path | None = None
) -> AbstractAsyncContextManager[None]:
    """Run a driver over a stream for as long as the block lasts; ``end`` closes the stream's other end."""
    require_driver(driver)
    begin_anew(driver, park_file)

    async def serve(ready: Callable[[], None]) -> None:
        await driver.asyncrun(stream, task_status=_Status(ready))

    return at_work(serve, end, what="the driver", failed=lambda failure: failure, outranks=ConnectionLostError)


def begin_anew(driver: IPyDriver, park_file: Path | None = None) -> None:
    """Let an instrument in a test begin as if it had never been parked.

    A test must neither depend on what another test has left, nor make the real instrument of the same name believe
    that it is parked.

    :param park_file: the file that records whether it is parked; if absent, nothing is recorded.
    """
    # Not by isinstance(), so that instruments need not be imported for a driver that is not one.
    if hasattr(driver, "park_file"):
        driver.park_file = park_file


def require_driver(driver: object) -> None:
    """Raise :exc:`TypeError` if something is not a driver; the class of a driver is the usual mistake."""
    if not isinstance(driver, IPyDriver):
        hint = f"; give an instance, as {driver.__name__}()" if isinstance(driver, type) else ""
        raise TypeError(f"{driver!r} is not a driver{hint}")


class _Status:
    """A task status that, unlike that of ``TaskGroup.start``, allows the task to fail before it is ready."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready

    def started(self, value: None = None) -> None:
        """Note that the driver can receive and send."""
        self._ready()
