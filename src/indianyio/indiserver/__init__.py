"""A drop-in replacement for ``indiserver``: ``python -m indianyio.indiserver``.

It is also installed as the script ``indianyio-indiserver``, for programs that need the path of an executable.

It takes the same options, reads the same commands from a fifo, writes its log in the same form and ends with the
same exit statuses (protocol.md 2.1, 2.12, 2.13), so that any program that starts ``indiserver`` can start this
instead. What differs is for the better: an unreachable remote server does not end it (2.9), clients are told when
the last driver has ended (S10), SIGTERM and ``stop`` let drivers end in order (S4), and ``stop`` also finds a
driver by the device name with which it was started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indianyio.indiserver._process import run_process

if TYPE_CHECKING:
    from indianyio.indiserver._main import main

__all__ = ["main", "run_process"]

if not TYPE_CHECKING:
    # Imported when it is used, for the same reason as the names of the package above this one.

    def __getattr__(name: str) -> object:
        if name != "main":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from indianyio.indiserver._main import main

        return main
