"""CONFIG_PROCESS: saves the settings of an instrument, and loads them again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from anyio import to_thread
from msgspec import structs

from indianyio._failures import described
from indianyio._vocabulary import State
from indianyio._whole_files import is_there
from indianyio.driver import AnyVector, NewEvent
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument._framework._settings_file import DamagedSettingsError, SettingsFile
from indianyio.instrument._framework._writes import event_of, write_of
from indianyio.protocol import NewTextVector, NewVector
from indianyio.protocol._text import brief
from indianyio.standard.general import ConfigProcess

__all__ = ["Settings"]

logger = logging.getLogger(__name__)


class Settings:
    """The settings of one instrument: the properties that belong to them, and the file that keeps them.

    A setting that is loaded is treated as a client's write: it is checked by the same rules and carried out by the
    same methods. A property with an operation cannot be a setting, so loading settings moves nothing.

    :param bound: CONFIG_PROCESS.
    :param vectors: the vectors of the properties that are kept.
    :param devicename: the device.
    :param rxerror: handles an error of a method that carries out a setting.
    """

    def __init__(
        self,
        bound: BoundProperty[ConfigProcess],
        vectors: Sequence[AnyVector],
        devicename: str,
        rxerror: Callable[[NewEvent, Exception], Awaitable[None]],
    ) -> None:
        self._bound = bound
        self._vectors = {vector.name: vector for vector in vectors}
        self._devicename = devicename
        self._rxerror = rxerror

    async def write(self, event: NewEvent) -> None:
        """Load, save or purge, as a client wants; every switch is Off again in the answer."""
        wanted = self._bound.wanted(event)
        file = SettingsFile(self._devicename)
        flaws: list[str] = []
        try:
            if wanted.load or wanted.default:
                path = file.default_path if wanted.default else file.path
                # At the start it is normal that there are none, but a client that asks for them is told.
                flaws = await self.load(self._vectors, path) if is_there(path) else [f"nothing was saved in {path}"]
            elif wanted.save:
                # In a thread, because it may take a while until the bytes are safe on the disk.
                await self._bound.report(state=State.BUSY)
                await to_thread.run_sync(file.save, [_setting(vector) for vector in self._vectors.values()])
            elif wanted.purge:
                file.purge()
        except OSError as error:
            flaws = [f"{error.strerror}: {error.filename}"]
        self._bound.take(load=False, save=False, default=False, purge=False)
        state = State.ALERT if flaws else State.OK
        await self._bound.report(state=state, message=brief("; ".join(flaws)))

    async def load(self, names: Iterable[str], path: Path | None = None) -> list[str]:
        """Load the saved settings of some properties.

        :param names: the properties; those that are not defined now are left out.
        :param path: the file; the one that was saved last, if absent.
        :return: what could not be loaded, and why, in lines for people; these are logged as well.
        :raises OSError: the file cannot be read.
        """
        file = SettingsFile(self._devicename)
        try:
            settings = file.load(path)
        except DamagedSettingsError as error:
            logger.error("%s: %s", self._devicename, error)
            return [str(error)]
        wanted = set(names)
        flaws = []
        for setting in settings:
            vector = self._vectors.get(setting.name)
            if vector is not None and setting.name in wanted and vector.is_enabled:
                fitting, gone = _fitting(vector, setting)
                flaw = await self._take_up(vector, fitting)
                if flaw:
                    logger.error("%s: the setting of %s is not loaded: %s", self._devicename, setting.name, flaw)
                    flaws.append(f"{setting.name}: {flaw}")
                elif gone:
                    text = f"loaded without {', '.join(gone)}, which no longer exist{'s' if len(gone) == 1 else ''}"
                    logger.warning("%s: the setting of %s is %s", self._devicename, setting.name, text)
                    flaws.append(f"{setting.name}: {text}")
        return flaws

    async def _take_up(self, vector: AnyVector, setting: NewVector) -> str:
        """Carry out a setting; return what was wrong with it."""
        try:
            vector.check_write(setting)
        except WriteRefusedError as error:
            return str(error)
        event = event_of(setting, vector)
        assert vector._on_write is not None
        try:
            await vector._on_write(event)
        except Exception as error:  # noqa: BLE001 - a method of the author's; reported as for a client's write
            await self._rxerror(event, error)
            return described(error)
        return ""


def _fitting(vector: AnyVector, setting: NewVector) -> tuple[NewVector, list[str]]:
    """Return what can be loaded of a setting, and the members that the vector no longer has.

    Texts stand each for itself: a wheel with fewer slots than before keeps the names of those that are left. The
    numbers of a vector may be one point, and its switches are one choice: both are loaded as a whole or not at all.
    """
    gone = [one.name for one in setting.members if one.name not in vector]
    if not isinstance(setting, NewTextVector) or len(gone) == len(setting.members):
        return setting, []
    left = tuple(one for one in setting.members if one.name in vector)
    return structs.replace(setting, members=left), gone


def _setting(vector: AnyVector) -> NewVector:
    return write_of(vector, {one.name: one.membervalue for one in vector.members()})
