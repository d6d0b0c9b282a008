"""What random files are made of: right ones, and what may stand in their place."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZE = (4, 6)  # rows, columns of every whole image
SCENE = """<scene version="3.0.0"><emitter type="constant" id="sky"/>
<shape type="rectangle" id="floor"><bsdf type="diffuse">
<rgb name="reflectance" value="0.5"/></bsdf></shape>
{sensors}</scene>"""
SENSOR = """<sensor type="perspective" id="cam_{k}">
<transform name="to_world"><lookat origin="{k}, 3, 2" target="0, 0, 0" up="0, 0, 1"/></transform>
<film type="hdrfilm"><integer name="width" value="6"/><integer name="height" value="4"/></film></sensor>"""


JOB: dict[str, Any] = {
    "version": 1,
    "name": "fuzz",
    "scene": {"file": "scene.xml"},
    "data": {"cameras": "scene", "images": "imgs/r_[01].png"},
    "render": {"integrator": {"type": "pathspace", "max_depth": 2}, "spp": 1},
    "optim": {"steps": 2},
    "vars": {"albedo": {"match": "floor/base_color", "lr": 0.1}},
}
CHOICES: dict[str, list[Any]] = {
    "scene.file": ["scene.xml", "sceen.xml", ".", "", "imgs/r_0.png", "transforms.json", "~nobody/x", "a\0b"],
    "scene.define": [{}, {"a": 1}, {"a": [1]}, {"file": "x"}],
    "scene.clamp": [True, False, "no"],
    "data.cameras": ["scene", "transforms.json", "transform.json", "scene.xml", "imgs", ""],
    "data.images": [
        "imgs/r_[01].png",
        "imgs/*",
        "imgs",
        "imgs/r_?.png",
        "imgs/[",
        "**",
        "",
        "/",
        "imgs/rgba.exr",
        None,
    ],
    "data.target": ["scene.xml", "none.xml", None],
    "data.color": ["srgb", "linear", "sRGB"],
    "data.layer": ["Combined", "", "R", None],
    "data.exif": ["apply", "ignore", "turn"],
    "data.missing": ["skip", "error"],
    "data.frame_masks": [True, False],
    "data.mask": ["none", "alpha", "opaque"],
    "data.background": [[1, 1, 1], [0.5, 0.5], [-1, 0, 0], 1],
    "data.holdout": ["every:2", "every:1", "last:1", "last:9", "none", "every:²", "every:99999999999999999999", ":"],
    "render.integrator": [
        {"type": "prb"},
        {"type": "path"},
        {"type": "pathspace", "max_dept": 2},
        {"type": "nothing"},
        {"type": ""},
        {"type": "diffuse"},
        {"type": "pathspace", "boundary": "edge"},
        {"type": "path", "max_depth": "two"},
        {},
    ],
    "render.resolution": [
        [{"step": 0, "scale": 0.5}],
        [{"step": 0, "scale": 1}, {"step": 0, "scale": 1.0}],
        [{}],
        [{"step": 0, "scale": 1e-300}],
    ],
    "loss.image": ["l1", "l2", "ssim"],
    "optim.seed": [0, -1, 2**32],
    "optim.views_per_step": [1, 100],
    "vars.albedo.match": [
        "floor/base_color",
        "*",
        "floor/*",
        "cam_0/fov",
        "cam_*/pose",
        "!floor/*",
        ["*/base_color", "!*"],
        "[",
        "sky/radiance",
        [],
    ],
    "vars.albedo.raw": ["floor.bsdf.reflectance.value", "*", "cam_0.to_world"],
    "vars.albedo.texture": [1, 4, 0],
    "vars.albedo.map": ["sigmoid", "exp", "srgb", "unit", "softplus"],
    "vars.albedo.bounds": [[0, 1], [1, 0], [0.6, 1.0], [-1e300, 1e300], [0.5, 0.5]],
    "vars.albedo.init": [0.5, [0.1, 0.2, 0.3], [], 2, [0.5, 0.5], 1e300],
    "vars.albedo.prior": [{"tv": 1}, {"tv_relative": 0.5}],
    "vars.two.match": ["floor/base_color", "sky/radiance"],
    "vars.albedo.start": [0, 10**9],
    "gauge.fix": ["mean_luminance(floor/base_color) = 0.5", "mean_luminance(*) = x", "", "mean_luminance(sky/*) = 0"],
    "gauge.lr": [0.1],
    "goal.rmse": [{"albedo": 0.1}, {"albeda": 0.1}],
    "goal.psnr": [30],
    "output.dir": ["runs", "", "~nobody/runs", "a\0b"],
    "guard.nonfinite": ["stop"],
}


POSES = [
    np.eye(4).tolist(),
    np.eye(4)[:3].tolist(),
    (2 * np.eye(4)).tolist(),
    np.diag([-1.0, 1, 1, 1]).tolist(),
    np.full((4, 4), np.nan).tolist(),
    [[1, 2], [3, 4]],
    [],
    None,
    "identity",
    [[1e300] * 4] * 4,
    np.eye(4).astype(int).tolist(),
    [[10**400] * 4] * 4,
    [[True] * 4] * 4,
    [[0.8, 0, 0.6, 1], [0, 1, 0, 2], [-0.6, 0, 0.8, 3], [0, 0, 0, 1]],
    [["1", 0, 0, 0]] * 4,
    [[1, 0, 0, 1e308], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
]
PATHS = [
    "imgs/r_0.png",
    "imgs/r_1.png",
    "imgs/r_2",
    "imgs\\r_2.png",
    "./imgs/r_1",
    "imgs/none.png",
    "imgs",
    "",
    "..",
    "/",
    3,
    None,
    "a\0b",
    "x" * 5000,
]
LIKELY: dict[str, list[Any]] = {
    "camera_model": ["OPENCV", "OPENCV_FISHEYE", "PINHOLE", "opencv", "FISHEYE", "SIMPLE_RADIAL", "RADIAL_FISHEYE"],
    "camera_type": ["perspective", "FISHEYE", "EQUIRECTANGULAR"],
    "is_fisheye": [True, False, 1, "no"],
    "w": [6, 6.0, 4, 0, -6],
    "h": [4, 4.0, 6],
    "mask_path": ["imgs/mask.png", "imgs/mask", "imgs/none.png", "imgs/r_1.png", "imgs/rgba.exr", None, 3],
    "transform_matrix": POSES,
    "file_path": PATHS,
    "rolling_shutter": [[0, 0, 0], [0.1, 0, 0.1]],
    "time": [0, 0.5],
    "n_frames": [1, 2],
    "camera_angle_x": [0.8, 3.2, 0, 1e-300],
    "fl_x": [5, 0, -1, 1e30, 1e-30],
    "fl_y": [7, 5.0001],
    "x_fov": [60, 180],
    "k1": [0.05, 1e30, 0],
    "k4": [0.01],
    "p1": [0.01],
    "cx": [3.2, 1e30],
    "transform_matrix_start": POSES,
    "transform_matrix_end": POSES,
    "frames": [[], None, {}, [1], [[]]],
}
