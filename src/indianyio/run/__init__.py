"""Run a driver from the command line: ``python -m indianyio.run MODULE:NAME``.

:func:`main` is the command; :func:`load_driver` finds a driver as the command does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indianyio.run._loading import load_driver
    from indianyio.run._main import main

__all__ = ["load_driver", "main"]

if not TYPE_CHECKING:
    # Imported when they are used, for the same reason as the names of the package above this one.

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from indianyio.run import _loading, _main

        return getattr(_main if name == "main" else _loading, name)
