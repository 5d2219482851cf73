"""Where a server listens: every address that is asked for, or none and an error that names the one at fault."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from indianyio import _binding
from indianyio._binding import Bound
from indianyio.streams._listening import Listener, open_listeners

pytestmark = pytest.mark.anyio

LOOPBACK = ("127.0.0.1", "::1")


@asynccontextmanager
async def listening(host: str | None, port: int = 0, unix: str | None = None) -> AsyncGenerator[list[Listener]]:
    listeners = await open_listeners(host, port, unix)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def connect(address: str) -> None:
    """Connect the way a client does, and leave."""
    if address.startswith(("/", "@")):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address.replace("@", "\0"))
    else:
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port))).close()


def port_of(listener: Listener) -> int:
    return int(listener.address.rpartition(":")[2])


# -- TCP -------------------------------------------------------------------------------------------------------


async def test_localhost_is_both_families_on_one_port() -> None:
    async with listening("localhost") as listeners:
        port = port_of(listeners[0])
        assert port
        assert [listener.address for listener in listeners] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
        for listener in listeners:
            connect(listener.address)


@pytest.mark.parametrize("host", ["", "::"])
async def test_everywhere_is_both_families(host: str) -> None:
    async with listening(host) as listeners:
        port = port_of(listeners[0])
        assert [listener.address for listener in listeners] == [f"0.0.0.0:{port}", f"[::]:{port}"]
        for address in LOOPBACK:
            socket.create_connection((address, port)).close()


async def test_everywhere_in_ipv4_is_not_ipv6() -> None:
    async with listening("0.0.0.0") as (listener,):
        port = port_of(listener)
        assert listener.address == f"0.0.0.0:{port}"
        connect(f"127.0.0.1:{port}")
        with pytest.raises(ConnectionRefusedError):
            connect(f"[::1]:{port}")


@pytest.mark.parametrize(("host", "form"), [("127.0.0.2", "127.0.0.2:{}"), ("::1", "[::1]:{}")])
async def test_one_address(host: str, form: str) -> None:
    async with listening(host) as (listener,):
        assert listener.address == form.format(port_of(listener))
        connect(listener.address)


async def test_a_name_is_resolved_and_each_address_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: None, **_: object) -> list[tuple[object, ...]]:
        await anyio.lowlevel.checkpoint()
        assert host == "dome.example"
        return [(0, 0, 0, "", (address, 0)) for address in ("::1", "127.0.0.1", "::1")]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    async with listening("dome.example") as listeners:
        port = port_of(listeners[0])
        assert [listener.address for listener in listeners] == [f"[::1]:{port}", f"127.0.0.1:{port}"]


async def test_a_port_can_be_had_again_while_old_connections_linger() -> None:
    """Without SO_REUSEADDR a server could not be restarted for a minute."""
    async with listening("127.0.0.1") as (listener,):
        port = port_of(listener)
        client = socket.create_connection(("127.0.0.1", port))
        await anyio.wait_readable(listener._socket)
        served, _ = listener._socket.accept()
    served.close()  # this end first: its address is in TIME_WAIT now
    client.close()
    async with listening("127.0.0.1", port):
        pass


async def test_a_closed_listener_listens_no_more() -> None:
    async with listening("localhost") as listeners:
        listeners[0].close()
        listeners[0].close()
        with pytest.raises(ConnectionRefusedError):
            connect(listeners[0].address)
        connect(listeners[1].address)


async def test_nothing_asked_for_is_nothing_opened() -> None:
    assert await open_listeners(None, 7624, None) == []


# -- what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_a_port_that_is_taken_is_named(family: socket.AddressFamily, tmp_path: Path) -> None:
    taken = LOOPBACK[family == socket.AF_INET6]
    other = LOOPBACK[family == socket.AF_INET]
    with socket.create_server((taken, 0), family=family) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"cannot listen on .*{taken}\]?:{port}: Address already in use"
        ) as caught:
            await open_listeners("localhost", port, str(tmp_path / "indi"))
        assert caught.value.errno == errno.EADDRINUSE
        assert not (tmp_path / "indi").exists()
        async with listening(other, port):  # it is not open any more
            pass


async def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:7624: ") as caught:
        await open_listeners("192.0.2.1", 7624, None)
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    with pytest.raises(OSError, match="cannot listen on nowhere: Name or service not known"):
        await open_listeners("nowhere", 0, None)


async def test_a_host_that_is_no_name_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot listen on ö\.\.b: "):
        await open_listeners("ö..b", 0, None)


async def test_a_unix_socket_that_fails_closes_the_others(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    with pytest.raises(OSError, match=f"cannot listen on {tmp_path}/none/indi: No such file"):
        await open_listeners("127.0.0.1", port, f"{tmp_path}/none/indi")
    with pytest.raises(ConnectionRefusedError):
        connect(f"127.0.0.1:{port}")


@pytest.mark.parametrize("port", [-1, 65536])
async def test_no_such_port(port: int) -> None:
    with pytest.raises(ValueError, match=f"not {port}"):
        await open_listeners("localhost", port, None)


@pytest.mark.parametrize("unix", ["", "@", "\0", "/tmp/in\0di", "@in\0di"])
async def test_no_such_unix_socket(unix: str) -> None:
    with pytest.raises(ValueError, match="names no unix socket"):
        await open_listeners(None, 0, unix)


class Refusals:
    """Has an address refused, and keeps an account of what was opened meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, address: str, error: int, times: int) -> None:
        self.opened: list[Bound] = []
        self.left = times
        self._address = address
        self._error = error
        self._bind_one = _binding._bind_one
        monkeypatch.setattr(_binding, "_bind_one", self.bind)

    def bind(self, address: str, port: int) -> Bound:
        if address == self._address and self.left:
            self.left -= 1
            raise OSError(self._error, f"cannot listen on {address}")
        self.opened.append(self._bind_one(address, port))
        return self.opened[-1]


