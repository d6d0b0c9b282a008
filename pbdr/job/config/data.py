"""[data]: what the estimate is compared with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ...inverse.problem import JOB
from .section import Count, Define, NonNegative, Positive, Section, as_tuple


class DataSection(Section):
    """What the estimate is compared with: cameras and their images."""

    cameras: str = "scene"
    """A transforms.json, a COLMAP folder (sparse/0), a scene file with sensors, or a folder of images that one camera sees; "scene"
    are the sensors of the scene, with images from `target` or `images`."""
    target: str | None = None
    """With `cameras = "scene"`: a scene file whose images are rendered, by its sensors if it has any, by Mitsuba's path tracer."""
    target_define: dict[str, Define] = Field(default_factory=dict)
    """Values of `target`'s `$name` defaults."""
    target_spp: Count = 512
    """Samples per pixel of the images of `target`."""
    images: str | None = None
    """With sensors of a scene: one image for each, or any number for a single one; a folder, or a pattern with `*`, `?`, `[…]`,
    `**`. Parts of the path that exist by their name are no patterns. With a COLMAP folder: the folder that its names are relative
    to; without it, the folder "images" beside or above the model."""
    color: Literal["srgb", "linear"] = "srgb"
    """How 8- and 16-bit files are encoded. EXR, HDR and PFM are always linear."""
    layer: str | None = None
    """Layer of EXR files; needed only where there are several and none is the obvious one."""
    exif: Literal["ignore", "apply"] = "ignore"
    """Take pixels as they are stored, or turn images as their EXIF orientation says."""
    missing: Literal["error", "skip"] = "error"
    """Frames of a transforms.json or a COLMAP folder without image are an error, or left out."""
    frame_masks: bool = True
    """Read the masks that a transforms.json names (`mask_path`)."""
    masks: str | None = None
    """Masks beside the images: a folder or a pattern, paired with the images by name (`a.png`, or `a.jpg.png`), else by number,
    else in order. White counts, black does not."""
    depth: str | None = None
    """Depths for the loss `depth`, paired as `masks`. Of 0, or beyond a billion: not measured."""
    depth_kind: Literal["z", "distance"] = "z"
    """What depths are: z along the camera's axis, or the distance from the camera."""
    depth_scale: Positive | None = None
    """Unit of depths in units of the scene; without it 1, and 0.001 where they are whole numbers."""
    normal: str | None = None
    """Normals in world space for the loss `normal`, paired as `masks`; in 8- and 16-bit files as (n + 1) / 2."""
    fov: Annotated[float, Field(gt=0, lt=180)] | None = None
    """Horizontal field of view, in degrees, of a folder of images; the pose is that of the scene's one sensor."""
    cache_gb: Positive = JOB.cache_gb
    """Memory in GiB for images as they are read, and as much for the tensors that they become. Those beyond are read again when
    they are needed."""
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
            both = "which are both given: leave one out" if self.images else "and neither is given: add one"
            raise ValueError(
                f'cameras = "scene" needs either target = "truth.xml" or images = "folder/*.exr", {both}'
            )
        if self.cameras != "scene" and self.target:
            raise ValueError('target belongs to cameras = "scene", whose sensors it takes the place of')
        if self.cameras.lower().endswith(".json") and self.images:
            raise ValueError("images belong to sensors and COLMAP folders; a transforms.json names its own")
        if self.cameras == "scene" and self.fov is not None:
            raise ValueError(
                'fov is that of a folder of images, cameras = "photos"; sensors of the scene have their own: set it there'
            )
        given = [key for key in ("masks", "depth", "normal") if getattr(self, key) is not None]
        if self.target is not None and given:
            raise ValueError(f"{given[0]} belongs to images that are files; with target, it is rendered")
        return self
