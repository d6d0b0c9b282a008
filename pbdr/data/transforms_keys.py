"""The keys of a transforms.json: which are applied, which change nothing here, and which are refused by name.

They are those of the original NeRF data, Instant-NGP (with colmap2nerf and Blender add-ons) and Nerfstudio.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import DataError

FOCAL = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
LENS = ("camera_model", "camera_type", "is_fisheye")
COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")
APPLIED = frozenset((*FOCAL, *LENS, *COEFFICIENTS, "cx", "cy", "w", "h"))
OF_FRAMES = frozenset(("file_path", "transform_matrix", "mask_path", "time"))

#: What other programs do with a scene once they have it: where they train, what else they look at. Not the camera's matter.
IGNORED = frozenset(
    (
        "aabb",
        "aabb_scale",
        "render_aabb",
        "render_aabb_to_local",
        "up",
        "max_bound",
        "avglen",
        "totp",
        "sharpness",
        "rotation",
    )
    + ("colmap_im_id", "ply_file_path", "orientation_override", "auto_scale_poses_override", "n_extra_learnable_dims")
    + ("extra_dims", "importance_sampling", "enable_ray_loading", "enable_depth_loading", "integer_depth_scale")
    + ("depth_unit_scale_factor", "bounding_box", "scene_box", "name", "version", "timestamp", "exposure", "light_dir")
)

#: Keys after which somebody might expect something else: told once.
TOLD = {
    **dict.fromkeys(
        ("applied_transform", "applied_scale", "scale", "offset"),
        "poses are taken as they are written in transform_matrix; the scene must be in the same frame",
    ),
    **dict.fromkeys(
        ("train_filenames", "val_filenames", "test_filenames"), "the split is that of [data] holdout, over all frames"
    ),
    **dict.fromkeys(("semantic_path", "envmap"), "the files they name are not used"),
    **dict.fromkeys(("depth_path", "depth_file_path"), "the files they name are not used; name them by [data] depth"),
    **dict.fromkeys(
        ("normal_path", "normal_file_path"), "the files they name are not used; name them by [data] normal"
    ),
}


def _on(value: Any) -> bool:
    return bool(value)


def _any_number(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(not isinstance(v, int | float) or v != 0 for v in values)


_OTHER_CAMERA = "a camera that is neither a pinhole nor one of OpenCV's lenses: project the images to a pinhole camera"
_OTHER_PIXELS = "it changes colour or alpha of the images on loading: apply it to the image files, and remove the key"
_MOVES = "the camera moves during the exposure, which is not modelled"
_MORE_TERMS = (
    "there is no such coefficient in camera_model OPENCV (k1 k2 p1 p2 k3) or OPENCV_FISHEYE (k1 k2 k3 k4): undistort"
)

#: Key → (whether a value means something, why it is refused).
REFUSED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **{f"ftheta_{kind}{i}": (_any_number, _OTHER_CAMERA) for kind in "pf" for i in range(6)},
    **dict.fromkeys(("latlong", "equirectangular", "orthographic"), (_on, _OTHER_CAMERA)),
    "lens_mode": (_on, _OTHER_CAMERA),
    "rolling_shutter": (_any_number, _MOVES),
    **dict.fromkeys(("k5", "k6", "s1", "s2", "s3", "s4", "b1", "b2", "skew"), (_any_number, _MORE_TERMS)),
    "distortion_params": (_any_number, "write its numbers as k1 k2 k3 k4 p1 p2"),
    **dict.fromkeys(("white_transparent", "black_transparent", "fix_premult", "mask_color", "sharpen"), (_on, _OTHER_PIXELS)),
    "fisheye_crop_radius": (_on, "pixels outside of a circle do not count: write that as mask_path"),
    "normal_mts_args": (lambda _: True, "it says that poses have the axes of Mitsuba, not of OpenGL"),
    "from_mitsuba": (_on, "it says that poses have the axes of Mitsuba, not of OpenGL"),
    "from_na": (_on, "it says that poses have axes of their own"),
    "sharpness_discard_threshold": (_any_number, "it drops blurred frames: remove these frames, and the key"),
}  # fmt: skip

KNOWN = sorted(
    APPLIED | OF_FRAMES | IGNORED | set(TOLD) | set(REFUSED)
    | {"frames", "n_frames", "transform_matrix_start", "transform_matrix_end"}
)  # fmt: skip
MISTYPED = 0.85  # similarity to a known key that is absent, from which on an unknown key is taken for it


def merged(data: Mapping[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a frame over those of the file; a focal length or a kind of lens of its own replaces the file's in any form."""
    own = {k: v for k, v in frame.items() if v is not None}
    dropped = {"frames", *(key for group in (FOCAL, LENS) if any(k in own for k in group) for key in group)}
    return {k: v for k, v in data.items() if v is not None and k not in dropped} | own


def check(keys: Mapping[str, Any], where: str) -> list[str]:
    """Raise DataError for keys that mean something pbdr does not do; return what should be told about the others."""
    for key, (matters, reason) in REFUSED.items():
        if key in keys and matters(keys[key]):
            raise DataError(f"{where}: '{key}' = {_short(keys[key])} is not supported: {reason}")
    notes = []
    for key in keys:
        if key in TOLD:
            notes.append(f"'{key}': {TOLD[key]}")
        elif key not in KNOWN:
            notes.append(_unknown(key, keys, where))
    return notes


def _unknown(key: str, keys: Mapping[str, Any], where: str) -> str:
    lower = {k.lower(): k for k in KNOWN}
    near = difflib.get_close_matches(key.lower(), lower, n=1, cutoff=0.5)
    if not near:
        return f"'{key}' is not known, and not used"
    known = lower[near[0]]
    alike = difflib.SequenceMatcher(None, key.lower(), near[0]).ratio()
    matters = known in APPLIED | OF_FRAMES | set(REFUSED) | {"frames"}
    if matters and known not in keys and alike >= MISTYPED:
        raise DataError(f"{where}: the key '{key}' is not known. Closest: '{known}'. Correct it, or remove it")
    return f"'{key}' is not known, and not used. Closest: '{known}'"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
