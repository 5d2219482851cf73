"""The made-up sky in front of simulated cameras."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from indianyio.instrument.camera import Frame, FrameType
from indianyio.simulators._sky import Sky

WIDTH, HEIGHT = 200, 150


def exposed(
    kind: FrameType = FrameType.LIGHT, seconds: float = 1.0, binning: int = 1, seed: int = 1
) -> NDArray[np.uint16]:
    frame = Frame(kind=kind, width=WIDTH, height=HEIGHT, x_bin=binning, y_bin=binning)
    return np.array(list(Sky(WIDTH, HEIGHT).expose(seconds, frame, gain=1, offset=0, seed=seed)), dtype=np.uint16)


def test_the_same_sky_is_seen_each_time_with_other_noise() -> None:
    first, again, other = exposed(), exposed(), exposed(seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] > 0.9


def test_stars_stand_out_in_light_frames_only() -> None:
    light, bias, dark = (float(exposed(kind).std()) for kind in (FrameType.LIGHT, FrameType.BIAS, FrameType.DARK))
    assert light > 3 * dark > 0
    assert dark == pytest.approx(bias, rel=0.1)


def test_binned_pixels_collect_more_light_and_bright_ones_saturate() -> None:
    empty = float(exposed(FrameType.BIAS).mean())
    one, four = (float(exposed(seconds=0.5, binning=binning).mean()) - empty for binning in (1, 2))
    assert four == pytest.approx(4 * one, rel=0.05)
    assert exposed().max() < exposed(seconds=10_000).max() == 65_535
