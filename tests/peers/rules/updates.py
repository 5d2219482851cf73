"""What clients are told: values, order, BLOBs, and nothing that is meant for others."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack

from tests.peers.proxy import Faults, proxy
from tests.peers.rules.rule import Rule, expect
from tests.peers.servers import Peer, Server

__all__ = ["BlobPolicies", "BlobPoliciesOfAChain", "MirrorIsExact", "OrderIsKept", "RequestsStayPrivate"]

NARROW = Faults(piece=200, delay=0.002)
UPDATES = 300
# How long a client listens for what should not come. Too short would spare a server, never accuse it.
LISTEN_SECONDS = 0.3


class MirrorIsExact(Rule):
    """Two clients on TCP, and two on a unix socket where there is one, are behind bad lines.

    The lines pass at most 200 bytes at a time, up to 2 ms late. All of them write, and the driver sends a hundred
    updates. Then all clients must have the same values.
    """

    says = "When all is quiet, each client has the values that the driver has, even behind a slow line."
    why = (
        "A client decides by what it was told: whether a mount is parked, where a dome is. Over Wi-Fi, messages"
        " come in pieces, and several programs watch and write at the same time."
    )

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server, ExitStack() as stack:
            lines = [
                stack.enter_context(proxy(address, NARROW, NARROW, seed=self.seed + n))
                for n, address in enumerate(server.addresses() * 2)
            ]
            clients = [stack.enter_context(self.knowing(line.address, "Box")) for line in lines]
            for number, client in enumerate(clients):
                client.write("Box", "ECHO", f"word {number}")
            clients[0].order("Box", f"count {UPDATES // 3}")
            clients[0].shows("Box", "COUNT", str(UPDATES // 3))
            clients[-1].echo("Box")
            final = clients[-1].mirror
            for client in clients[:-1]:
                client.shows("Box", "ECHO", final["Box", "ECHO"])
                differing = {key[1] for key in final if client.mirror.get(key) != final[key]}
                expect(not differing, f"clients had different values of {', '.join(sorted(differing))}")


class OrderIsKept(Rule):
    """The driver sends 300 updates of one vector as fast as it can to two clients.

    One of them is on a line that splits what passes. Both must have got the numbers from 1 to 300.
    """

    says = "A client gets all updates of a vector, each once, in the order in which the driver sent them."
    why = (
        "The last update counts: if an older one comes after it, a focuser that has arrived looks as if it still"
        " moved. And a state that was left out, such as Busy between two Ok, is an operation that nobody saw."
    )

    def ask(self, peer: Peer) -> None:
        wanted = [str(number) for number in range(1, UPDATES + 1)]
        with peer.serving("Box") as server, proxy(server.port, down=Faults(piece=300), seed=self.seed) as line:
            with self.knowing(server.port, "Box") as near, self.knowing(line.address, "Box") as far:
                near.order("Box", f"count {UPDATES}")
                for client in (near, far):
                    client.shows("Box", "COUNT", wanted[-1])
                    got = client.values("Box", "COUNT")
                    expect(got == wanted, f"{len(got)} updates of {UPDATES}, or not in order")


class BlobPolicies(Rule):
    """Three clients know the device.

    One has said nothing about BLOBs, which means `Never`; one has said `Also`, and one `Only`. The driver sends an
    image and then a text. The first must get the text alone, the second both, the third the image alone.
    """

    says = "`Never`, `Also` and `Only` are kept for each client by itself."
    why = (
        "A planetarium on a slow line must not get every image because another program takes them, and a program"
        " that opens a second connection for images (KStars does) would otherwise see every update twice."
    )

    def ask(self, peer: Peer) -> None:
        with peer.serving("Box") as server:
            self.ask_at(server)

    def ask_at(self, server: Server) -> None:
        with ExitStack() as stack:
            never, also, only = (stack.enter_context(self.knowing(server.port)) for _ in range(3))
            for client in (never, also, only):
                client.knows("Box")
            also.policy("Box", "Also")
            only.policy("Box", "Only")
            also.echo("Box")
            # Nobody answers a client with Only, but its own write comes after its policy.
            word = uuid.uuid4().hex
            only.write("Box", "ECHO", word)
            also.shows("Box", "ECHO", word)
            time.sleep(LISTEN_SECONDS)  # a chained server is told the policy too, and answers nobody
            never.order("Box", "image 5000")
            for client in (also, only):
                client.sees(lambda e: e.tag == "setBLOBVector", "BLOB for a client that wants them")
            for client in (never, also):
                client.sees(lambda e: e.tag == "setTextVector" and "after" in (e[0].text or ""), "text after it")
            for client in (never, only):
                client.listen(LISTEN_SECONDS)
            expect(all(e.tag != "setBLOBVector" for e in never.heard), "a BLOB for the client with Never")
            expect(not only.values("Box", "COUNT"), "an update that is no BLOB for the client with Only")


class BlobPoliciesOfAChain(BlobPolicies):
    """The same is done where the clients' server gets the device over TCP from a second server of the same kind."""

    says = "`Never`, `Also` and `Only` are kept for each client by itself, also for devices of a chained server."
    why = (
        "Then the server must ask the other one for images on behalf of those clients that want them, and still"
        " keep them from the rest. In a chain over Wi-Fi this also decides what is sent at all."
    )
    about_programs = True

    def ask(self, peer: Peer) -> None:
        with self.chain(peer) as (outer, _):
            self.ask_at(outer)


class RequestsStayPrivate(Rule):
    """One client asks for everything, and for three devices that do not exist.

    Another, which has asked for nothing since it came, must not get those three requests.
    """

    says = "What one client asks for with `getProperties` is not sent to other clients."
    why = (
        "The request is for drivers. A client can do nothing with it; but each one that connects would send"
        " something to all the others, and a server among them may take it for a request to itself."
    )

    def ask(self, peer: Peer) -> None:
        nowhere = [f"Nowhere {number}" for number in (1, 2, 3)]
        with peer.serving("Box") as server, self.knowing(server.port, "Box") as listener:
            with self.knowing(server.port, "Box") as asking:
                for device in (*nowhere, None):
                    asking.ask(device)
                asking.echo("Box")
            listener.echo("Box")
            listener.listen(LISTEN_SECONDS)
            # By these names: a server may ask its clients for something by itself.
            asked = [e.get("device") for e in listener.heard if e.tag == "getProperties"]
            leaks = [device for device in nowhere if device in asked]
            expect(not leaks, f"the other client got the requests for {len(leaks)} of 3 devices")
