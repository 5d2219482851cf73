"""What one client may cost the others: rubbish, silence, connections that break, and too many of them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random

from tests.peers.client import Client
from tests.peers.proxy import Faults, proxy
from tests.peers.rules.rule import Rule, expect
from tests.peers.servers import Peer

__all__ = [
    "BrokenMessageOfAClient",
    "DescriptorsRunOut",
    "GarbageHarmsNobody",
    "ResetConnections",
    "StalledClientIsBounded",
    "StalledClientSlowsNobody",
]

PADDED = 60_000
BURST = 333
ROUND = 100
RESETS = 30
SPARE_DESCRIPTORS = 5


class BrokenMessageOfAClient(Rule):
    """A client sends a write whose end tag does not match, and then a good one, which must be carried out."""

    says = "A broken message of a client costs only itself: its next write is carried out."
    why = (
        "Clients are scripts too, and what is sent next may be the Abort. A server that disconnects such a client"
        " keeps itself safe, but the client has to notice, connect again and learn everything anew."
    )

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as client:
            client.send('<newTextVector device="Box" name="ECHO"><oneText name="t">x</oneTxt></newTextVector>\n')
            client.echo("Box")


class GarbageHarmsNobody(Rule):
    """One client sends random bytes, one is on a line that garbles, and one stops in the middle of a write.

    It is 128 KiB of random bytes, and the line changes every sixtieth byte. Another client must still be answered,
    a new one be served, and the half write not be carried out. What happens to the three is not asked.
    """

    says = "A client that sends garbage, or half a message, harms no other client."
    why = (
        "Port 7624 is open in many networks, and whatever looks for open ports sends something. None of that may"
        " end the night."
    )

    def ask(self, peer: Peer) -> None:
        chance = Random(self.seed)
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as good, ExitStack() as stack:
            line = stack.enter_context(proxy(server.port, Faults(garble=60), seed=self.seed))
            garbled, half, random = (
                stack.enter_context(self.client(to)) for to in (line.address, *[server.port] * 2)
            )
            half.send('<newTextVector device="Box" name="ECHO"><oneText name="t">half')
            for sender, data in (
                (random, chance.randbytes(1 << 17)),
                (garbled, b'<getProperties version="1.7"/>' * 50),
            ):
                try:
                    sender.send(data)
                except OSError:
                    continue  # it is fair to disconnect whoever sends that
            good.echo("Box")
            expect(not [v for v in good.values("Box", "ECHO") if "half" in v], "half a write was carried out")
            with self.knowing(server.port, "Box") as late:
                late.echo("Box")


class StalledClientSlowsNobody(Rule):
    """The driver sends 20 MB of updates to a client, twice, the second time beside a client that reads nothing.

    The second time may take three times as long as the first; 20 s are allowed in any case.
    """

    says = "A client that does not read slows nobody else."
    why = (
        "A laptop that is closed, or a program that is stopped, does not disconnect. If the server waits for it,"
        " the mount goes on and nobody sees it."
    )

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as good:
            # A server that is slow anyway is not slowed down by anybody.
            usual = self._seconds(good, 10 * self.patience)
            with self.knowing(server.port, "Box"):
                stalled = self._seconds(good, max(self.patience, 3 * usual))
            self.measured.append(f"{usual:.1f} s, and {stalled:.1f} s with the other client")

    def _seconds(self, client: Client, most: float) -> float:
        began = time.monotonic()
        client.order("Box", f"count {BURST} {PADDED}")
        client.shows("Box", "COUNT", str(BURST), most)
        client.echo("Box", most)
        return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class StalledClientIsBounded(Rule):
    """The driver sends updates while one client reads nothing.

    After 160 MB the server's memory must have stopped growing: during 40 MB more of updates it may take 20 MB at
    most. How much it has taken by then is not asked.
    """

    says = "A client that does not read costs a bounded amount of memory."
    why = (
        "Otherwise one client that hangs ends the server some time in the night, and everything with it."
        " The price of a bound is that such a client is disconnected."
    )

    fill_megabytes: float = 160.0
    more_megabytes: float = 40.0
    allowed_megabytes: float = 20.0

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as good:
            first = server.megabytes()
            with self.knowing(server.port, "Box"):
                self._send(good, self.fill_megabytes)
                filled = server.megabytes()
                self._send(good, self.more_megabytes)
                more = server.megabytes() - filled
            self.measured.append(f"{filled - first:.0f} MB, and {more:.0f} MB more at last")
            expect(more <= self.allowed_megabytes, f"{filled - first:.0f} MB, and {more:.0f} MB more at last")

    def _send(self, client: Client, megabytes: float) -> None:
        for _ in range(round(megabytes * 1e6 / (ROUND * PADDED))):
            client.order("Box", f"count {ROUND} {PADDED}")
            client.shows("Box", "COUNT", str(ROUND), 3 * self.patience)
            client.heard.clear()


class ResetConnections(Rule):
    """Thirty clients come, one after the other, and their connections are reset in the middle of a message.

    The server must soon have as many descriptors as before, and a new client must be served.
    """

    says = f"{RESETS} connections that are reset within a message leave no descriptor open, and the others work on."
    why = (
        "That is what Wi-Fi and crashing programs do. A server that leaves something open each time runs out of"
        " descriptors after days, when nobody remembers why."
    )

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as good:
            good.echo("Box")
            before = server.descriptors()
            for number in range(RESETS):
                cut = Faults(cut_at=40 + number, how="rst")
                with proxy(server.port, cut, seed=self.seed + number) as line, self.client(line.address) as client:
                    client.send('<getProperties version="1.7"/><newTextVector device="Box" name="ECHO"><oneText/>')
            good.echo("Box")
            deadline = time.monotonic() + self.patience
            while server.descriptors() > before and time.monotonic() < deadline:
                time.sleep(0.02)
            expect(server.descriptors() <= before, f"{server.descriptors() - before} descriptors are left")
            with self.knowing(server.port, "Box") as late:
                late.echo("Box")


class DescriptorsRunOut(Rule):
    """The server may open five descriptors more than it has, and twenty clients connect.

    One that was there before must be answered meanwhile, and a new one be served once the twenty have left.
    """

    says = "When descriptors run out, clients that are there work on, and new ones come in once others have left."
    why = (
        "1024 descriptors is what a service gets by default. A program that connects in a loop, or one that leaks"
        " connections, uses them up; the instruments must not pay for it."
    )

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as good:
            server.allow_descriptors(server.descriptors() + SPARE_DESCRIPTORS)
            with ExitStack() as stack:
                for _ in range(4 * SPARE_DESCRIPTORS):
                    stack.enter_context(self.client(server.port))
                time.sleep(0.5)  # until it has tried to accept more than it can
                good.echo("Box")
            good.echo("Box")
            with self.knowing(server.port, "Box") as late:
                late.echo("Box")
