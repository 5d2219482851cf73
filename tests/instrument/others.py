"""What other devices say, in the stream to a driver that hears them."""

from __future__ import annotations

import anyio

from indianyio.streams import ByteStream

__all__ = ["OtherDevice"]


class OtherDevice:
    """A device of another driver; give its :meth:`wrap` to ``driver_client``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._streams: list[ByteStream] = []

    def wrap(self, stream: ByteStream) -> ByteStream:
        """Remember the stream that leads to the driver."""
        self._streams.append(stream)
        return stream

    async def says(self, kind: str, vector: str, state: str, **values: object) -> None:
        """Update a property."""
        members = "".join(f'<one{kind} name="{name}">{value}</one{kind}>' for name, value in values.items())
        head = f'<set{kind}Vector device="{self.name}" name="{vector}" state="{state}">'
        await self._send(f"{head}{members}</set{kind}Vector>\n")

    async def goes(self, vector: str) -> None:
        """Delete a property."""
        await self._send(f'<delProperty device="{self.name}" name="{vector}"/>\n')

    async def _send(self, text: str) -> None:
        await self._streams[-1].send(text.encode())
        await anyio.sleep(0.05)
