"""Small plans of an observatory, for what is tested of its rules."""

from __future__ import annotations

import msgspec

from indianyio.testing.simulation import Fault, Part, Plan

PLAN = Plan(
    "observatory",
    1,
    20.0,
    parts=[
        Part("server", "A", {"remotes": ["B"]}),
        Part("server", "B", {"remotes": []}),
        Part("driver", "Mount", {"server": "A", "stays": True, "every": 1.0, "images": 2.0}),
        Part(
            "driver",
            "Dome",
            {"server": "B", "stays": True, "every": 1.0, "follows": ["Focuser"], "images": 1.0, "panel": 2.0},
        ),
        Part("driver", "Focuser", {"server": "B", "program": True, "every": 1.0}),
        Part("client", "c1", {"server": "A", "at": 1.0, "writes": 30, "pause": 0.5, "abort": 0.5}),
        Part("client", "c2", {"server": "A", "at": 1.0, "policy": "Only"}),
        Part("user", "u1", {"server": "A", "at": 1.0, "images": "watch"}),
    ],
    faults=[Fault(15.0, "die", "Focuser"), Fault(17.0, "noise", "u1-A", seconds=2.5, amount=0.02)],
)
"""Something for each rule to see."""

CROWD = msgspec.structs.replace(
    PLAN,
    parts=[
        Part("server", "A", {"remotes": []}),
        Part("driver", "Mount", {"server": "A", "stays": True, "slow": 1.0}),
        *(Part("client", name, {"server": "A", "at": 1.0, "writes": 40, "burst": 40}) for name in ("c1", "c2")),
    ],
    faults=[],
)
"""More is written than may wait."""
