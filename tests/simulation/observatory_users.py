"""The users of an observatory: programs with the library's own client, which set targets and hear the verdict."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from indianyio import State, open_client
from indianyio.client import AnyVector, Client
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError, UnknownVectorError
from indianyio.testing.simulation import Finding, Part, chance
from tests.simulation.observatory import PORT, Observatory
from tests.simulation.stations import IMAGE, MOST, TARGET
from tests.simulation.writers import User

# For as long as a station that is slow may need, with some who wait before.
_PATIENCE_SECONDS = 60.0


async def keep_using(part: Part, scene: Observatory) -> None:
    """Be a user as the plan says, from ``at`` until ``until``, or to the end if that is 0."""
    generator = chance(scene.plan.seed, part.name)
    user = User(part)
    scene.users.append(user)
    await trio.sleep_until(part.number("at", 0))
    with trio.CancelScope(deadline=part.number("until", 0) or math.inf):
        async with trio.open_nursery() as nursery:
            while True:
                if not await _goes_on(user, scene, lambda: _use(user, scene, generator, nursery)):
                    return
                await trio.sleep(generator.uniform(0.2, 2))


async def _goes_on(user: User, scene: Observatory, use: Callable[[], Awaitable[None]]) -> bool:
    """Do something with a client, and return whether it ended as its documentation says."""
    try:
        await use()
    except (OSError, ConnectionLostError):
        pass  # there is no server, or no way to it, or not any more
    except Exception as error:  # noqa: BLE001 - whatever a server or a line does, a client says it so
        scene.findings.append(Finding("UsersGoOn", f"{user}: the client raised {error!r}", scene.now))
        return False
    return True


async def _use(user: User, scene: Observatory, generator: random.Random, nursery: trio.Nursery) -> None:
    part = user.part
    host = scene.network.host(part.name)
    reconnects = bool(part.settings.get("reconnects"))
    async with open_client(user.server, PORT, reconnect=reconnects, environment=host) as client:
        user.client = client
        looking = trio.CancelScope()
        if part.text("images"):
            nursery.start_soon(_look_at_images, user, client, scene, looking)
        try:
            while scene.now < scene.plan.seconds:
                await trio.sleep(generator.expovariate(1.0) * part.number("pause", 1))
                await _set_one(user, client, scene, generator)
            await trio.sleep_forever()
        finally:
            user.client = None
            looking.cancel()


async def _look_at_images(user: User, client: Client, scene: Observatory, looking: trio.CancelScope) -> None:
    look = _watch_images if user.part.text("images") == "watch" else _ask_for_images
    with looking:
        await _goes_on(user, scene, lambda: look(user, client, scene))


async def _watch_images(user: User, client: Client, scene: Observatory) -> None:
    """Have the images of all cameras enabled, and look at the latest of each."""
    async with client.watch(vector=IMAGE) as changes:
        for device in [one for one in client.values() if IMAGE in one]:
            await device.enable_blobs(IMAGE)
        async for change in changes:
            if change.kind == "defined" and change.device is not None:
                # If the line is lost just now, the client asks anew by itself.
                with suppress(ConnectionLostError):
                    await client[change.device].enable_blobs(IMAGE)
            elif change.kind == "updated" and change.vector is not None:
                scene.get_image(user, change.vector.device, change.vector["image"].content())


async def _ask_for_images(user: User, client: Client, scene: Observatory) -> None:
    """Ask for the next image of one camera after the other."""
    generator = chance(scene.plan.seed, f"{user.part.name} looks")
    while True:
        cameras = [one for one in client.values() if IMAGE in one and one[IMAGE].exists]
        await trio.sleep(generator.uniform(0.1, 1.0))
        if not cameras:
            continue
        camera = generator.choice(sorted(cameras, key=lambda one: one.name))
        with suppress(UnknownVectorError, OperationAbortedError, TimeoutError, ConnectionLostError):
            async with camera.next(IMAGE) as image:
                blob = await image.get(timeout=5.0)
                scene.get_image(user, camera.name, blob.content())


async def _set_one(user: User, client: Client, scene: Observatory, generator: random.Random) -> None:
    only = user.part.text("sets")
    targets = [
        device[TARGET]
        for device in client.values()
        if TARGET in device and device[TARGET].exists and only in {"", device.name}
    ]
    value = generator.randint(0, MOST)
    if not targets:
        return
    target: AnyVector = generator.choice(sorted(targets, key=lambda vector: vector.device))
    if user.part.settings.get("interferes"):
        await target.wait_for(lambda vector: vector.state is State.BUSY)
    hurries = generator.random() < user.part.number("hurry", 0)
    failure: Exception | None = None
    scene.ask(user, target.device, value)
    with trio.move_on_after(0.05 if hurries else math.inf) as patience:
        try:
            await target.set(value=value, timeout=_PATIENCE_SECONDS, start_timeout=5.0)
        except (RefusedError, OperationAbortedError, TimeoutError, ConnectionLostError) as error:
            failure = error
        except ValueError as error:
            if not scene.may_hear_noise(user):
                raise
            failure = error  # noise has made other limits of those that were defined
    if not patience.cancelled_caught:
        scene.settle(user, target.device, value, failure)
