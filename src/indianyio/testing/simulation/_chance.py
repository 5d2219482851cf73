"""Chance that can be repeated: each component has a random generator of its own."""

from __future__ import annotations

import random

__all__ = ["chance"]


def chance(seed: int, name: str) -> random.Random:
    """Return the generator of one component.

    It depends on nothing but the seed and the name. So if another component is dropped from a plan, this one stays
    as it was, which is what makes shrinking work.

    :param seed: of the whole run.
    :param name: the component, and what is drawn for it if that must not depend on its other draws.
    """
    # random makes its seed from a text by SHA-512, which is the same in every process, unlike hash().
    return random.Random(f"{seed} {name}")
