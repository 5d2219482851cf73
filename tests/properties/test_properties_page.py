"""What docs/properties.md shows is run here, from its beginning to its end."""

from __future__ import annotations

from tests.test_readme import blocks

PAGE = "docs/properties.md"


def test_the_page_runs() -> None:
    shown = blocks(PAGE, "python")
    assert len(shown) >= 6
    names: dict[str, object] = {"__name__": "properties_page"}
    exec(compile("\n".join(shown), PAGE, "exec"), names)
    assert names["place"] == "at the end stop"