async def test_a_free_port_must_be_free_in_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals(monkeypatch, "::1", errno.EADDRINUSE, times=19)
    async with listening("localhost") as listeners:
        assert [bound.sock.fileno() >= 0 for bound in refusals.opened] == [False] * 19 + [True] * 2
        assert len({port_of(listener) for listener in listeners}) == 1


async def test_the_search_for_a_free_port_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals(monkeypatch, "::1", errno.EADDRINUSE, times=1000)
    with pytest.raises(OSError, match="cannot listen on ::1"):
        await open_listeners("localhost", 0, None)
    assert refusals.left == 1000 - 20
    assert all(bound.sock.fileno() < 0 for bound in refusals.opened)


async def test_a_port_that_was_asked_for_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals(monkeypatch, "127.0.0.1", errno.EADDRINUSE, times=2)
    with pytest.raises(OSError, match="cannot listen"):
        await open_listeners("localhost", 1, None)
    assert refusals.left == 1


@pytest.mark.parametrize("error", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
async def test_a_machine_without_ipv6(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Refusals(monkeypatch, "::1", error, times=2)
    async with listening("localhost") as (listener,):
        assert listener.address.startswith("127.0.0.1:")
    with pytest.raises(OSError, match="cannot listen on ::1"):
        await open_listeners("::1", 0, None)


async def test_without_ipv4_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Refusals(monkeypatch, "127.0.0.1", errno.EADDRNOTAVAIL, times=1)
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1"):
        await open_listeners("localhost", 0, None)


# -- unix sockets ----------------------------------------------------------------------------------------------


async def test_a_path(tmp_path: Path) -> None:
    path = tmp_path / "indi"
    async with listening("127.0.0.1", unix=str(path)) as (_, listener):
        assert listener.address == str(path)
        assert stat.S_ISSOCK(path.lstat().st_mode)
        connect(str(path))
    assert not path.exists()


async def test_a_relative_path_is_removed_from_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with listening(None, unix="indi"):
        assert (tmp_path / "indi").exists()
        os.chdir("/")
    assert not (tmp_path / "indi").exists()


async def test_a_leftover_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "indi")
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(path)
        killed.listen()
    async with listening(None, unix=path):
        connect(path)


@pytest.mark.parametrize("backlog", [0, 10], ids=["busy", "idle"])
async def test_a_server_that_lives_is_not_replaced(backlog: int, tmp_path: Path) -> None:
    path = tmp_path / "indi"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen(backlog)
        client.connect(str(path))
        with pytest.raises(OSError, match=f"cannot listen on {path}: Address already in use"):
            await open_listeners(None, 0, str(path))
        assert path.exists()


async def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "observations.fits"
    path.write_text("a night's work")
    with pytest.raises(OSError, match=r"cannot listen on .*Address already in use"):
        await open_listeners(None, 0, str(path))
    assert path.read_text() == "a night's work"


async def test_a_link_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"cannot listen on .*Address already in use"):
        await open_listeners(None, 0, str(path))
    assert path.is_symlink()


async def test_a_path_that_another_server_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "indi"
    async with listening(None, unix=str(path)) as (first,):
        os.rename(path, tmp_path / "kept")  # so that the number of its file is not given to the next
        async with listening(None, unix=str(path)):
            first.close()
            connect(str(path))
    assert not path.exists()


async def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / ("i" * 200))
    with pytest.raises(OSError, match=f"cannot listen on {path}: .*too long"):
        await open_listeners(None, 0, path)


@pytest.mark.parametrize("first", ["@", "\0"])
async def test_an_abstract_name_is_exactly_what_indiservers_clients_use(first: str) -> None:
    """protocol.md 2.1: a NUL, the name, and nothing after it."""
    name = f"/tmp/indianyio-{uuid4()}"
    async with listening(None, unix=first + name) as (listener,):
        assert listener.address == f"@{name}"
        assert listener._socket.getsockname() == b"\0" + name.encode()
        assert listener._bound.file is None
        connect(listener.address)
        with pytest.raises(OSError, match=f"cannot listen on @{name}: Address already in use"):
            await open_listeners(None, 0, f"@{name}")
    async with listening(None, unix=f"@{name}"):
        pass
