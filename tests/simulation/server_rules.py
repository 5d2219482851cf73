"""What must hold for the servers of an observatory; see :mod:`tests.simulation.observatory_rules`."""

from __future__ import annotations

import re

from indianyio.streams import RECEIVE_BYTES
from tests.simulation.observatory import END_SECONDS, REPAIR_SECONDS, START_SECONDS, Rule, between

_DEVICE = re.compile(rb'<set\w+Vector device="(\w+)"')
_LONGEST_BEGINNING = 80


class NothingComesBack(Rule):
    """A server that calls another one is not sent its own devices by it, though both may call each other.

    What it is sent in the first seconds of a line may be, as the two find out by then; and so it is a while after
    something went wrong between them.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._ends: dict[str, bytes] = {}

    def passed(self, receiver: str, data: bytes) -> None:
        far, _, near = receiver.partition("#")[0].partition(" for ")
        if near not in self.scene.servers or far not in self.scene.servers:
            return
        devices = self._devices(receiver, data)
        now = self.scene.now
        if now < 2 * START_SECONDS:
            return
        for device in sorted(devices):
            own = any(
                part.name == device and part.text("server") == near for part in self.scene.plan.of_kind("driver")
            )
            if own and not self.scene.is_troubled([between(near, far)], now, now, REPAIR_SECONDS):
                self.broken(f"{far} sends {near} its own {device}")

    def _devices(self, receiver: str, data: bytes) -> set[str]:
        """Return the devices of which updates begin in a piece, or have begun at the end of the piece before."""
        data = self._ends.get(receiver, b"") + data
        found = list(_DEVICE.finditer(data))
        rest = data[found[-1].end() :] if found else data
        self._ends[receiver] = rest[-_LONGEST_BEGINNING:]
        return {one[1].decode() for one in found}


class ServersEndInOrder(Rule):
    """A server ends when it is told to, within its time, and raises nothing."""

    def over(self) -> None:
        scene = self.scene
        for name in scene.servers:
            if name in scene.failures:
                self.broken(f"server {name} raised {scene.failures[name]!r}")
            elif scene.asked_to_end_at is None or scene.ended.get(name, 0) < scene.asked_to_end_at:
                self.broken(f"server {name} ended before it was told to")
            elif scene.ended[name] > scene.asked_to_end_at + END_SECONDS:
                self.broken(f"server {name} took {scene.ended[name] - scene.asked_to_end_at:.0f} s to end")


class NothingUnexpectedIsLogged(Rule):
    """No error is logged with a traceback but those that the plan makes: whatever a peer does is expected."""

    def over(self) -> None:
        for text in self.scene.logged:
            self.broken(text)


class NothingIsLeft(Rule):
    """When all has ended, no task is left."""

    def over(self) -> None:
        if self.scene.tasks_left:
            self.broken(f"{self.scene.tasks_left} tasks are left")


class QueuesAreBounded(Rule):
    """What waits for a peer stays within the bound of its outbox.

    The bound for a client is looked at before something is added, so that is on top: an image, or what came in one
    piece from another server. The bound for drivers and other servers is never small, and no plan has so much for
    them: there this sees what runs wild, and not that a bound is missing.
    """

    most_bytes = 64 << 20

    def second(self) -> None:
        for name, server in self.scene.servers.items():
            for peer, passed in server.statistics().items():
                most_bytes = self._most_for_clients() if "(client " in peer else self.most_bytes
                if passed.highest_queued_bytes > most_bytes:
                    self.broken(
                        f"server {name}: {passed.highest_queued_bytes} bytes have waited for {peer}, "
                        f"more than {most_bytes}"
                    )

    def _most_for_clients(self) -> int:
        plan = self.scene.plan
        images = (int(part.number("image_bytes", 100)) for part in plan.of_kind("driver"))
        # In base64 an image grows by a third; a message that was begun in the piece before comes with the next.
        most_at_once = max(max(images, default=0) * 4 // 3, RECEIVE_BYTES) + 2000
        return int(plan.knob("outbox_bytes", self.most_bytes)) + most_at_once


class WhoReadsIsKept(Rule):
    """A server disconnects no client but one that is behind, and says so; nor another server that has called it.

    Not asked where a line garbles, as rubbish may exceed any limit.
    """

    def quiet(self) -> None:
        scene = self.scene
        clear = [one for one in scene.given_up if not self._garbles(one.where)]
        if len(clear) > len(scene.said_to_be_behind):
            self.broken(
                f"servers have disconnected {', '.join(one.where for one in clear)}, and said this of it: "
                f"{scene.said_to_be_behind}"
            )

    def _garbles(self, line: str) -> bool:
        return any(fault.what == "garble" and fault.where == line for fault in self.scene.plan.faults)
