"""One vector of each kind, belonging to a device."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from indianyio.model import (
    AnyVector,
    BLOBMember,
    BLOBVectorModel,
    LightMember,
    LightVectorModel,
    NumberMember,
    NumberVectorModel,
    SwitchMember,
    SwitchVectorModel,
    TextMember,
    TextVectorModel,
)

VectorT = TypeVar("VectorT", bound=AnyVector)

NOW = datetime(2024, 5, 6, 7, 8, 9, 500_000, tzinfo=UTC)
STAMP = "2024-05-06T07:08:09"


def switches(perm: str = "rw", rule: str = "OneOfMany", state: str = "Idle") -> SwitchVectorModel:
    members = [SwitchMember("a", "A", "On"), SwitchMember("b", "B"), SwitchMember("c", "C")]
    return of_device(SwitchVectorModel("sw", "Switches", "Main", perm, rule, state, members))


def lights() -> LightVectorModel:
    return of_device(LightVectorModel("li", "Lights", "Main", "Ok", [LightMember("a"), LightMember("b")]))


def texts(perm: str = "rw") -> TextVectorModel:
    return of_device(TextVectorModel("tx", "Texts", "Main", perm, "Idle", [TextMember("a"), TextMember("b")]))


def numbers(perm: str = "rw") -> NumberVectorModel:
    members = [NumberMember("a", format="%6.3m", membervalue="1:30"), NumberMember("b")]
    return of_device(NumberVectorModel("nu", "Numbers", "Main", perm, "Idle", members))


def blobs(perm: str = "ro") -> BLOBVectorModel:
    return of_device(BLOBVectorModel("bl", "Images", "Main", perm, "Idle", [BLOBMember("a"), BLOBMember("b")]))


def of_device(vector: VectorT) -> VectorT:
    vector.devicename = "Dome"
    return vector
