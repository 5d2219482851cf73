"""A driver at work for as long as a block lasts; what the block raises comes out as it was raised."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio import CancelScope, create_task_group

from indianyio._failures import EXITS, FAILURES, failure_in
from indianyio._transports import memory_pair
from indianyio.driver import IPyDriver
from indianyio.exceptions import ConnectionLostError
from indianyio.testing._peer import Peer

__all__ = ["running"]


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
    ready = _Ready()
    failure: BaseException | None = None
    body_error: BaseException | None = None

    async def run(block: CancelScope) -> None:
        nonlocal failure
        try:
            await driver.asyncrun(far, task_status=ready)
        except (*FAILURES, *EXITS) as exc:  # kept, and raised when the block has ended
            failure = failure_in(exc)
            block.cancel("the driver failed")

    peer = Peer(near, answer_pings=answer_pings)
    async with create_task_group() as tasks:
        tasks.start_soon(run, tasks.cancel_scope)
        try:
            await ready.event.wait()
            yield peer
        except (anyio.get_cancelled_exc_class(), GeneratorExit):
            raise
        except BaseException as exc:  # noqa: BLE001 - pytest's outcomes too want out bare, and do, below
            body_error = exc
        finally:
            with anyio.CancelScope(shield=True):
                await peer.close()
    _raise_what_matters(body_error, failure)


class _Ready:
    """A task status to wait for, which unlike ``TaskGroup.start`` does not mind a task that fails before."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    def started(self, value: None = None) -> None:
        """Note that the driver can be spoken to and can send."""
        self.event.set()


def _raise_what_matters(body_error: BaseException | None, failure: BaseException | None) -> None:
    if body_error is None or (failure is not None and isinstance(body_error, ConnectionLostError)):
        if failure is not None:
            raise failure
        return
    if failure is not None:
        body_error.add_note(f"the driver had failed too: {failure!r}")
    raise body_error
