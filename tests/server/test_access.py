"""Who may do what: the table, what fails safely, and the warning."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest

from indianyio._rated_log import RatedLog
from indianyio.server._access import (
    Access,
    AccessRule,
    AccessTable,
    Connection,
    _split,
    access_table,
    decide,
    decide_without_certificate,
    default_access,
    tell_openness,
    warn_if_open,
)

logger = logging.getLogger("tests.access")

LOCAL = Connection("unix", uid=1000, gid=1000, pid=4711)
CERTIFICATE = {"subject": ((("organizationName", "Observatory"),), (("commonName", "dome"),))}


def tcp(address: str) -> Connection:
    return Connection("tcp", address=address, port=50000)


@pytest.mark.parametrize(
    ("entry", "connection", "matches"),
    [
        ("192.168.1.0/24", tcp("192.168.1.7"), True),
        ("192.168.1.0/24", tcp("192.168.2.7"), False),
        ("192.168.1.0/24", tcp("::ffff:192.168.1.7"), True),
        ("192.168.1.0/24", tcp("::ffff:192.168.2.7"), False),
        ("192.168.1.0/24", tcp("::1"), False),
        ("192.168.1.0/24", LOCAL, False),
        ("192.168.1.7", tcp("192.168.1.7"), True),
        ("192.168.1.7", tcp("192.168.1.8"), False),
        ("0.0.0.0/0", tcp("8.8.8.8"), True),
        ("0.0.0.0/0", tcp("2001:db8::1"), False),
        ("::ffff:192.168.1.0/120", tcp("192.168.1.7"), True),
        ("::ffff:192.168.1.0/120", tcp("::ffff:192.168.1.7"), True),
        ("::ffff:192.168.1.0/120", tcp("192.168.2.7"), False),
        ("::ffff:0:0/96", tcp("8.8.8.8"), True),
        ("::1/128", tcp("::1"), True),
        ("::1", tcp("::2"), False),
        ("::/0", tcp("2001:db8::1"), True),
        ("::/0", tcp("8.8.8.8"), False),
        ("fe80::/10", tcp("fe80::1%eth0"), True),
        ("loopback", tcp("127.0.0.1"), True),
        ("loopback", tcp("127.8.8.8"), True),
        ("loopback", tcp("::1"), True),
        ("loopback", tcp("::ffff:127.0.0.1"), True),
        ("loopback", tcp("192.168.1.7"), False),
        ("loopback", tcp("0.0.0.0"), False),
        ("loopback", LOCAL, False),
        ("unix", LOCAL, True),
        ("unix", tcp("127.0.0.1"), False),
    ],
)
def test_what_an_entry_matches(entry: str, connection: Connection, matches: bool) -> None:
    rule = access_table([(entry, Access.FULL)], Access.REFUSED)
    assert rule(connection) is (Access.FULL if matches else Access.REFUSED)


@pytest.mark.parametrize(
    ("address", "access"),
    [
        ("192.168.1.7", Access.REFUSED),
        ("192.168.1.8", Access.READ_ONLY),
        ("127.0.0.1", Access.FULL),
        ("10.0.0.1", Access.REFUSED),
    ],
)
def test_the_first_entry_that_matches_decides(address: str, access: Access) -> None:
    rules = [
        ("192.168.1.7", Access.REFUSED),
        ("192.168.1.0/24", Access.READ_ONLY),
        ("loopback", Access.FULL),
        ("192.168.1.8", Access.FULL),
    ]
    assert access_table(rules, Access.REFUSED)(tcp(address)) is access


def test_a_table_keeps_what_it_was_made_from() -> None:
    rules = [("loopback", Access.READ_ONLY)]
    rule = access_table(rules, Access.REFUSED)
    rules[0] = ("loopback", Access.FULL)
    assert rule(tcp("127.0.0.1")) is Access.READ_ONLY


def test_an_empty_table_leaves_the_default() -> None:
    assert access_table([], Access.READ_ONLY)(LOCAL) is Access.READ_ONLY


@pytest.mark.parametrize(
    ("rules", "error", "text"),
    [
        ([("192.168.1.7/24", Access.FULL)], ValueError, r"'192\.168\.1\.7/24'.*host bits"),
        ([("192.168.1.0/33", Access.FULL)], ValueError, "'192.168.1.0/33'"),
        ([("localhost", Access.FULL)], ValueError, "'localhost'.*'loopback'"),
        ([("", Access.FULL)], ValueError, "''"),
        ([("unix", Access.FULL), ("Unix", Access.FULL)], ValueError, "'Unix'"),
        ([(7, Access.FULL)], TypeError, "7"),
        ([("unix", "maybe")], ValueError, "'unix': 'maybe' is not one of 'full', 'read-only', 'refused'"),
        ([("unix", True)], ValueError, "'unix': True"),
    ],
)
def test_nonsense_is_refused_at_once_and_named(
    rules: Sequence[tuple[str, Access]], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        access_table(rules, Access.FULL)


def test_a_default_that_is_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="'default': None"):
        access_table([], None)  # type: ignore[arg-type]


def test_by_default_everything_is_allowed_as_by_every_indi_server() -> None:
    assert {default_access(one) for one in (LOCAL, tcp("127.0.0.1"), tcp("8.8.8.8"))} == {Access.FULL}


def forgetful(connection: Connection) -> Access:
    return None  # type: ignore[return-value]


def hasty(connection: Connection) -> Access:
    return True  # type: ignore[return-value]


def failing(connection: Connection) -> Access:
    raise KeyError(connection.uid)


@pytest.mark.parametrize("rule", [forgetful, hasty, failing])
def test_a_rule_that_does_not_decide_refuses(rule: AccessRule, caplog: pytest.LogCaptureFixture) -> None:
    assert decide(rule, tcp("8.8.8.8"), RatedLog(logger)) is Access.REFUSED
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "8.8.8.8:50000" in record.getMessage()
    assert record.exc_info


def test_a_rule_that_decides_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    assert decide(lambda connection: Access(f"{'read'}-only"), LOCAL, RatedLog(logger)) is Access.READ_ONLY
    assert not caplog.records


@pytest.mark.parametrize(
    ("connection", "name"),
    [
        (tcp("127.0.0.1"), "127.0.0.1:50000"),
        (tcp("::1"), "[::1]:50000"),
        (LOCAL, "process 4711"),
        (Connection("unix"), "unix socket"),
    ],
)
def test_the_name_of_a_connection(connection: Connection, name: str) -> None:
    assert connection.name == name


@pytest.mark.parametrize(
    ("certificate", "common_name"),
    [
        (None, None),
        ({}, None),
        ({"subject": ()}, None),
        ({"subject": "dome"}, None),
        ({"subject": ((("organizationName", "Observatory"),),)}, None),
        (CERTIFICATE, "dome"),
        ({"subject": ((("commonName", "all"),), (("commonName", "dome"),))}, "dome"),
    ],
)
def test_the_common_name_of_a_certificate(certificate: dict[str, object] | None, common_name: str | None) -> None:
    connection = Connection("tcp", "127.0.0.1", 50000, certificate=certificate)
    assert connection.common_name == common_name
    assert len({connection}) == 1  # can be a key, certificate or not


@pytest.mark.parametrize(
    ("addresses", "named"),
    [
        ([], ""),
        (["127.0.0.1:7624", "[::1]:7624"], ""),
        (["/tmp/indiserver", "@/tmp/indiserver", "indi:7", "run/indi"], ""),
        (["0.0.0.0:7624"], "0.0.0.0:7624"),
        (["[::]:7624"], "[::]:7624"),
        (["127.0.0.1:7624", "192.168.1.7:7624", "[fe80::1%eth0]:7624"], "192.168.1.7:7624 or [fe80::1%eth0]:7624"),
    ],
)
@pytest.mark.parametrize("has_rule", [False, True])
def test_one_warning_where_others_can_connect(
    addresses: list[str], named: str, has_rule: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(addresses, has_rule)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == len(caplog.records) == (1 if named and not has_rule else 0)
    for text in warned:
        assert f"can reach {named} can command" in text
        assert "no authentication" in text
        assert "access=" in text


BOTH = ("0.0.0.0:7624", "[::]:7624")
READ_LAN = [("192.168.1.0/24", Access.READ_ONLY)]


@pytest.mark.parametrize(
    ("rules", "default", "ipv4", "ipv6"),
    [
        ([], Access.FULL, "everybody", "everybody"),
        ([], Access.READ_ONLY, "nobody", "nobody"),
        (READ_LAN, Access.FULL, "everybody but 192.168.1.0/24", "everybody"),
        ([("0.0.0.0/0", Access.READ_ONLY)], Access.FULL, "nobody", "everybody"),
        ([("loopback", Access.FULL)], Access.REFUSED, "only 127.0.0.0/8", "only ::1/128"),
        ([("loopback", Access.FULL), ("::/0", Access.REFUSED)], Access.FULL, "everybody", "only ::1/128"),
        ([("192.168.1.7", Access.FULL), *READ_LAN], Access.REFUSED, "only 192.168.1.7/32", "nobody"),
        (
            [(f"10.{number}.0.0/16", Access.FULL) for number in range(0, 16, 2)],
            Access.REFUSED,
            "only 10.0.0.0/16, 10.2.0.0/16, 10.4.0.0/16, 10.6.0.0/16, 10.8.0.0/16, 10.10.0.0/16 and 2 more",
            "nobody",
        ),
        ([*READ_LAN, ("192.168.1.0/24", Access.FULL)], Access.REFUSED, "nobody", "nobody"),
        ([("::ffff:10.0.0.0/104", Access.REFUSED)], Access.FULL, "everybody but 10.0.0.0/8", "everybody"),
        ([("10.0.0.0/9", Access.FULL), ("10.128.0.0/9", Access.FULL)], Access.REFUSED, "only 10.0.0.0/8", "nobody"),
    ],
)
def test_at_the_start_it_is_said_whom_the_rules_leave_open(
    rules: Sequence[tuple[str, Access]], default: Access, ipv4: str, ipv6: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tell_openness(BOTH, access_table(rules, default))
    said = [record.getMessage().partition(", as no")[0] for record in caplog.records]
    assert said == [
        f"IPv4 (0.0.0.0:7624): {ipv4} may command the instruments",
        f"IPv6 ([::]:7624): {ipv6} may command the instruments",
    ]


@pytest.mark.parametrize(
    ("addresses", "rules", "warned"),
    [
        pytest.param(BOTH, [("0.0.0.0/0", Access.READ_ONLY)], ["IPv6"], id="a-rule-for-the-other-family"),
        pytest.param(BOTH, [("::/0", Access.REFUSED)], ["IPv4"], id="and-the-other-way-round"),
        pytest.param(BOTH[:1], [("0.0.0.0/0", Access.READ_ONLY)], [], id="nobody-comes-by-the-other-family"),
        pytest.param(BOTH, [("unix", Access.FULL)], [], id="nothing-was-to-be-restricted"),
        pytest.param(("[::1]:7624",), [("0.0.0.0/0", Access.READ_ONLY)], [], id="this-machine-only"),
    ],
)
def test_a_family_that_the_rules_forget_is_a_warning(
    addresses: Sequence[str],
    rules: Sequence[tuple[str, Access]],
    warned: Sequence[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tell_openness(addresses, access_table(rules, Access.FULL))
    assert [record.getMessage().split()[0] for record in caplog.records] == warned


@pytest.mark.parametrize(
    ("access", "who"), [(Access.FULL, "every process of this machine"), (Access.REFUSED, "nobody")]
)
def test_whom_the_rules_leave_open_on_a_unix_socket(
    access: Access, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tell_openness(["/run/indi:7", "@indi"], access_table([("unix", access)], Access.READ_ONLY))
    (record,) = caplog.records
    assert record.getMessage() == f"unix socket (/run/indi:7, @indi): {who} may command the instruments"


def test_of_a_function_only_that_it_decides_can_be_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell_openness(BOTH[:1], failing)
    (record,) = caplog.records
    assert record.getMessage() == "IPv4 (0.0.0.0:7624): what a client may do is decided by failing"


def test_what_is_said_is_what_is_decided() -> None:
    """For random tables and addresses, the networks that are said to be open are those that are."""
    chance = random.Random(7)
    for _ in range(200):
        rules = [
            (str(ip_network((chance.randrange(8) << 29, chance.randrange(4)), strict=False)), access)
            for access in chance.choices(list(Access), k=chance.randrange(6))
        ]
        table = access_table(rules, chance.choice(list(Access)))
        assert isinstance(table, AccessTable)
        full, rest = _split(table, IPv4Network("0.0.0.0/0"))
        for number in range(8):
            address = IPv4Address(number << 29)
            is_open = table(tcp(str(address))) is Access.FULL
            assert any(address in network for network in full) == is_open
            assert any(address in network for network in rest) == (not is_open)


# -- before a handshake ------------------------------------------------------------------------------------------


def by_name(connection: Connection) -> Access:
    return Access.FULL if connection.common_name == "dome" else Access.REFUSED


def by_subject(connection: Connection) -> Access:
    return Access.FULL if "subject" in connection.certificate else Access.REFUSED  # type: ignore[operator]


def by_address_and_name(connection: Connection) -> Access:
    if connection.address == "8.8.8.8":
        return Access.REFUSED
    return by_name(connection)


@pytest.mark.parametrize(
    ("rule", "address", "access"),
    [
        (access_table([("8.8.8.8", Access.REFUSED)], Access.READ_ONLY), "8.8.8.8", Access.REFUSED),
        (access_table([("8.8.8.8", Access.REFUSED)], Access.READ_ONLY), "8.8.4.4", Access.READ_ONLY),
        (default_access, "8.8.8.8", Access.FULL),
        (by_name, "8.8.8.8", None),
        (by_subject, "8.8.8.8", None),
        (by_address_and_name, "8.8.8.8", Access.REFUSED),
        (by_address_and_name, "8.8.4.4", None),
        (failing, "8.8.8.8", Access.REFUSED),
        (forgetful, "8.8.8.8", Access.REFUSED),
    ],
)
def test_what_is_decided_before_there_is_a_certificate(
    rule: AccessRule, address: str, access: Access | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert decide_without_certificate(rule, tcp(address), RatedLog(logger)) is access
    assert len(caplog.records) == (rule in {failing, forgetful})
