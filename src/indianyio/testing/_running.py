"""A driver at work for as long as a block lasts; what the block raises comes out as it was raised."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from indianyio._block import at_work
from indianyio.driver import IPyDriver
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._peer import Peer

__all__ = ["running", "running_over"]


@asynccontextmanager
async def running(
    driver: IPyDriver, *, carries_attachments: bool = False, answer_pings: bool = True, cut: int | None = None
) -> AsyncGenerator[Peer]:
    """Run a driver for as long as the block lasts, and yield its peer when the driver is ready.

    Leaving the block closes the stream, as a server does that goes away, and waits until the driver has ended in
    order. A driver that fails cancels the block, and its error comes out of it; so it does in place of the
    :exc:`ConnectionLostError` that the block met on its account. Any other exception of the block comes out as it
    was raised, with a note if the driver had failed too.

    :param driver: the driver; it can be run again afterwards.
    :param carries_attachments: whether BLOBs may travel beside the XML, as under ``indiserver`` (protocol.md 1.6).
    :param answer_pings: whether :meth:`Peer.receive` answers the driver's pings (protocol.md 3.6).
    :param cut: let the driver receive at most so many bytes at a time, to see that it does not mind.
    """
    near, far = memory_pair(names=("driver", "test"), carries_attachments=carries_attachments)
    far.cut = cut
    peer = Peer(near, answer_pings=answer_pings)
    async with running_over(driver, far, peer.close):
        yield peer


def running_over(
    driver: IPyDriver, stream: ByteStream, end: Callable[[], Awaitable[None]]
) -> AbstractAsyncContextManager[None]:
    """Run a driver over a stream for as long as the block lasts; ``end`` closes the other end of that."""

    async def serve(ready: Callable[[], None]) -> None:
        await driver.asyncrun(stream, task_status=_Status(ready))

    return at_work(serve, end, what="the driver", failed=lambda failure: failure, outranks=ConnectionLostError)


class _Status:
    """A task status to wait for, which unlike ``TaskGroup.start`` does not mind a task that fails before."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready

    def started(self, value: None = None) -> None:
        """Note that the driver can be spoken to and can send."""
        self._ready()
