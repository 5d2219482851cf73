"""What parking mounts and domes have in common: after a restart they know whether they are parked, and where.

Software that does not know that a mount is parked lets it move inside a closed roof, and software that takes an
unparked mount for parked closes the roof onto it. So "parked" is recorded only once it is true, and "not parked"
before anything moves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._park_data import DamagedParkDataError, ParkData, ParkFile
from indianyio.instrument._framework._instrument import Instrument
from indianyio.properties import Values

__all__ = ["Parking"]


class Parking(Instrument):
    """The part of an instrument that parks: its property ``parking``, if it has that, says whether it is parked.

    Its property ``park_position``, if it has that, says where it parks.
    """

    park_file: str | Path | None = "~/.indi/ParkData.xml"
    """The file that remembers across a restart whether it is parked, and where it parks; libindi's. ``None`` for
    hardware that knows by itself whether it is parked; ``connect()`` must then say so:
    ``self.parking.take(park=True)``."""

    # What refusals call it.
    _what = "instrument"

    # The file and the device for which the next three hold.
    _kept_in: tuple[Path, str] | None = None
    # Whether the file says that it is parked.
    _kept = False
    # What was last to be written, so that writing to a full disk is not tried again every second.
    _tried = False
    # Held while the file is written, so that nobody acts on what it said before.
    _writing: anyio.Lock
    # Why nobody knows whether it is parked; empty if that is known.
    _doubt = ""

    @property
    def is_parked(self) -> bool:
        """Whether it is parked, as far as is known; it counts as not parked until it has been parked."""
        parking = self._bound.get("parking")
        return parking is not None and parking.value.park and parking.state is not State.BUSY

    def _require_unparked(self) -> None:
        """Refuse a write that must not be carried out while it is parked, or may be."""
        if self.is_parked:
            raise WriteRefusedError(f"the {self._what} is parked; unpark it first")
        if self._is_in_doubt():
            raise WriteRefusedError(
                f"nobody knows whether the {self._what} is parked ({self._doubt}); "
                "unpark it if it is free to move, or park it"
            )

    def _is_in_doubt(self) -> bool:
        """Whether the file could not be read, and nobody has parked or unparked it since."""
        return bool(self._doubt) and "On" not in self._bound["parking"].vector.values()

    # -- taking up ---------------------------------------------------------------------------------------------

    def _park_file(self) -> ParkFile | None:
        if self.park_file is None or "parking" not in self._bound:
            return None
        # Whether the simulated instrument is parked says nothing about the real one.
        name = self.device.devicename
        try:
            path = Path(self.park_file).expanduser()
        except RuntimeError:  # the user who runs it has no home folder, as in some containers
            return None
        return ParkFile(path, f"{name} (simulated)" if self.is_simulated else name)

    def _about_to_connect(self) -> None:
        """Load what the file says before the hardware is asked, so that the hardware has the last word."""
        super()._about_to_connect()
        self._writing = anyio.Lock()
        file = self._park_file()
        before, self._kept_in = self._kept_in, None if file is None else (file.path, file.devicename)
        if file is not None and before != self._kept_in:
            self._take_up_parking(file, is_first=before is None)
        elif file is None and self.park_file is not None and "parking" in self._bound:
            self.log.warning(
                "there is no home folder for %s, so after a restart nobody knows that it is parked", self.park_file
            )

    def _take_up_parking(self, file: ParkFile, *, is_first: bool) -> None:
        parking = self._bound["parking"]
        self._kept, self._doubt = False, ""
        try:
            data = file.load()
        except (OSError, DamagedParkDataError) as error:
            self._doubt = str(error)
            self.log.error("nobody knows whether it is parked: %s", error)
            parking.take(park=False, unpark=False)
            parking.vector.state = State.ALERT
        else:
            if data is not None:
                self._kept = data.is_parked
                self._take_park_position(data.position)
            if data is not None or not is_first:
                parking.take(**{"park" if self._kept else "unpark": True})
                parking.vector.state = State.OK
        self._tried = self._kept

    def _take_park_position(self, places: tuple[float, ...]) -> None:
        position = self._bound.get("park_position")
        if position is None or not places:
            return
        names = [member.attribute for member in position.values.declaration.members]
        try:
            # Here, unlike elsewhere, the limits are applied: the entry may be from a driver with other axes.
            position.take(position.values(**dict(zip(names, places, strict=True))))
        except ValueError:
            self.log.warning("it cannot park at the recorded position %s; it parks at its default", places)

    # -- keeping -----------------------------------------------------------------------------------------------

    async def _keep(self, is_parked: bool) -> None:
        """Write to the file whether it is parked, and where it parks.

        :raises OSError: the file cannot be written.
        """
        file, self._tried = self._park_file(), is_parked
        if file is not None:
            # In a thread, because it may take a while until the bytes are safe on the disk.
            await to_thread.run_sync(file.save, ParkData(is_parked, self._places()))
        self._kept = is_parked

    def _places(self) -> tuple[float, ...]:
        position = self._bound.get("park_position")
        if position is None:
            return ()
        return tuple(getattr(position.value, one.attribute) for one in position.values.declaration.members)

    async def _keep_or_tell(self, is_parked: bool) -> None:
        """Write to the file whether it is parked; if that fails, tell clients and go on, since it is so anyway."""
        try:
            await self._keep(is_parked)
        except OSError as error:
            now = "is parked" if is_parked else "is not parked"
            self.log.error("that it %s will not be known after a restart: %s", now, error)

    async def _keep_what_is(self) -> None:
        """Make the file say what clients see, whoever has parked it or aborted parking."""
        if self._kept_in is None:
            return
        async with self._writing:
            if self._is_in_doubt() or self._bound["parking"].state is State.BUSY:
                return
            is_parked = self._rests_parked()
            if is_parked not in (self._kept, self._tried):
                await self._keep_or_tell(is_parked)

    def _rests_parked(self) -> bool:
        """Whether it is parked and nothing is moving it."""
        return self.is_parked

    @asynccontextmanager
    async def _keeping(self, *, parks: bool) -> AsyncGenerator[None]:
        """Record that it is not parked before the block moves it, and afterwards whether it is parked.

        :raises WriteRefusedError: it is to be unparked, but the file cannot be written, so after a restart it would
            still be taken for parked.
        """
        async with self._writing:
            was_parked = await self._keep_before_motion(parks=parks)
        failure: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below
            failure = error
        async with self._writing:
            if (parks and failure is None) or (was_parked and not parks and failure is not None):
                # It failed to unpark, so it is still where it was.
                await self._keep_or_tell(True)
            elif parks:
                # It stands somewhere on the way, whatever its switch goes back to; the next poll must not record
                # that.
                self._tried = True
        if failure is not None:
            raise failure

    async def _keep_before_motion(self, *, parks: bool) -> bool:
        """Record that it is not parked; return whether it was recorded as parked before."""
        was_parked, self._doubt = self._kept, ""
        if was_parked:
            try:
                await self._keep(False)
            except OSError as error:
                if not parks:
                    raise WriteRefusedError(
                        f"after a restart the {self._what} would still be taken for parked, because {error}"
                    ) from error
                self.log.error("until it has parked, a restart would already take it for parked, because %s", error)
        return was_parked

    # -- where it parks ----------------------------------------------------------------------------------------

    async def _use_park_option(self, wanted: Values, default: Values | None) -> None:
        """Do what a button for the park position says, except for the one that takes the present position.

        :raises WriteRefusedError: the file cannot be written.
        """
        file = self._park_file()
        async with self._writing:
            await self._carry_out_option(wanted, default, file)

    async def _carry_out_option(self, wanted: Values, default: Values | None, file: ParkFile | None) -> None:
        try:
            if getattr(wanted, "default", False) and default is not None:
                await self._bound["park_position"].report(default, state=State.OK)
            elif getattr(wanted, "write_data", False):
                await self._keep(self.is_parked)
            elif getattr(wanted, "purge_data", False) and file is not None:
                await to_thread.run_sync(file.purge)
        except OSError as error:
            raise WriteRefusedError(f"the park data cannot be written: {error}") from error
