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
from .images import LoadedImage, encode_exr, encode_png, linear_to_srgb, load_image, srgb_to_linear
from .splits import split_holdout
from .transforms import Frame, read_frames, write_transforms

__all__ = [
    "Camera",
    "Frame",
    "LoadedImage",
    "colmap_to_mitsuba",
    "encode_exr",
    "encode_png",
    "linear_to_srgb",
    "load_image",
    "mitsuba_to_colmap",
    "mitsuba_to_opencv",
    "mitsuba_to_opengl",
    "opencv_to_mitsuba",
    "opengl_to_mitsuba",
    "read_frames",
    "split_holdout",
    "srgb_to_linear",
    "write_transforms",
]
