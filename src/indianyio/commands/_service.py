"""Write a systemd unit that runs a server when the machine starts, and says when it is ready.

All options of "indianyio run" go into the unit. It is printed, not installed; its first lines say how to install
it. Drivers are loaded, to see how long they may take to end, but not run. The service runs as you, or as the user
given with --user, and may write to ~/.indi, where its settings are, and to the folders given with --writable.

With --udev a udev rule is printed instead, which gives a serial port a name that stays the same.

Exit status: 0 done, 2 the driver cannot be loaded, or something cannot be written in a unit.
"""

from __future__ import annotations

import argparse
import grp
import os
import pwd
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from indianyio._environment import THIS_MACHINE
from indianyio.commands._output import complain, say
from indianyio.commands._unit import UdevRule, Unit
from indianyio.exceptions import DriverLoadError
from indianyio.run._announcing import require_zeroconf
from indianyio.run._arguments import (
    add_driver_arguments,
    add_server_arguments,
    complete_arguments,
    is_server,
    positive_seconds,
)
from indianyio.run._ending import seconds_to_be_gone
from indianyio.run._executable import require_importable
from indianyio.run._loading import build_driver, find_driver
from indianyio.run._serving import make_server, served_names, server_end_seconds
from indianyio.server import IPyServer
from indianyio.streams._programs import find_program

__all__ = ["add_arguments", "run"]

_ROOT = 0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_LOCAL = "localhost"

