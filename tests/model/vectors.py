"""One vector of each kind, belonging to a device; with what a driver adds to the model, as events need it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from indianyio import (
    AnyVector,
    BLOBMember,
    BLOBVector,
    LightMember,
    LightVector,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)

VectorT = TypeVar("VectorT", bound=AnyVector)

NOW = datetime(2024, 5, 6, 7, 8, 9, 500_000, tzinfo=UTC)
STAMP = "2024-05-06T07:08:09"


def switches(perm: str = "rw", rule: str = "OneOfMany", state: str = "Idle") -> SwitchVector:
    members = [SwitchMember("a", "A", "On"), SwitchMember("b", "B"), SwitchMember("c", "C")]
    return of_device(SwitchVector("sw", "Switches", "Main", perm, rule, state, members))


def lights() -> LightVector:
    return of_device(LightVector("li", "Lights", "Main", "Ok", [LightMember("a"), LightMember("b")]))


def texts(perm: str = "rw") -> TextVector:
    return of_device(TextVector("tx", "Texts", "Main", perm, "Idle", [TextMember("a"), TextMember("b")]))


def numbers(perm: str = "rw") -> NumberVector:
    members = [NumberMember("a", format="%6.3m", membervalue="1:30"), NumberMember("b")]
    return of_device(NumberVector("nu", "Numbers", "Main", perm, "Idle", members))


def blobs(perm: str = "ro") -> BLOBVector:
    return of_device(BLOBVector("bl", "Images", "Main", perm, "Idle", [BLOBMember("a"), BLOBMember("b")]))


def of_device(vector: VectorT) -> VectorT:
    vector.devicename = "Dome"
    return vector
