"""Plans for an observatory: servers behind servers, drivers in them and as programs, clients that come and go."""

from __future__ import annotations

import random

from indianyio.testing.simulation import Fault, Part, Plan, Setting, chance
from tests.simulation.observatory import between

SCENE = "observatory"

_MOST_PIECES = 15_000
_MOST_FILLINGS = 60_000

# The usual ways in which servers are connected: alone, one behind the other, two behind one, three in a row.
_TOPOLOGIES: tuple[dict[str, list[str]], ...] = (
    {"A": []},
    {"A": ["B"], "B": []},
    {"A": ["B", "C"], "B": [], "C": []},
    {"A": ["B"], "B": ["C"], "C": []},
    # A circle, as two observatories make that serve each other's weather.
    {"A": ["B"], "B": ["A"]},
)
_DEVICES = ("Mount", "Camera", "Focuser", "Dome", "Weather", "Wheel")


def plan_for_observatory(seed: int, seconds: float = 40.0) -> Plan:
    """Return the plan that a seed stands for."""
    generator = chance(seed, "plan")
    topology = generator.choice(_TOPOLOGIES)
    servers = [Part("server", name, {"remotes": list(remotes)}) for name, remotes in topology.items()]
    drivers = _drivers(list(topology), generator)
    clients = [
        _client(f"c{number}", topology, drivers, seconds, generator) for number in range(1, _some(generator, 5))
    ]
    plan = Plan(SCENE, seed, seconds, knobs=_knobs(generator), parts=[*servers, *drivers, *clients])
    if "split" in plan.knobs:
        # Each piece costs a tenth of a millisecond: as small ones as can be had for the price.
        plan.knobs["split"] = max(plan.knobs["split"], round(_bytes(plan) / _MOST_PIECES))
    plan.faults = _faults(plan, generator)
    # What was added later draws for itself, so that the plans of before are the same otherwise.
    _add_users(plan, chance(seed, "users"))
    _make_still(plan, chance(seed, "still"))
    _let_some_fail_at_the_end(plan, chance(seed, "end"))
    _make_outboxes_small(plan, chance(seed, "outboxes"))
    _add_panels(plan, chance(seed, "panels"))
    _let_followed_die(plan, chance(seed, "followed"))
    _let_two_share_a_target(plan, chance(seed, "sharing"))
    _fill_a_lane(plan, chance(seed, "crowd"))
    _let_users_want_images(plan, chance(seed, "images for users"))
    plan.faults.sort(key=lambda fault: fault.at)
    if "capacity_bytes" in plan.knobs:
        # A line that is always full costs turns for each time that there is room again.
        plan.knobs["capacity_bytes"] = max(plan.knobs["capacity_bytes"], round(_bytes(plan) / _MOST_FILLINGS))
    return plan


def _add_users(plan: Plan, generator: random.Random) -> None:
    """Add programs that use the library's own client, what makes verdicts hard, and noise on the lines to them."""
    for part in plan.of_kind("driver"):
        if "slow" in part.settings and generator.random() < 0.5:
            part.settings["busy"] = True
    for number in range(1, 1 + generator.choice((0, 0, 1, 2))):
        user = _user(f"u{number}", [part.name for part in plan.of_kind("server")], plan.seconds, generator)
        plan.parts.append(user)
        if generator.random() < 0.4:
            at = round(generator.uniform(5, plan.seconds), 3)
            amount = generator.choice((0.001, 0.02))
            line = f"{user.name}-{user.text('server')}"
            plan.faults.append(Fault(at, "noise", line, seconds=generator.choice((0.5, 5.0, 15.0)), amount=amount))


def _make_still(plan: Plan, generator: random.Random) -> None:
    """Let hardly anything happen in some nights, as what happens next hides what was forgotten before.

    Somebody who wants images comes and goes, and a camera on another server takes some now and then.
    """
    if generator.random() > 0.15:
        return
    servers = plan.of_kind("server")
    for part in plan.of_kind("driver"):
        part.settings.update(every=120.0, burst=1)
        part.settings.pop("images", None)
        if part.text("server") == servers[-1].name and part.settings["stays"]:
            part.settings.update(images=4.0, image_bytes=3000)
    wanting, *others = plan.of_kind("client")
    wanting.settings.update(server="A", policy="Also", writes=0, at=1.0, until=round(generator.uniform(8, 20), 3))
    wanting.settings.pop("wants", None)
    for part in others:
        part.settings.update(policy="", writes=0)
    plan.parts = [part for part in plan.parts if part.kind != "user"]
    plan.faults = [fault for fault in plan.faults if fault.what != "noise"]


def _let_some_fail_at_the_end(plan: Plan, generator: random.Random) -> None:
    for part in plan.of_kind("driver"):
        if not part.settings.get("program") and generator.random() < 0.1:
            part.settings["fails_at_end"] = True


