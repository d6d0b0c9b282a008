"""Cameras and images: what a job reads from disk, checked and turned into Mitsuba's conventions."""

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
from .images import LoadedImage, encode_exr, encode_png, load_image, load_mask
from .splits import holdout_rule, split_holdout
from .text import decode, read_text
from .transforms import Frame, read_frames, write_transforms

__all__ = [
    "Camera",
    "Frame",
    "LoadedImage",
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
