"""Run a driver from the command line: ``python -m indianyio.run MODULE:NAME``.

:func:`main` is the command; :func:`load_driver` finds a driver as the command does.
"""

from __future__ import annotations

from indianyio.run._loading import load_driver
from indianyio.run._main import main

__all__ = ["load_driver", "main"]
