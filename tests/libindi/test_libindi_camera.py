"""The camera example under a real indiserver: large images, for a remote and a local client at the same time."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from astropy.io import fits

from indianyio.protocol import (
    DefBLOBVector,
    DefNumberVector,
    DefSwitchVector,
    EnableBLOB,
    NewNumberVector,
    NewSwitchVector,
    OneNumber,
    OneSwitch,
    SetBLOBVector,
    SetNumberVector,
)
from tests.libindi.libindi_harness import Client, indiserver, tcp_client, unix_client

MakeDriver = Callable[[str], Path]

CAMERA = "indianyio Camera"
MIN_BYTES = 50_000_000
OPTIONS = ("-m", "2000")


def connect(client: Client) -> None:
    client.ask()
    client.expect(DefSwitchVector, "CONNECTION")
    client.send(NewSwitchVector(device=CAMERA, name="CONNECTION", members=(OneSwitch(name="CONNECT", value="On"),)))


def expect_images(client: Client) -> None:
    client.expect(DefNumberVector, "CCD_FAST_COUNT")  # the last of them
    client.send(EnableBLOB(device=CAMERA, value="Also"))


def expose(client: Client) -> None:
    exposure = OneNumber(name="CCD_EXPOSURE_VALUE", value="0.01")
    client.send(NewNumberVector(device=CAMERA, name="CCD_EXPOSURE", members=(exposure,)))


def receive_image(client: Client) -> bytes:
    """Return the next image; the exposure must have been Busy before it and be Ok after it."""
    client.expect(SetNumberVector, "CCD_EXPOSURE", "Busy")
    [blob] = client.expect(SetBLOBVector, "CCD1").members
    client.expect(SetNumberVector, "CCD_EXPOSURE", "Ok")
    data = bytes(blob.data)
    if blob.attachment is not None:
        data = blob.attachment.read(int(blob.len or blob.size or 0))
        blob.attachment.close()
    assert len(data) == int(blob.size or 0) >= MIN_BYTES
    return data


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("exposures", [2, pytest.param(10, marks=pytest.mark.long)])
def test_d1_large_exposures_reach_a_remote_and_a_local_client(
    tmp_path: Path, driver: MakeDriver, exposures: int
) -> None:
    camera = driver("indianyio.examples.camera:LargeCamera")
    with (
        indiserver(tmp_path, camera, options=OPTIONS) as server,
        tcp_client(server) as remote,
        unix_client(server) as local,
    ):
        local.ask()
        connect(remote)
        expect_images(remote)
        expect_images(local)
        local.ask(CAMERA, "CCD1")
        local.expect(DefBLOBVector, "CCD1")  # by now the server knows what both of them want
        for _ in range(exposures):
            expose(remote)
            near, far = receive_image(local), receive_image(remote)
            assert hashlib.sha256(near).digest() == hashlib.sha256(far).digest()
            check_fits(far)


def check_fits(data: bytes) -> None:
    with fits.open(io.BytesIO(data)) as hdus:
        header = hdus[0].header
        assert header["NAXIS1"] * header["NAXIS2"] * 2 >= MIN_BYTES
        assert hdus[0].data.std() > 0
