"""A kit for testing drivers: the other end of the wire, in one process, with any clock.

:func:`driver_client` runs a driver and yields it together with a client, the one that a script would use, too.
:func:`running` yields a :class:`Peer` instead, which sees single messages and can send anything. None of
this has a timeout: use ``anyio.fail_after``, or a virtual clock, with which ten minutes of exposure pass in
milliseconds::

    @pytest.mark.anyio
    async def test_a_target_is_confirmed(indi_clock):
        async with driver_client(Thermostat()) as (driver, client):
            thermostat = await client.device("Thermostat", timeout=5)
            async with assert_states(thermostat["targetvector"], "Ok"):
                await thermostat.set("targetvector", target=18.5)

docs/testing.md shows the rest: :func:`assert_states`, :class:`MisbehavingStream`, :func:`cancel_everywhere`,
:func:`interrupt_everywhere`, :func:`record` and :func:`replay`, :func:`check_driver`, and fixtures for pytest. The
message classes are those of :mod:`indianyio.protocol`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indianyio.testing._cancelling import cancel_everywhere
    from indianyio.testing._check import RULES, Bounds, Finding, Rule, check_driver
    from indianyio.testing._counting import cancel_at
    from indianyio.testing._driver_client import Wrap, driver_client
    from indianyio.testing._interrupting import interrupt_everywhere
    from indianyio.testing._misbehaving import MisbehavingStream, Mischief
    from indianyio.testing._peer import Peer, Value, member_values
    from indianyio.testing._recording import Direction, RecordingStream, record, record_proxy
    from indianyio.testing._replaying import Piece, read_recording, replay
    from indianyio.testing._running import running
    from indianyio.testing._states import AssertStates, assert_states

__all__ = [
    "RULES",
    "AssertStates",
    "Bounds",
    "Direction",
    "Finding",
    "MisbehavingStream",
    "Mischief",
    "Peer",
    "Piece",
    "RecordingStream",
    "Rule",
    "Value",
    "Wrap",
    "assert_states",
    "cancel_at",
    "cancel_everywhere",
    "check_driver",
    "driver_client",
    "interrupt_everywhere",
    "member_values",
    "read_recording",
    "record",
    "record_proxy",
    "replay",
    "running",
]

# The modules of the names, which are imported only when they are used: pytest loads this package in every run, for
# its plugin, and those who do not use the plugin should not have to wait for anyio.
_MODULES = {
    "_check": ("RULES", "Bounds", "Finding", "Rule", "check_driver"),
    "_cancelling": ("cancel_everywhere",),
    "_counting": ("cancel_at",),
    "_driver_client": ("Wrap", "driver_client"),
    "_interrupting": ("interrupt_everywhere",),
    "_misbehaving": ("MisbehavingStream", "Mischief"),
    "_peer": ("Peer", "Value", "member_values"),
    "_recording": ("Direction", "RecordingStream", "record", "record_proxy"),
    "_replaying": ("Piece", "read_recording", "replay"),
    "_running": ("running",),
    "_states": ("AssertStates", "assert_states"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
