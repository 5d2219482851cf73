"""Write properties, and wait until the device has done it.

A setting is Device.VECTOR.member=value, or Device.VECTOR.a=1;b=2, or Device.VECTOR.a;b=1;2, as for indi_setprop.
A number is 45.5, or with minutes and seconds -0:30:15 or 12h30m36s; a switch is On or Off. Each setting is written
when the one before is done. A setting after -x (text), -n (number) or -s (switch) is sent blindly, without checking
that there is such a property, and without waiting for anything.

Exit status: 0 everything was done (or sent, with --no-wait), 1 something does not exist, is not allowed, was
refused or not done, 2 there is no server, or the command line is wrong.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indianyio._vocabulary import Switch
from indianyio.client import Client, NumberVector, open_client
from indianyio.commands._arguments import seconds
from indianyio.commands._wire import add_server, conversation, refusing, run_until_interrupted, server_name
from indianyio.protocol import (
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    OneNumber,
    OneSwitch,
    OneText,
    encode,
)
from indianyio.protocol._numbers import number_text, typed_number

_KINDS = {"-x": "text", "-n": "number", "-s": "switch"}


class _Typed(argparse.Action):
    """Collects a setting together with its type."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        namespace.typed = [*namespace.typed, (option_string, str(values))]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("settings", nargs="*", metavar="SETTING", help="what to write")
    for option, kind in _KINDS.items():
        parser.add_argument(
            option, action=_Typed, dest="typed", default=(), metavar="SETTING", help=f"send a {kind} blindly"
        )
    parser.add_argument("--no-wait", action="store_true", help="only send, as indi_setprop does")
    parser.add_argument(
        "--limit", type=seconds, metavar="SECONDS", help="how long each may take; 0 for ever, the default"
    )
    add_server(parser, timeout=2.0, bounds="how long to wait for a property, and for a sign of the driver")


@dataclass(frozen=True)
class Setting:
    """What is to be written, as given on the command line."""

    device: str
    vector: str
    values: dict[str, str]
    kind: str | None = None

    @classmethod
    def parse(cls, text: str, kind: str | None = None) -> Setting:
        """Read a setting.

        :raises ValueError: it is not a setting; the text says why.
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
            return cls(device, vector, _once(zip(names, values, strict=True), text), kind)
        return cls(device, vector, _once(_pairs(members, rest, text), text), kind)


def _pairs(first: str, rest: str, text: str) -> Iterator[tuple[str, str]]:
    value, *others = rest.split(";")
    yield first, value
    for other in others:
        name, equals, value = other.partition("=")
        if not name or not equals:
            raise ValueError(f"{text!r}: {other!r} is not of the form member=value")
        yield name, value


def _once(pairs: Iterable[tuple[str, str]], text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        if not name:
            raise ValueError(f"{text!r} has a value without a member")
        if name in values:
            raise ValueError(f"{text!r} names {name} twice")
        values[name] = value
    return values


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: a setting cannot be read.
    """
    settings = [Setting.parse(text, kind) for kind, text in _in_order(options)]
    for setting in settings:
        if setting.kind:
            encode(_unseen(setting))  # so that an error is reported before anything is sent
    if not settings:
        raise ValueError("name a setting: Device.VECTOR.member=value")
    run_until_interrupted(options, _set_all, options, settings)
    return 0


def _in_order(options: argparse.Namespace) -> list[tuple[str | None, str]]:
    """Return the settings in the order of the command line, each with its type if it has one.

    To the parser those with a type are options, so it collects them apart from those without.
    """
    typed, plain = deque(options.typed), deque(options.settings)
    ordered: list[tuple[str | None, str]] = []
    words = iter(options.words)
    for word in words:
        if typed and word[:2] in _KINDS:
            ordered.append(typed.popleft())
            if word in _KINDS:
                next(words)  # its setting
        elif plain and word == plain[0]:
            ordered.append((None, plain.popleft()))
    return [*ordered, *typed, *((None, text) for text in plain)]


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
    patience = options.timeout or None
    try:
        device = await client.device(setting.device, patience)
        vector = await device.vector(setting.vector, patience)
    except TimeoutError as error:
        known = str(error).partition("; ")[2]
        raise TimeoutError(f"No {setting.device}.{setting.vector} from {server_name(options)}; {known}") from None
    with refusing(setting.device, setting.vector):
        await device.set(
            setting.vector,
            _numbers(setting.values) if isinstance(vector, NumberVector) else setting.values,
            wait=not options.no_wait,
            timeout=options.limit or None,
            start_timeout=patience or float("inf"),
        )


def _numbers(values: Mapping[str, str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, text in values.items():
        try:
            numbers[name] = typed_number(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return numbers


def _unseen(setting: Setting) -> NewVector:
    """Return the message that writes a setting whose type was given.

    :raises ValueError: a value is not of that type, or contains a character that cannot be sent.
    """
    if setting.kind == "-n":
        numbers = _numbers(setting.values).items()
        written = tuple(OneNumber(name=name, value=number_text(number)) for name, number in numbers)
        return NewNumberVector(device=setting.device, name=setting.vector, members=written)
    if setting.kind == "-x":
        texts = tuple(OneText(name=name, value=value) for name, value in setting.values.items())
        return NewTextVector(device=setting.device, name=setting.vector, members=texts)
    for name, value in setting.values.items():
        if value not in (Switch.ON, Switch.OFF):
            raise ValueError(f"{name}: a switch must be On or Off, not {value!r}")
    switches = tuple(OneSwitch(name=name, value=value) for name, value in setting.values.items())
    return NewSwitchVector(device=setting.device, name=setting.vector, members=switches)
