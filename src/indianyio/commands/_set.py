"""Write properties, and wait until the device has done it.

A setting is Device.VECTOR.member=value, or Device.VECTOR.a=1;b=2, or Device.VECTOR.a;b=1;2, as of indi_setprop.
Each is written when the one before is done. With -x (text), -n (number) or -s (switch) before a setting it is sent
unseen, without asking whether there is such a property, and nothing is waited for.

Exit status: 0 all was done (or sent, with --no-wait), 1 something is not there, not allowed, was refused or not
done, 2 there is no server, or the command line is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indianyio.client import Client, RefusedError, open_client
from indianyio.commands._wire import add_server, conversation, run_until_interrupted, server_name
from indianyio.protocol import (
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    OneNumber,
    OneSwitch,
    OneText,
)

_KINDS: dict[str, tuple[Any, Any]] = {
    "-x": (NewTextVector, OneText),
    "-n": (NewNumberVector, OneNumber),
    "-s": (NewSwitchVector, OneSwitch),
}


class _Typed(argparse.Action):
    """Takes a setting with its type, in order with the others."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        settings = [values] if isinstance(values, str) else list(values or ())
        namespace.settings = [*(namespace.settings or []), *((option_string, text) for text in settings)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("settings", nargs="*", action=_Typed, metavar="SETTING", help="what to write")
    for option, kind in (("-x", "text"), ("-n", "number"), ("-s", "switch")):
        parser.add_argument(option, action=_Typed, dest="settings", metavar="SETTING", help=f"send a {kind} unseen")
    parser.add_argument("--no-wait", action="store_true", help="send only, as indi_setprop does")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="how long each may take (default: for ever)")
    add_server(parser, timeout=2.0)


@dataclass(frozen=True)
class Setting:
    """What is to be written, as it stands on the command line."""

    device: str
    vector: str
    values: dict[str, str]
    kind: str | None = None

    @classmethod
    def parse(cls, text: str, kind: str | None = None) -> Setting:
        """Read a setting.

        :raises ValueError: it is none; the text says why.
        """
        name, equals, rest = text.partition("=")
        parts = name.split(".", 2)
        if len(parts) < 3 or not equals or not all(parts):
            raise ValueError(f"{text!r} is not of the form Device.VECTOR.member=value")
        device, vector, members = parts
        if ";" in members:
            names, values = members.split(";"), rest.split(";")
            if len(names) != len(values):
                more = "elements than values" if len(names) > len(values) else "values than elements"
                raise ValueError(f"More {more} for {device}.{vector}")
            return cls(device, vector, dict(zip(names, values, strict=True)), kind)
        return cls(device, vector, dict(_pairs(members, rest, text)), kind)


def _pairs(first: str, rest: str, text: str) -> Iterator[tuple[str, str]]:
    value, *others = rest.split(";")
    yield first, value
    for other in others:
        name, equals, value = other.partition("=")
        if not name or not equals:
            raise ValueError(f"{text!r}: {other!r} is not of the form member=value")
        yield name, value


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: a setting cannot be read.
    """
    settings = [Setting.parse(text, kind) for kind, text in options.settings or []]
    if not settings:
        raise ValueError("name a setting: Device.VECTOR.member=value")
    run_until_interrupted(options, _set_all, options, settings)
    return 0


async def _set_all(options: argparse.Namespace, settings: list[Setting]) -> None:
    if all(setting.kind for setting in settings):
        async with conversation(options) as server:
            await server.send(*map(_unseen, settings))
        return
    async with open_client(options.host, options.port, unix=options.unix) as client:
        for setting in settings:
            if setting.kind:
                await client._send(_unseen(setting))
            else:
                await _set_one(client, setting, options)


async def _set_one(client: Client, setting: Setting, options: argparse.Namespace) -> None:
    seconds = options.timeout or None
    try:
        device = await client.device(setting.device, seconds)
        await device.vector(setting.vector, seconds)
    except TimeoutError as error:
        known = str(error).partition("; ")[2]
        raise TimeoutError(f"No {setting.device}.{setting.vector} from {server_name(options)}; {known}") from None
    try:
        await device.set(
            setting.vector,
            setting.values,
            wait=not options.no_wait,
            timeout=options.limit,
            start_timeout=seconds or float("inf"),
        )
    except (ValueError, TypeError) as error:
        # Of the device's, not of the command line's: it is read-only, or out of range.
        reason = str(error).removeprefix(f"{setting.device}.{setting.vector}").lstrip(":. ")
        raise RefusedError(reason, device=setting.device, vector=setting.vector) from None


def _unseen(setting: Setting) -> NewVector:
    make, member = _KINDS[setting.kind or ""]
    members = tuple(member(name=name, value=value) for name, value in setting.values.items())
    made: NewVector = make(device=setting.device, name=setting.vector, members=members)
    return made
