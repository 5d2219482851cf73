"""Our drivers and the C++ simulators listen to each other."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from astropy.coordinates import Angle
from astropy.io import fits

from indianyio.protocol import (
    DefBLOBVector,
    EnableBLOB,
    NewNumberVector,
    OneNumber,
    SetBLOBVector,
    SetTextVector,
)
from tests.libindi.libindi_harness import Client, IndiServer, indiserver, installed, tcp_client, wait_until

MakeDriver = Callable[[str], Path]

CCD = "CCD Simulator"
MOUNT = "indianyio Mount"
RA_HOURS, DEC_DEGREES = 5.0, 20.0
# The header has J2000 coordinates, the mount today's; precession is below this for some decades.
PRECESSION_DEGREES = 1.0

pytestmark = pytest.mark.skipif(not installed("indi_simulator_ccd"), reason="the libindi simulators are missing")


def test_our_driver_snoops_a_simulator(tmp_path: Path, driver: MakeDriver) -> None:
    drivers = (driver("Watcher"), "indi_simulator_telescope")
    with indiserver(tmp_path, *drivers) as server, tcp_client(server) as client:
        client.ask("Watcher")
        assert wait_until(lambda: server.value("Watcher.heard.connect") == "Off", 20)
        server.setprop("Telescope Simulator.CONNECTION.CONNECT=On")
        while True:
            values = {member.name: member.value for member in client.expect(SetTextVector, "heard").members}
            if values == {"kind": "setSwitchVector", "connect": "On"}:
                break


def connect(server: IndiServer, device: str) -> None:
    assert wait_until(lambda: server.setprop("-t", "1", f"{device}.CONNECTION.CONNECT=On").returncode == 0, 20)
    assert wait_until(lambda: server.value(f"{device}.CONNECTION.CONNECT") == "On", 20)


def point_mount(server: IndiServer) -> None:
    server.setprop(f"{MOUNT}.TELESCOPE_PARK.UNPARK=On")
    # It takes as long as the disk does.
    assert wait_until(lambda: server.value(f"{MOUNT}.TELESCOPE_PARK._STATE") == "Ok", 20)
    server.setprop(f"{MOUNT}.ON_COORD_SET.SYNC=On")
    assert wait_until(lambda: server.value(f"{MOUNT}.ON_COORD_SET.SYNC") == "On", 5)
    server.setprop("-n", f"{MOUNT}.EQUATORIAL_EOD_COORD.RA;DEC={RA_HOURS};{DEC_DEGREES}")
    assert wait_until(lambda: _close(server, "DEC", DEC_DEGREES) and _close(server, "RA", RA_HOURS), 5)


def _close(server: IndiServer, member: str, expected: float) -> bool:
    text = server.value(f"{MOUNT}.EQUATORIAL_EOD_COORD.{member}")
    return bool(text) and abs(float(text) - expected) < 0.1


def expose(client: Client) -> bytes:
    client.ask(CCD)
    client.expect(DefBLOBVector, "CCD1")
    client.send(EnableBLOB(device=CCD, value="Also"))
    exposure = OneNumber(name="CCD_EXPOSURE_VALUE", value="0.1")
    client.send(NewNumberVector(device=CCD, name="CCD_EXPOSURE", members=(exposure,)))
    return bytes(client.expect(SetBLOBVector, "CCD1").members[0].data)


def test_ccd_simulator_writes_our_mounts_coordinates_into_its_images(tmp_path: Path, driver: MakeDriver) -> None:
    drivers = (driver("indianyio.examples.mount:Mount"), "indi_simulator_ccd")
    with indiserver(tmp_path, *drivers) as server, tcp_client(server) as client:
        connect(server, MOUNT)
        connect(server, CCD)
        assert server.setprop(f"{CCD}.ACTIVE_DEVICES.ACTIVE_TELESCOPE={MOUNT}").returncode == 0
        point_mount(server)
        header = fits.getheader(io.BytesIO(expose(client)))
    ra, dec = Angle(header["OBJCTRA"], "hourangle"), Angle(header["OBJCTDEC"], "deg")
    assert abs(ra.hour - RA_HOURS) * 15 < PRECESSION_DEGREES
    assert abs(dec.degree - DEC_DEGREES) < PRECESSION_DEGREES
