"""What a program pays for that imports the client, or does not."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["from indianyio import open_client", "import indianyio.client"])
def test_a_client_loads_no_driver_and_no_server(code: str) -> None:
    modules = loaded(code)
    assert "indianyio.client._client" in modules
    assert not {"indianyio.driver", "indianyio.server", "xml.etree.ElementTree", "asyncio", "trio"} & modules


def test_a_driver_loads_no_client() -> None:
    assert "indianyio.client" not in loaded("from indianyio import IPyDriver")
