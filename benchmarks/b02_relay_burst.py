"""B2: a burst of small messages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.peers.bursts import burst_driver, numbers
from benchmarks.peers.client import Plan
from benchmarks.peers.measuring import run_client
from benchmarks.peers.servers import OUR_SERVER, SERVERS, ServerKind, serving_driver
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK", "relay_rate"]

_MESSAGES = 10_000
_WARM_UP = 200
_SECONDS = 180.0


def relay_rate(kind: ServerKind, messages: int, clients: int) -> float:
    """Return how many messages per second a server relays in one burst, each to all of its clients.

    :raises RuntimeError: a message was lost or came wrong.
    """
    with burst_driver([numbers(_WARM_UP), numbers(messages)]) as driver, serving_driver(kind, driver) as server:
        plan = Plan(
            address=("127.0.0.1", server.port),
            tag="</setNumberVector>",
            content="numbers",
            bursts=(_WARM_UP, messages),
            readers=clients,
            seconds=_SECONDS,
        )
        (seconds,) = run_client(plan)
    return messages / seconds


def _measure(kind: ServerKind, _quick: bool) -> Mapping[str, float]:
    return {f"{clients} client{'s' * (clients > 1)}": relay_rate(kind, _MESSAGES, clients) for clients in (1, 5)}


BENCHMARK = Benchmark(
    name="B2",
    title="Relay of a burst of small messages",
    explanation=f"""\
One external driver, a program which writes a prepared buffer, sends {_MESSAGES} updates of a number vector, 230 bytes
each, at once; the server relays each to every client over TCP. The clock runs from the client's write that asks for
the burst until the last client has the last message. All clients are connections of one process which counts closing
tags, and checks each value when the clock has stopped. A burst of {_WARM_UP} messages before it warms up. The rate
counts each message once, however many clients get it.""",
    unit="messages/s",
    higher_is_better=True,
    contenders=tuple(Contender(kind.name, partial(_measure, kind)) for kind in SERVERS),
    targets=(
        Target("1 client", OUR_SERVER, "indiserver", 5),
        Target("5 clients", OUR_SERVER, "indiserver", 15),
        Target("1 client", OUR_SERVER, "indipyserver", 20),
        Target("5 clients", OUR_SERVER, "indipyserver", 20),
    ),
)
