"""What was importable before the packages were put in order still is, for one version, with a warning."""

from __future__ import annotations

import importlib

import pytest

from indianyio import _model, _routing, model


@pytest.mark.parametrize("name", sorted(model._HOMES))
def test_a_former_name_of_the_model_warns_and_works(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"indianyio.model.{name} is internal"):
        found = getattr(model, name)
    assert found is getattr(importlib.import_module(model._HOMES[name]), name)


def test_every_name_that_the_model_exported_has_a_home() -> None:
    assert {"AnyVector", "Outbox", "SnoopTable"} <= set(_model.__all__)
    assert {"Router", "PeerOutbox", "Relay"} <= set(_routing.__all__)
    assert set(model._HOMES) == {*_model.__all__, *_routing.__all__}


def test_any_other_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = model.Nothing
