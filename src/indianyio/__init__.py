"""INDI drivers on structured concurrency, for asyncio and trio.

Subclass :class:`IPyDriver`, give it a :class:`Device` with vectors, and run it with
``python -m indianyio.run mymodule:MyDriver`` or inside your own program with ``await driver.asyncrun()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indianyio._api import *  # noqa: F403
    from indianyio.client import open_client as open_client
    from indianyio.server import IPyServer as IPyServer

# Only here: pyproject.toml, the command and the documentation take it from this line.
__version__ = "0.1.0"
version = __version__


if not TYPE_CHECKING:
    # The names are imported when the first of them is used. ``indianyio.run`` opens its listening sockets before
    # that, so clients that connect meanwhile wait in the system's queue instead of being refused.

    # Imported separately: a driver on standard input and output needs neither, and should not pay for loading them.
    _ALONE = {"IPyServer": "indianyio.server", "open_client": "indianyio.client"}

    def __getattr__(name: str) -> object:
        if name in _ALONE:
            from importlib import import_module

            return getattr(import_module(_ALONE[name]), name)
        if not name.startswith("_") or name == "__all__":
            from indianyio import _api

            names = {one: getattr(_api, one) for one in _api.__all__}
            globals().update(names, __all__=[*names, *_ALONE, "__version__", "version"])
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
