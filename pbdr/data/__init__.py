"""Cameras and images: what a job reads from disk, checked and turned into Mitsuba's conventions."""

from .cache import Cache, Streamed
from .cameras import (
    Camera,
    colmap_to_mitsuba,
    mitsuba_to_colmap,
    mitsuba_to_opencv,
    mitsuba_to_opengl,
    opencv_to_mitsuba,
    opengl_to_mitsuba,
)
from .files import find_images, natural_key
from .formats import Frame, Source, read_frames, write_transforms
from .images import LoadedImage, encode_exr, encode_png, load_image, load_mask
from .splits import holdout_rule, split_holdout
from .text import decode, read_text

__all__ = [
    "Cache",
    "Camera",
    "Frame",
    "LoadedImage",
    "Source",
    "Streamed",
    "colmap_to_mitsuba",
    "decode",
    "encode_exr",
    "encode_png",
    "find_images",
    "holdout_rule",
    "load_image",
    "load_mask",
    "mitsuba_to_colmap",
    "mitsuba_to_opencv",
    "mitsuba_to_opengl",
    "natural_key",
    "opencv_to_mitsuba",
    "opengl_to_mitsuba",
    "read_frames",
    "read_text",
    "split_holdout",
    "write_transforms",
]
