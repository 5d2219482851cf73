"""The text of a systemd unit for a server, with systemd's rules of quoting, and of a udev rule for a serial port.

Some options are left out of the unit on purpose, because they would make instruments unusable:

- PrivateDevices, DevicePolicy and DeviceAllow: these use a list of device types that is looked up when the service
  starts, and a type whose kernel module has not been loaded by then is not on it. So the first USB adapter of its
  type, plugged in later, could not be opened. ProtectClock brings such a list, too. As the service runs as a user
  without privileges, the permissions of the device files decide what it may open.
- ProtectKernelTunables: it makes /sys read-only, through which GPIO, PWM and the latency of adapters are set.
- MemoryDenyWriteExecute: ctypes and the libraries of camera makers need memory that is writable and executable.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["UdevRule", "Unit", "argument", "setting"]

_PLAIN = re.compile(r"[][A-Za-z0-9_@%+=:,./$-]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHARED_FOLDERS = (Path("/tmp"), Path("/var/tmp"))
_RUNTIME = Path("/run")
_FIRST_UNPRIVILEGED_PORT = 1024

# The exit status for what does not get better by itself, such as a driver that cannot be loaded.
_NOT_LOADED = 2
_RESTART_SECONDS = 5

_HARDENING = """\
# Access to devices is not restricted: the permissions of their files decide. DevicePolicy, DeviceAllow,
# PrivateDevices and ProtectClock would shut out an adapter whose kernel module is loaded later,
# ProtectKernelTunables would shut out GPIO and PWM.
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""