# The group that may open serial ports, on Debian and Fedora, and on Arch; and the one for USB devices, if any.
_SERIAL_GROUPS = ("dialout", "uucp")
_USB_GROUP = "plugdev"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    driver = "a driver as run takes it, or the name of an installed one"
    parser.add_argument("driver", nargs="*", metavar="MODULE:NAME[,NAME...]", help=driver)
    add = parser.add_argument_group("the service").add_argument
    add("--name", default="indianyio", help="the name of the unit, without .service (default: %(default)s)")
    add("--user", help="the user it runs as (default: you)")
    watchdog = "end it properly if its event loop is stuck for this long (default: never)"
    add("--watchdog", type=positive_seconds, metavar="SECONDS", help=watchdog)
    writable = "a folder in which its drivers may write, besides ~/.indi"
    add("--writable", action="append", default=[], type=Path, metavar="PATH", help=writable)
    udev = "print a rule that links this serial port in /dev instead; LINK is by default the unit's name"
    add("--udev", action="append", default=[], metavar="VENDOR:PRODUCT[:SERIAL][=LINK]", help=udev)
    of_driver = add_driver_arguments(parser.add_argument_group("how drivers are run"))
    parser.set_defaults(
        of_run=[*of_driver, *add_server_arguments(parser)], make_executable=None, refuse=parser.error
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the arguments are wrong, the driver cannot be loaded, or a unit cannot contain something.
    :raises OSError: there is no such program.
    """
    if not _NAME.fullmatch(options.name):
        raise ValueError(f"{options.name!r} cannot be the name of a unit; use letters, digits, '-', '_' and '.'")
    if options.udev:
        say(_rules(options), has_lines=True)
        return 0
    if not is_server(options):
        raise ValueError("a service serves clients: add --port or --unix")
    complete_arguments(options, options.refuse)
    unit = _unit(options)
    say(unit.text(), has_lines=True)
    if not unit.settings_folder.is_dir():
        complain(f"{unit.settings_folder} is not there yet, and the service will not start without it; see line 2")
    for folder in options.writable:
        if not folder.exists():
            complain(
                f"{folder} is not there yet, and the service will not start without it; make it, for {unit.user}"
            )
    return 0


# -- the rules of udev -----------------------------------------------------------------------------------------


def _rules(options: argparse.Namespace) -> str:
    rules = [UdevRule.parse(text) for text in options.udev]
    links = [rule.link or options.name for rule in rules]
    if len(set(links)) < len(links):
        raise ValueError("two ports would have the same link; give each one of its own with =LINK")
    for link in links:
        _check_link(link)
    heading = [
        f"# Written by indianyio service. To install it as 60-{options.name}.rules, as root:",
        f"#   cp 60-{options.name}.rules /etc/udev/rules.d/",
        "#   udevadm control --reload && udevadm trigger --subsystem-match=tty",
    ]
    return "\n".join([*heading, *(rule.text(options.name, _serial_group()) for rule in rules)])


def _check_link(link: str) -> None:
    """Refuse a link that would be in the way of a device of the kernel's.

    :raises ValueError: it would be.
    """
    path = Path("/dev", link)
    # Serial ports that are not plugged in now are not there.
    if link.startswith("tty") or (path.exists() and not path.is_symlink()):
        raise ValueError(f"{path} is a device's own name; give the port another one with =LINK, such as =mount")


def _serial_group() -> str:
    """Return the group of this machine that may open serial ports."""
    return next(filter(_is_group, _SERIAL_GROUPS), _SERIAL_GROUPS[0])


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


# -- the unit --------------------------------------------------------------------------------------------------


def _unit(options: argparse.Namespace) -> Unit:
    user = _user(options.user, os.environ)
    if options.announce:
        require_zeroconf()
    server = _server(options)
    _make_absolute(options)
    require_importable("no unit is written")
    options.writable = [path.absolute() for path in options.writable]
    unix = options.unix if options.unix is not None and not options.unix.startswith("@") else None
    used = [options.folder, *options.exec]
    return Unit(
        name=options.name,
        description=f"INDI server of {', '.join(served_names(server))}",
        command=[sys.executable, "-P", "-m", "indianyio.run", *options.driver, *_words(options)],
        user=user.pw_name,
        group=_group_name(user),
        device_groups=[name for name in (_serial_group(), _USB_GROUP) if _is_group(name)],
        settings_folder=Path(user.pw_dir) / ".indi",
        paths=[Path(path) for path in used if path is not None],
        writable=options.writable,
        unix=None if unix is None else Path(unix),
        port=options.port,
        needs_network=options.port is not None and options.host != _LOCAL,
        stop_seconds=seconds_to_be_gone(server_end_seconds(server)),
        watchdog_seconds=options.watchdog,
    )


def _user(name: str | None, environment: Mapping[str, str]) -> pwd.struct_passwd:
    """Return the user that the service runs as.

    :raises ValueError: there is no such user, or it would be root although nobody has said so.
    """
    if name is None and os.geteuid() == _ROOT:
        name = environment.get("SUDO_USER")
        if name is None:
            raise ValueError("say with --user which user the service runs as; root should not obey the network")
    try:
        return pwd.getpwuid(os.geteuid()) if name is None else pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"there is no user {name or os.geteuid()} on this machine") from None


def _group_name(user: pwd.struct_passwd) -> str:
    with suppress(KeyError):
        return grp.getgrgid(user.pw_gid).gr_name
    return str(user.pw_gid)


def _server(options: argparse.Namespace) -> IPyServer:
    """Return the server that the unit would run, to see what it needs."""
    folder = None if options.folder is None else Path(options.folder)
    try:
        drivers = [build_driver(target, find_driver(target, folder)) for target in options.driver]
    except DriverLoadError as error:
        raise ValueError(str(error)) from None
    for driver in drivers:
        driver.grace = options.grace or driver.grace
    server = make_server(drivers, options)
    for exdriver in server.exdrivers:
        exdriver.require_program(THIS_MACHINE)
    return server


def _make_absolute(options: argparse.Namespace) -> None:
    """Make paths absolute, because a service starts in another folder and has another ``PATH``."""
    if options.folder is not None or any(map(_is_from_here, options.driver)):
        options.folder = str(Path(options.folder or ".").resolve())
    if options.unix is not None and not options.unix.startswith("@"):
        options.unix = os.path.abspath(options.unix)
    options.exec = [os.path.abspath(find_program(program, None)) for program in options.exec]


def _is_from_here(target: str) -> bool:
    """Return whether a driver's module, which has been imported, is in the current folder rather than installed."""
    module = sys.modules.get(target.partition(":")[0].partition(".")[0]) if ":" in target else None
    places = getattr(module, "__path__", None) or [getattr(module, "__file__", None) or os.devnull]
    here = Path.cwd()
    return any(Path(place).resolve().parent == here for place in places)


def _words(options: argparse.Namespace) -> Iterable[str]:
    """Yield the options of run as they were given, without those that have their defaults."""
    for action in options.of_run:
        value = getattr(options, action.dest)
        if value == action.default:
            continue
        name = action.option_strings[0]
        if action.nargs == 0:
            yield name
            continue
        for text in map(str, value if isinstance(value, list) else [value]):
            # A value that begins with a dash would be taken for another option.
            yield from [f"{name}={text}"] if text.startswith("-") else [name, text]
