"""What happens to drivers and chained servers that break, hang or die, and how a server itself ends."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from tests.peers.rules.clients import PADDED
from tests.peers.rules.rule import Rule, expect
from tests.peers.servers import Peer

__all__ = [
    "BrokenMessageOfADriver",
    "DeadDriverIsDeleted",
    "DeafDriverSlowsNobody",
    "DeathIsSaid",
    "DriverIsRestarted",
    "EndsInTime",
    "LostServerComesBack",
    "LostServerIsDeleted",
]


class BrokenMessageOfADriver(Rule):
    """A driver sends a good update, one whose end tag does not match, and another good one.

    Both good ones must arrive, the device must not be deleted meanwhile, and the driver must answer.
    """

    says = "A broken message of a driver costs only itself: what follows it arrives, and the driver is kept."
    why = (
        "Drivers put what an instrument says into messages, and sometimes forget to escape it. A server that ends"
        " the driver for this stops a mount in the middle of its work."
    )
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as client:
            client.order("Box", "broken")
            client.shows("Box", "COUNT", "after")
            got = client.values("Box", "COUNT")
            expect(got == ["before", "after"], f"the client got {got}")
            client.echo("Box")
            deaths = sum(element.tag == "delProperty" for element in client.heard)
            expect(not deaths, "the device was deleted meanwhile")


class DeafDriverSlowsNobody(Rule):
    """A driver reads nothing for a while, and a client sends it 2.4 MB of writes, more than a pipe takes.

    Another device must answer another client, and this client too.
    """

    says = "A driver that does not read slows no other device."
    why = (
        "Drivers wait for a camera's USB, or for a serial port that does not answer. The Abort for the mount goes"
        " through the same server, often through the same connection."
    )
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box", "Deaf") as server, self.knowing(server.port, "Box", "Deaf") as client:
            # Much longer than the answers may take together, or a busy machine would hide that they waited for it.
            client.order("Deaf", f"deaf {10 * self.patience}")
            client.shows("Deaf", "COUNT", "deaf")
            for _ in range(40):
                client.write("Deaf", "ECHO", "x" * PADDED)
            with self.knowing(server.port) as other:
                other.echo("Box")
            client.echo("Box")


class DeadDriverIsDeleted(Rule):
    """One of two drivers exits.

    A `delProperty` must come for its device, and the other driver's must stay and answer.
    """

    says = "When a driver dies, its devices, and no others, are deleted at the clients."
    why = "A client that is not told shows the last values for ever, and waits for a slew that never ends."
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box", "Other") as server, self.knowing(server.port, "Box", "Other") as client:
            client.order("Box", "die")
            client.deleted("Box")
            client.echo("Other")  # behind whatever else the server has deleted
            gone = any(one.tag == "delProperty" and one.get("device") == "Other" for one in client.heard)
            expect(not gone, "the other driver's device was deleted too")


class DeathIsSaid(Rule):
    """A driver exits, and the client must get a text that names its device or its file.

    The text may come in a `message` or in a `delProperty`.
    """

    says = "When a driver dies, a message says so to the clients."
    why = "Deleted properties look the same when somebody has unplugged the device. The text says which it was."
    about_programs = True

    def ask(self, peer: Peer) -> None:
        def tells(element: Element) -> bool:
            text = element.get("message", "")
            names = element.get("device") == "Box" or "Box" in text
            return element.tag in {"message", "delProperty"} and text != "" and names

        with peer.serving("Box") as server, self.knowing(server.port, "Box") as client:
            client.order("Box", "die")
            client.until(tells, "message with a text about it")


class DriverIsRestarted(Rule):
    """A driver exits, and the client does nothing.

    It must get the definitions once more, and the device answer.
    """

    says = "A driver that has died is started again, and clients get its definitions without asking again."
    why = "At three in the morning nobody is there to do it, and clients that have asked once do not ask again."
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as client:
            client.order("Box", "die")
            client.defined("Box")
            client.echo("Box")


class LostServerIsDeleted(Rule):
    """A server serves a second one of the same kind, and a driver of its own. The second is killed and stays away.

    A `delProperty` must come for its device, and the first server's own device must go on answering, both this
    client and a new one.
    """

    says = "When a chained server is lost, its devices are deleted at the clients, and all others work on."
    why = "A telescope with its own computer is such a server; when that fails, the dome must still close."
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as inner, peer.serving("Near", remotes=[inner.port]) as outer:
            with self.knowing(outer.port) as client:
                client.knows("Box", "Near")
                inner.kill()
                client.deleted("Box")
                client.echo("Near")
                with self.knowing(outer.port) as late:
                    late.echo("Near")


class LostServerComesBack(Rule):
    """The connection to a chained server is reset once, and the client does nothing.

    It must get the definitions once more, and the device answer.
    """

    says = (
        "A chained server that was lost is connected again, and clients get its definitions without asking again."
    )
    why = "Switches are restarted and Wi-Fi comes back; the observatory should too."
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with self.chain(peer) as (outer, line), self.knowing(outer.port) as client:
            client.knows("Box")
            line.cut("rst")
            client.defined("Box", 3 * self.patience)
            client.echo("Box")


@dataclass(frozen=True, slots=True)
class EndsInTime(Rule):
    """One client does not read, and one driver ignores both SIGTERM and the end of its input.

    The server gets SIGTERM, and must have ended 90 s later. What happens to that driver is not asked.
    """

    says = "After SIGTERM the server ends, whatever its drivers and clients do."
    why = (
        "By default, systemd kills a service after 90 s, and all its drivers with it, parked or not. A server that"
        " ends at once leaves it to its drivers to notice. Ours waits for them for five seconds, and for five more"
        " after sending SIGTERM. The measured times are above."
    )

    most_seconds: float = 90.0

    def ask(self, peer: Peer) -> None:
        devices = ("Box", "Stay") if peer.has_programs else ("Box",)
        with peer.serving(*devices) as server, self.knowing(server.port) as good, self.knowing(server.port):
            good.knows(*devices)
            good.order("Box", f"count 100 {PADDED}")
            good.shows("Box", "COUNT", "100", 5 * self.patience)
            if peer.has_programs:
                good.order("Stay", "stay")
                good.shows("Stay", "COUNT", "staying")
            seconds = server.seconds_to_end(self.most_seconds)
            expect(seconds is not None, f"it had not ended after {self.most_seconds:g} s")
            self.measured.append(f"{seconds:.1f} s")
