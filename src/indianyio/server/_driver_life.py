"""One life of an external driver: its process, its connection, and how both come to their end.

The owner group holds what outlasts the body, each part shielded: the process is reaped, its standard error is
logged, and its frames are passed. The body only waits until there are no more frames. However that wait ends,
cancellation included, the program is brought to its end under a deadline, and then the three get theirs. So nothing
is left over: no process, no task, no descriptor.

The end of a driver is the end of its stream (protocol.md S9). A driver that has died may have left a helper which
holds the socket open; what it had written is read, and then it is treated as what it is.

A driver that the server ends has the last word. It gets what waits for it, perhaps an Abort, and then finds the end
of its input, as drivers do when indiserver goes (protocol.md S4). What it says until it ends, while it parks a
mount for instance, still reaches its clients.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable

import anyio
from anyio import CancelScope, create_task_group

from indianyio.server._hub import Hub
from indianyio.server._peers import Peer, run_guarded
from indianyio.server._processes import REAP_SECONDS, DriverProcess

__all__ = ["END_SECONDS", "DriverLife"]

logger = logging.getLogger(__name__)

# A program that ends closes its socket a moment earlier; so long its clients wait for the news, to hear its status.
_STATUS_SECONDS = 0.25
# How long it takes to read what a dead process left in its socket: milliseconds, as that is 200 kB.
_REST_SECONDS = 1.0
# The same for its standard error, which a helper may hold open for ever.
_LAST_WORDS_SECONDS = 0.5

END_SECONDS = REAP_SECONDS + _REST_SECONDS + _LAST_WORDS_SECONDS
"""How long the end of a program may take beyond twice its grace."""


class DriverLife:
    """A driver's program from its start to its end.

    :param hub: where the driver's messages go to and come from.
    :param process: the program, which was started.
    :param peer: its peer, of which the hub knows nothing yet.
    :param log: where its standard error goes.
    :param grace_seconds: in the end, how long it may take before SIGTERM, and again before SIGKILL.
    :param lineage: what all lives of this driver have in common, and no other driver has.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    :ivar is_duplicate: whether a device of it is another's, so that starting it again would not help.
    """

    def __init__(
        self,
        hub: Hub,
        process: DriverProcess,
        peer: Peer,
        *,
        log: logging.Logger,
        grace_seconds: float,
        lineage: Hashable,
        debug: bool = False,
    ) -> None:
        self.is_duplicate = False
        self._hub = hub
        self._process = process
        self._peer = peer
        self._log = log
        self._grace_seconds = grace_seconds
        self._lineage = lineage
        self._debug = debug
        self._is_parting = False
        self._passing = CancelScope(shield=True)
        self._attending = CancelScope(shield=True)
        self._passed = anyio.Event()
        self._reason = "the server has ended it"

    async def live(self) -> str:
        """Pass frames until the driver ends, and see to the end of its process.

        Cancelled, it lets the driver end in order first: within twice the grace and a moment.

        :return: why the driver ended, in words for people.
        """
        with self._process:
            async with create_task_group() as owner:
                owner.start_soon(self._attend)
                owner.start_soon(self._pass)
                try:
                    await self._passed.wait()
                finally:
                    self._is_parting = True
                    self._peer.part(self._process.close_input)
                    with anyio.move_on_after(2 * self._grace_seconds + REAP_SECONDS, shield=True) as ending:
                        await self._process.end(self._grace_seconds)
                    if ending.cancelled_caught:
                        logger.error("%s: process %d cannot be killed", self._peer.name, self._process.pid)
                    now = anyio.current_time()
                    self._passing.deadline = now if ending.cancelled_caught else now + _REST_SECONDS
                    self._attending.deadline = now + _LAST_WORDS_SECONDS
        return self._reason

    async def _attend(self) -> None:
        with self._attending:
            async with create_task_group() as tasks:
                tasks.start_soon(self._process.reap)
                tasks.start_soon(self._process.log_errors, self._log)

    async def _pass(self) -> None:
        """Have the driver in the hub for as long as it speaks, and tell its clients of the end."""
        refusal = self._hub.add_driver(self._peer, lineage=self._lineage, debug=self._debug)
        if refusal is not None:
            self.is_duplicate = True
            self._reason = refusal
            self._process.hang_up()
        else:
            try:
                with self._passing:
                    await self._hear()
            finally:
                self.is_duplicate = self._hub.router.is_duplicate(self._peer)
                # Whoever supervises the driver says if it will not return.
                self._hub.remove(self._peer, self._reason, returns=True)
        self._passed.set()

    async def _hear(self) -> None:
        async with create_task_group() as tasks:
            tasks.start_soon(self._end_with_process)
            ended = await run_guarded(self._peer)
            tasks.cancel_scope.cancel(ended)
        self._process.hang_up()
        if self._is_parting:
            return
        with anyio.move_on_after(_STATUS_SECONDS):
            await self._process.exited.wait()
        self._reason = f"{ended}; {self._process.outcome}"

    async def _end_with_process(self) -> None:
        """End the connection of a driver that has died, if its death did not."""
        await self._process.exited.wait()
        await anyio.sleep(_REST_SECONDS)
        self._peer.refuse("it has died, and another process holds its connection")
