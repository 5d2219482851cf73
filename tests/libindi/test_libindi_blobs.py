"""BLOBs of any size through a real indiserver, both ways."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from indianyio.protocol import (
    DefBLOBVector,
    EnableBLOB,
    NewBLOBVector,
    NewSwitchVector,
    OneBLOB,
    OneSwitch,
    SetBLOBVector,
    SetNumberVector,
    SetTextVector,
)
from tests.libindi.drivers.bench_drivers import BLOB_BYTES, BLOB_COUNT, image
from tests.libindi.libindi_harness import Client, indiserver, tcp_client, unix_client

MakeDriver = Callable[[str], Path]

# Ten images for two clients; the default of 128 MB would cut a slow one off.
OPTIONS = ("-m", "2000")


def start_images(client: Client) -> None:
    client.ask()
    client.expect(DefBLOBVector, "images")
    client.send(EnableBLOB(device="Images", value="Also"))
    client.send(NewSwitchVector(device="Images", name="start", members=(OneSwitch(name="go", value="On"),)))


def content(blob: OneBLOB) -> bytes:
    if blob.attachment is None:
        return bytes(blob.data)
    try:
        return blob.attachment.read(int(blob.len or blob.size or 0))
    finally:
        blob.attachment.close()


def check_images(client: Client, *, attached: bool) -> None:
    """Every image is complete and in its place, and the counter went on between them."""
    counts: list[float] = []
    for number in range(BLOB_COUNT):
        ticks = 0
        while not isinstance(message := client.receive(), SetBLOBVector):
            if isinstance(message, SetNumberVector) and message.name == "ticks":
                counts.append(float(message.members[0].value))
                ticks += 1
        [blob] = message.members
        assert (blob.size, blob.format, blob.attachment is not None) == (str(BLOB_BYTES), ".raw", attached)
        assert hashlib.sha256(content(blob)).digest() == hashlib.sha256(image(number)).digest()
        assert ticks > 0
    assert counts == [counts[0] + n for n in range(len(counts))]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_d1_ten_blobs_of_50_mb_at_a_tcp_client(tmp_path: Path, driver: MakeDriver) -> None:
    with indiserver(tmp_path, driver("Images"), options=OPTIONS) as server, tcp_client(server) as client:
        start_images(client)
        check_images(client, attached=False)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_d1_ten_blobs_of_50_mb_as_descriptors_at_a_unix_client(tmp_path: Path, driver: MakeDriver) -> None:
    with indiserver(tmp_path, driver("Images"), options=OPTIONS) as server, unix_client(server) as client:
        start_images(client)
        check_images(client, attached=True)


@pytest.mark.parametrize("size", [1, 5_000, 3_000_001])
def test_a_blob_that_a_client_uploads_reaches_the_driver(tmp_path: Path, driver: MakeDriver, size: int) -> None:
    # indiserver 1.9.9 hands it over as a descriptor, 2.x as base64 (protocol.md S32).
    data = random.Random(size).randbytes(size)
    blob = OneBLOB(name="file", size=str(size), format=".dat", data=data)
    with indiserver(tmp_path, driver("Upload")) as server, tcp_client(server) as client:
        client.ask()
        client.expect(DefBLOBVector, "upload")
        client.send(NewBLOBVector(device="Upload", name="upload", members=(blob,)))
        answer = client.expect(SetTextVector, "digest")
    values = {member.name: member.value for member in answer.members}
    assert values == {"sha256": hashlib.sha256(data).hexdigest(), "size": str(size), "format": ".dat"}