def _make_outboxes_small(plan: Plan, generator: random.Random) -> None:
    """Let servers keep little for a client in some nights, so that one that stalls is given up.

    In others programs keep little for their server, or a server for its programs.
    """
    if generator.random() < 0.3:
        plan.knobs["outbox_bytes"] = generator.choice((20_000, 100_000))
    if generator.random() < 0.3:
        plan.knobs["driver_outbox_bytes"] = generator.choice((300, 3000))
    if generator.random() < 0.3:
        plan.knobs["program_outbox_bytes"] = generator.choice((20_000, 300_000))


def _add_panels(plan: Plan, generator: random.Random) -> None:
    """Let some stations delete a vector and define it again, every few seconds; users may be away meanwhile."""
    for part in plan.of_kind("driver"):
        if generator.random() < 0.2:
            part.settings["panel"] = generator.choice((2.0, 10.0))
    for part in plan.of_kind("user"):
        if part.settings["reconnects"] and generator.random() < 0.5:
            line, at = f"{part.name}-{part.text('server')}", round(generator.uniform(10, plan.seconds), 3)
            plan.faults += [Fault(at, "part", line, seconds=15.0), Fault(at + 0.001, "cut", line)]


def _let_followed_die(plan: Plan, generator: random.Random) -> None:
    """Let a driver that another one follows end for good in some nights; otherwise hardly any does."""
    mortal = [part for part in plan.of_kind("driver") if not (part.settings["stays"] or part.settings["program"])]
    if generator.random() > 0.15 or not mortal:
        return
    followed = generator.choice(mortal)
    follower = generator.choice([part for part in plan.of_kind("driver") if part is not followed])
    follower.settings["follows"] = [followed.name]
    plan.faults.append(Fault(round(generator.uniform(plan.seconds / 2, plan.seconds), 3), "die", followed.name))


def _let_two_share_a_target(plan: Plan, generator: random.Random) -> None:
    """Let two users do nothing but set the same slow target in some nights.

    One does so now and then, the other as soon as the station is under way, and nobody else writes. So what must
    come of both is known.
    """
    if generator.random() > 0.1:
        return
    station = plan.of_kind("driver")[0]
    station.settings.update(slow=3.0, busy=True)
    for part in plan.of_kind("client"):
        part.settings["writes"] = 0
    plan.parts = [part for part in plan.parts if part.kind != "user"]
    for name, settings in (("u1", {"pause": 10.0}), ("u2", {"pause": 0.1, "interferes": True})):
        user = _user(name, [station.text("server")], plan.seconds, generator)
        user.settings.update(sets=station.name, until=0, hurry=0.0, **settings)
        plan.parts.append(user)
    plan.faults = [fault for fault in plan.faults if not fault.where.startswith("u")]


def _fill_a_lane(plan: Plan, generator: random.Random) -> None:
    """Let clients write more to one slow station in some nights than may wait there, so that some is refused."""
    if generator.random() > 0.1 or not any(part.number("writes", 0) for part in plan.of_kind("client")):
        return
    station = plan.of_kind("driver")[0]
    station.settings["slow"] = 1.0
    for part in plan.of_kind("client"):
        part.settings.update(writes=40, burst=generator.choice((10, 40)), writes_to=station.name)
        part.settings.pop("wants", None)


def _let_users_want_images(plan: Plan, generator: random.Random) -> None:
    """Let some users watch the images of all cameras, or ask for the next one of one camera, again and again."""
    for part in plan.of_kind("user"):
        if generator.random() < 0.5:
            part.settings["images"] = generator.choice(("watch", "next"))


def _user(name: str, servers: list[str], seconds: float, generator: random.Random) -> Part:
    stays = generator.random() < 0.7
    settings: dict[str, Setting] = {
        "server": generator.choice(servers),
        "at": round(generator.uniform(0, seconds / 3), 3),
        "until": 0 if stays else round(generator.uniform(seconds / 3, seconds), 3),
        "pause": generator.choice((0.1, 1.0)),
        "reconnects": generator.random() < 0.5,
        "hurry": generator.choice((0.0, 0.2)),
    }
    return Part("user", name, settings)


def _bytes(plan: Plan) -> float:
    """Return about how many bytes are received in a run, by clients and other servers."""
    rates = [
        250 * part.number("burst", 1) / part.number("every", 1)
        + (1.4 * part.number("image_bytes", 0) / part.number("images", 1) if "images" in part.settings else 0)
        for part in plan.of_kind("driver")
    ]
    receivers = [part for part in plan.parts if part.kind != "driver"]
    return sum(rates) * plan.seconds * len(receivers)


def _some(generator: random.Random, most: int) -> int:
    return generator.randint(2, most)


