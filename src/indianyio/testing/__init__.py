"""A kit for testing drivers: the other end of the wire, in one process, with any clock.

:func:`running` runs a driver over a pair of streams in memory and yields a :class:`Peer`, which is to the driver
what a client behind a server is. Nothing here has a timeout: use ``anyio.fail_after``, or a virtual clock, with
which ten minutes of exposure pass in milliseconds::

    @pytest.fixture
    def anyio_backend():
        return ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})

    @pytest.mark.anyio
    async def test_a_target_is_confirmed():
        async with running(Thermostat()) as peer:
            await peer.get_properties()
            await peer.expect(DefNumberVector, name="targetvector")
            await peer.write("Thermostat", "targetvector", target=18.5)
            await peer.expect(SetNumberVector, name="targetvector", state="Ok", target=18.5)

The message classes are those of :mod:`indianyio.protocol`.

:func:`driver_client` has the real client at the other end instead; :func:`assert_states` and
:func:`cancel_everywhere` say what should become of its vectors. :class:`MisbehavingStream` is a bad connection;
:func:`record` and :func:`replay` keep what passed over one.
"""

from indianyio.testing._driver_client import assert_states, driver_client
from indianyio.testing._misbehaving import MisbehavingStream
from indianyio.testing._peer import Peer, Value, member_values
from indianyio.testing._recordings import Piece, RecordingStream, read_recording, record, replay
from indianyio.testing._running import running
from indianyio.testing._sweep import cancel_everywhere

__all__ = [
    "MisbehavingStream",
    "Peer",
    "Piece",
    "RecordingStream",
    "Value",
    "assert_states",
    "cancel_everywhere",
    "driver_client",
    "member_values",
    "read_recording",
    "record",
    "replay",
    "running",
]
