"""[data]: what the estimate is compared with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from .section import Count, Define, NonNegative, Section, as_tuple


class DataSection(Section):
    """What the estimate is compared with: cameras and their images."""

    cameras: str = "scene"
    """A transforms.json, or "scene": the sensors of the scene, with images from `target` or `images`."""
    target: str | None = None
    """With `cameras = "scene"`: a scene file whose images are rendered, by its sensors if it has any, by Mitsuba's path tracer."""
    target_define: dict[str, Define] = Field(default_factory=dict)
    """Values of `target`'s `$name` defaults."""
    target_spp: Count = 512
    """Samples per pixel of the images of `target`."""
    images: str | None = None
    """With `cameras = "scene"`: one image for each sensor; a folder, or a pattern with `*`, `?`, `[…]`, `**`. Parts of the path
    that exist by their name are no patterns."""
    color: Literal["srgb", "linear"] = "srgb"
    """How 8- and 16-bit files are encoded. EXR, HDR and PFM are always linear."""
    layer: str | None = None
    """Layer of EXR files; needed only where there are several and none is the obvious one."""
    exif: Literal["ignore", "apply"] = "ignore"
    """Take pixels as they are stored, or turn images as their EXIF orientation says."""
    missing: Literal["error", "skip"] = "error"
    """Frames of a transforms.json without image are an error, or left out."""
    frame_masks: bool = True
    """Read the masks that a transforms.json names (`mask_path`)."""
    mask: Literal["none", "alpha", "opaque"] = "none"
    """Where a pixel counts: everywhere, in proportion to the image's alpha, or where alpha is 1."""
    background: tuple[NonNegative, NonNegative, NonNegative] | None = None
    """Linear colour that is put behind images with alpha."""
    holdout: str = "none"
    """Views that are not fitted but scored: "every:8" takes each eighth, "last:4" the last four, "none" none."""

    @field_validator("background", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return as_tuple(value)

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        if self.cameras == "scene" and (self.target is None) == (self.images is None):
            raise ValueError('cameras = "scene" needs either target = "truth.xml" or images = "folder/*.exr"')
        if self.cameras != "scene" and (self.target or self.images):
            raise ValueError('target and images belong to cameras = "scene"; a transforms.json names its own images')
        return self
