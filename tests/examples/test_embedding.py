"""A driver in a pure trio program: a nursery, and pytest-trio's clock."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from indianyio.examples.camera import DEVICE, Camera
from indianyio.protocol import DefNumberVector, DefSwitchVector, SetBLOBVector
from indianyio.streams import memory_pair
from indianyio.testing import Peer


@pytest.mark.trio
async def test_a_ten_minute_exposure_in_a_nursery(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    near, far = memory_pair()
    driver, peer = Camera(64, 48), Peer(near)
    await nursery.start(partial(driver.asyncrun, far))
    await peer.get_properties(DEVICE)
    await peer.expect(DefSwitchVector, name="CONNECTION")
    await peer.write(DEVICE, "CONNECTION", CONNECT="On")
    await peer.expect(DefNumberVector, name="CCD_FAST_COUNT")
    started = trio.current_time()
    await peer.write(DEVICE, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=600)
    await peer.expect(SetBLOBVector, name="CCD1", state="Ok")
    assert 600 <= trio.current_time() - started < 601
    driver.shutdown()
    await driver.stopped.wait()