def setting(text: str) -> str:
    """Return a text as a word of a setting, in which ``%`` stands for itself.

    :raises ValueError: a unit cannot contain it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not valid UTF-8, so a unit cannot contain it") from None
    if "\0" in text:
        raise ValueError(f"{text!r} has a NUL in it, so a unit cannot contain it")
    text = text.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped) + '"'


def argument(text: str) -> str:
    """Return a text as an argument in ExecStart, where ``$`` would begin a variable; not for the program itself."""
    return setting(text.replace("$", "$$"))


@dataclass(frozen=True)
class Unit:
    """A service.

    :ivar name: its name, without ``.service``.
    :ivar description: a line for people.
    :ivar command: the program, by its absolute path, and its arguments.
    :ivar user: the user that it runs as.
    :ivar group: the main group of that user.
    :ivar device_groups: the groups that may open serial ports and USB devices.
    :ivar settings_folder: where instruments keep their settings.
    :ivar paths: further folders and files that it uses.
    :ivar writable: further folders in which it may write.
    :ivar unix: the path of the unix socket on which it listens.
    :ivar port: the TCP port on which it listens.
    :ivar needs_network: whether the network must be up before it starts.
    :ivar stop_seconds: how long it may take to end, at most.
    :ivar watchdog_seconds: how long it may give no sign of life.
    """

    name: str
    description: str
    command: Sequence[str]
    user: str
    group: str
    device_groups: Sequence[str]
    settings_folder: Path
    paths: Sequence[Path]
    writable: Sequence[Path]
    unix: Path | None
    port: int | None
    needs_network: bool
    stop_seconds: float
    watchdog_seconds: float | None

    def text(self) -> str:
        """Return the unit.

        :raises ValueError: a unit cannot contain something in it.
        """
        return "\n".join(
            [
                *self._heading(),
                "",
                "[Unit]",
                f"Description={_in_a_line(self.description)}",
                *self._order(),
                "",
                "[Service]",
                "Type=notify",
                f"ExecStart={self._command_line()}",
                f"User={setting(self.user)}",
                *self._groups(),
                *self._ending(),
                "",
                *self._places(),
                *self._privileges(),
                _HARDENING,
                "[Install]",
                "WantedBy=multi-user.target",
            ]
        )

    def _heading(self) -> Iterable[str]:
        file = f"{self.name}.service"
        yield f"# Written by indianyio service. To install it as {file}, as root:"
        folder = shlex.quote(str(self.settings_folder))
        yield f"#   install -d -o {self.user} -g {self.group} {folder}"
        yield f"#   cp {file} /etc/systemd/system/"
        yield f"#   systemctl daemon-reload && systemctl enable --now {self.name}"

    def _order(self) -> Iterable[str]:
        if self.needs_network:
            yield from ("Wants=network-online.target", "After=network-online.target")

    def _command_line(self) -> str:
        program, *arguments = self.command
        return " ".join([setting(program), *map(argument, arguments)])

    def _groups(self) -> Iterable[str]:
        if self.device_groups:
            yield f"SupplementaryGroups={' '.join(map(setting, self.device_groups))}"

    def _ending(self) -> Iterable[str]:
        yield "Restart=on-failure"
        yield f"RestartSec={_RESTART_SECONDS}"
        yield f"RestartPreventExitStatus={_NOT_LOADED}"
        yield "# Only the server gets SIGTERM. It lets its drivers leave, which takes less than this time."
        yield "KillMode=mixed"
        yield f"TimeoutStopSec={math.ceil(self.stop_seconds)}"
        if self.watchdog_seconds is not None:
            yield f"WatchdogSec={self.watchdog_seconds:g}"
            yield "# With the usual SIGABRT nothing would be parked."
            yield "WatchdogSignal=SIGTERM"

    def _places(self) -> Iterable[str]:
        writable = [self.settings_folder, *self.writable]
        if self.unix is not None:
            if self.unix.parent.parent == _RUNTIME:
                yield f"RuntimeDirectory={setting(self.unix.parent.name)}"
            else:
                writable.append(self.unix.parent)
        yield f"ReadWritePaths={' '.join(setting(str(path)) for path in dict.fromkeys(writable))}"
        if not any(map(_is_shared, [Path(self.command[0]), *self.paths, *writable])):
            yield "PrivateTmp=yes"

    def _privileges(self) -> Iterable[str]:
        is_privileged = self.port is not None and 0 < self.port < _FIRST_UNPRIVILEGED_PORT
        capability = "CAP_NET_BIND_SERVICE" if is_privileged else ""
        yield f"CapabilityBoundingSet={capability}"
        if is_privileged:
            yield f"AmbientCapabilities={capability}"


def _in_a_line(text: str) -> str:
    """Return a text as a setting that takes a whole line, in which quotes have no meaning."""
    line = setting(" ".join(_CONTROL.sub(" ", text).split()))
    return line[1:-1].replace('\\"', '"') if line.startswith('"') else line


def _is_shared(path: Path) -> bool:
    """Return whether the service, with a /tmp of its own, would not find a path."""
    return any(path.is_relative_to(folder) for folder in _SHARED_FOLDERS)


_USB = re.compile(
    r"""
    (?P<vendor>[0-9a-f]{4}) : (?P<product>[0-9a-f]{4}) (?: : (?P<serial>[A-Za-z0-9 _.:/#-]+) )?
    (?: = (?P<link>[A-Za-z0-9][A-Za-z0-9_.-]*) )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class UdevRule:
    """The USB adapter of a serial port, and the name in ``/dev`` that is to point to it.

    :ivar serial: empty for any adapter of this product.
    :ivar link: empty for the name of the service.
    """

    vendor: str
    product: str
    serial: str
    link: str

    @classmethod
    def parse(cls, text: str) -> UdevRule:
        """Read ``VENDOR:PRODUCT[:SERIAL][=LINK]``.

        :raises ValueError: it is anything else.
        """
        found = _USB.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is not VENDOR:PRODUCT[:SERIAL][=LINK], such as 0403:6001:A50285BI=mount; "
                "lsusb shows the first two, udevadm info -a -n /dev/ttyUSB0 all three"
            )
        # In lower case, as sysfs writes them.
        numbers = found["vendor"].lower(), found["product"].lower()
        return cls(*numbers, found["serial"] or "", found["link"] or "")

    def text(self, default_link: str, group: str) -> str:
        """Return the rule.

        :param default_link: the link if it has none of its own.
        :param group: the group that may open the port.
        """
        matches = [
            'SUBSYSTEM=="tty"',
            f'ATTRS{{idVendor}}=="{self.vendor}"',
            f'ATTRS{{idProduct}}=="{self.product}"',
            *([f'ATTRS{{serial}}=="{self.serial}"'] if self.serial else []),
        ]
        # ModemManager asks every new port whether it is a modem, and a mount may take the question for a command.
        effects = [f'GROUP="{group}"', 'MODE="0660"', 'ENV{ID_MM_PORT_IGNORE}="1"']
        return ", ".join([*matches, f'SYMLINK+="{self.link or default_link}"', *effects])
