"""Cameras: :class:`Camera`, and what its methods are given and return."""

from __future__ import annotations

from indianyio.instrument.camera._camera import Camera
from indianyio.instrument.camera._fits import Card, Image
from indianyio.instrument.camera._image_files import ImageFile
from indianyio.instrument.camera._sensor import Frame, FrameType

__all__ = ["Camera", "Card", "Frame", "FrameType", "Image", "ImageFile"]
