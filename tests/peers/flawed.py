"""The server of flawed_program.py, as a peer that can be asked about the rules."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.servers import FOLDER, Peer

__all__ = ["flawed"]


def flawed(flaw: str = "") -> Peer:
    """Return that server with one flaw, or with none."""

    def command(port: int, unix: str, drivers: Sequence[Path], remotes: Sequence[int]) -> list[str]:
        served = [word for driver in drivers for word in ("--exec", str(driver))]
        served += [word for other in remotes for word in ("--remote", str(other))]
        return [sys.executable, "-IS", str(FOLDER / "flawed_program.py"), str(port), unix, "--flaw", flaw, *served]

    return Peer("flawed", lambda: "", command)
