"""Vectors whose members are found at run time only."""

from __future__ import annotations

import pytest

from indianyio import Device, IPyDriver, SwitchMember, SwitchVector
from indianyio.protocol import DefSwitchVector, DelProperty, NewSwitchVector, OneSwitch
from indianyio.testing import running

pytestmark = pytest.mark.anyio


def ports() -> SwitchVector:
    return SwitchVector("PORTS", "Ports", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("/dev/a")])


async def test_other_members_are_told_by_a_deletion_and_a_definition() -> None:
    vector = ports()
    async with running(IPyDriver(Device("Box", [vector]))) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, name="PORTS")
        await vector.send_delProperty()
        vector.replace_members([SwitchMember("/dev/b"), SwitchMember("/dev/c")])
        vector.enable = True
        await vector.send_defVector()
        await peer.expect(DelProperty, name="PORTS")
        defined = await peer.expect(DefSwitchVector, name="PORTS")
        assert [member.name for member in defined.members] == ["/dev/b", "/dev/c"]
        vector["/dev/b"] = "On"
        vector["/dev/c"] = "On"
        assert dict(vector) == {"/dev/b": "Off", "/dev/c": "On"}
        write = NewSwitchVector(device="Box", name="PORTS", members=(OneSwitch(name="/dev/b", value="On"),))
        vector.check_write(write)


def test_the_members_of_a_vector_in_use_stay() -> None:
    vector = ports()
    with pytest.raises(RuntimeError, match="'PORTS' is in use; delete it"):
        vector.replace_members([SwitchMember("/dev/b")])
    vector.enable = False
    with pytest.raises(ValueError, match="needs at least one member"):
        vector.replace_members([])
    assert list(vector) == ["/dev/a"]