def _knobs(generator: random.Random) -> dict[str, float]:
    choices: dict[str, float] = {
        "split": generator.choice((1, 7, 100)),
        "partial": 1,
        "capacity_bytes": generator.choice((300, 2000)),
        "tick": generator.choice((1e-4, 1e-3)),
        "delay": generator.choice((0.002, 0.05)),
    }
    knobs = {name: value for name, value in choices.items() if generator.random() < 0.5}
    if "capacity_bytes" in knobs and "delay" in knobs:
        knobs["delay"] = 0.002
    return knobs


def _drivers(servers: list[str], generator: random.Random) -> list[Part]:
    names = list(_DEVICES[: max(len(servers), _some(generator, len(_DEVICES)))])
    drivers = []
    for number, name in enumerate(names):
        # Each server has one of its own that stays, or it would end with its last one.
        settings: dict[str, Setting] = {
            "server": servers[number] if number < len(servers) else generator.choice(servers),
            "stays": number < len(servers),
            "program": number >= len(servers) and generator.random() < 0.6,
            "every": generator.choice((0.2, 1.0, 5.0)),
            "burst": generator.choice((1, 1, 4, 41)),
        }
        if generator.random() < 0.5:
            settings["follows"] = [generator.choice([other for other in names if other != name])]
        if generator.random() < 0.4:
            settings["images"] = generator.choice((0.5, 3.0))
            settings["image_bytes"] = generator.choice((10, 3000, 30_000))
        if generator.random() < 0.4:
            settings["slow"] = generator.choice((0.1, 3.0))
        if generator.random() < 0.2:
            settings["fails_last"] = True
        drivers.append(Part("driver", name, settings))
    return drivers


def _client(
    name: str, topology: dict[str, list[str]], drivers: list[Part], seconds: float, generator: random.Random
) -> Part:
    stays = generator.random() < 0.6
    settings: dict[str, Setting] = {
        "server": "A" if generator.random() < 0.7 else generator.choice(sorted(topology)),
        "at": round(generator.uniform(0, seconds / 3), 3),
        "until": 0 if stays else round(generator.uniform(seconds / 3, seconds), 3),
        "writes": generator.randint(0, 20),
        "pause": generator.choice((0.1, 1.0)),
        "burst": generator.choice((1, 1, 10)),
        "abort": generator.choice((0.0, 0.3)),
        "policy": generator.choice(("", "Never", "Also", "Also", "Only")),
    }
    if generator.random() < 0.3:
        settings["wants"] = sorted(generator.sample([driver.name for driver in drivers], 2))
    return Part("client", name, settings)


def _faults(plan: Plan, generator: random.Random) -> list[Fault]:
    kinds = [kind for kind in _FAULTS if generator.random() < 0.5]
    faults = []
    for _ in range(generator.randint(0, 5) if kinds else 0):
        at = round(generator.uniform(1, plan.seconds), 3)
        fault = _FAULTS[generator.choice(kinds)](plan, at, generator)
        if fault is not None:
            faults.append(fault)
    return faults


def _between_servers(plan: Plan, generator: random.Random) -> str:
    pairs = [between(server.name, far) for server in plan.of_kind("server") for far in server.names("remotes")]
    return generator.choice(pairs) if pairs else ""


def _part(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    where = _between_servers(plan, generator)
    return Fault(at, "part", where, seconds=generator.choice((0.5, 5.0, 20.0))) if where else None


def _cut(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    where = _between_servers(plan, generator)
    return Fault(at, "cut", where) if where else None


def _flap(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    where = _between_servers(plan, generator)
    return Fault(at, "flap", where, seconds=generator.choice((1.0, 8.0)), amount=4) if where else None


def _lose_client(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    clients = plan.of_kind("client")
    client = generator.choice(clients)
    return Fault(at, "cut", f"{client.name}-{client.text('server')}")


def _stall_client(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    client = generator.choice(plan.of_kind("client"))
    return Fault(at, "part", f"{client.name}-{client.text('server')}", seconds=generator.choice((1.0, 15.0)))


def _garble(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    client = generator.choice(plan.of_kind("client"))
    return Fault(at, "garble", f"{client.name}-{client.text('server')}", seconds=2.0, amount=0.02)


def _die(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    mortal = [driver.name for driver in plan.of_kind("driver") if not driver.settings.get("stays")]
    return Fault(at, "die", generator.choice(mortal)) if mortal else None


def _hang(plan: Plan, at: float, generator: random.Random) -> Fault | None:
    programs = [driver.name for driver in plan.of_kind("driver") if driver.settings.get("program")]
    return (
        Fault(at, "hang", generator.choice(programs), seconds=generator.choice((2.0, 10.0))) if programs else None
    )


_FAULTS = {
    "part": _part,
    "cut": _cut,
    "flap": _flap,
    "lose": _lose_client,
    "stall": _stall_client,
    "garble": _garble,
    "die": _die,
    "hang": _hang,
}
