"""Cases of `jobs` whose unknowns say where things are: a camera with its focal length, an object, the distortion of a lens.

Light is direct. Targets have many samples: at the default 512, their own noise moves the exchange of focal length and distance by
more than the limits allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .jobs_case import Case, Limit, fit

Array = NDArray[np.float64]

SIZE, FOV = 64, 45.0
FACES = (8, 5)  # columns and rows of the thing
DEGREES, SHARE = 10.0, 0.1  # how far off the start is: turned, and moved or scaled
EYE, AIM = np.array([2.2, 1.6, 3.0]), np.array([0.0, -0.2, 0.0])
LENS = {"k1": -0.12, "k2": 0.05}
WIDE = 70.0  # field of view of the lens, whose corners show its coefficients

SCENE = """<scene version="3.0.0">
  <emitter type="envmap" id="sky"><string name="filename" value="sky.exr"/></emitter>
  <bsdf type="diffuse" id="paint"><texture type="bitmap" name="reflectance"><string name="filename" value="color.exr"/>
    <boolean name="raw" value="true"/></texture></bsdf>
  <bsdf type="diffuse" id="red"><rgb name="reflectance" value="0.6, 0.15, 0.1"/></bsdf>
  <bsdf type="diffuse" id="blue"><rgb name="reflectance" value="0.1, 0.2, 0.6"/></bsdf>
  <shape type="ply" id="thing"><string name="filename" value="{mesh}"/><boolean name="face_normals" value="true"/>
    <ref id="red"/></shape>
  <shape type="rectangle" id="floor"><transform name="to_world"><scale value="3"/><rotate x="1" angle="-90"/>
    <translate y="-1"/></transform><ref id="paint"/></shape>
  <shape type="cube" id="block"><transform name="to_world"><scale x="0.3" y="0.6" z="0.3"/><rotate y="1" angle="25"/>
    <translate x="-1.4" y="-0.4" z="-0.5"/></transform><ref id="blue"/></shape>
{sensors}
</scene>
"""

SENSOR = """  <sensor type="{type}" id="camera-{number}">
    {lens}
    <transform name="to_world"><matrix value="{matrix}"/></transform>
    <film type="hdrfilm"><integer name="width" value="{size}"/><integer name="height" value="{size}"/>
      <string name="pixel_format" value="rgb"/><rfilter type="box"/></film>
  </sensor>"""

JOB = """version = 1
name = "camera"
[scene]
file = "scene.xml"
[data]
target = "truth.xml"
target_spp = 16384
[render]
integrator = {{ type = "pathspace", max_depth = 2 }}
{variables}
"""


def look_at(eye: Array, aim: Array) -> Array:
    """(4, 4) camera-to-world in Mitsuba's axes."""
    from pbdr.data import Camera

    return np.asarray(Camera.look_at(eye, aim, [0, 1, 0], SIZE, SIZE, np.radians(FOV)).to_world)


def sensor(number: int, to_world: Array, lens: Mapping[str, float], kind: str = "perspective") -> str:
    """XML of a sensor."""
    floats = "".join(f'<float name="{name}" value="{value:.9g}"/>' for name, value in lens.items())
    matrix = " ".join(f"{x:.9g}" for x in to_world.ravel())
    return SENSOR.format(type=kind, number=number, lens=floats, matrix=matrix, size=SIZE)


def write(folder: Path, name: str, sensors: list[str], points: Array | None = None) -> None:
    """Write a scene and its files into `folder`; `points` replaces the vertices of the thing."""
    from pbdr import demo
    from pbdr.data import encode_exr

    (folder / "color.exr").write_bytes(encode_exr(demo.color(64)))
    (folder / "sky.exr").write_bytes(encode_exr(demo.sky(16)))
    mesh = f"{Path(name).stem}.ply"
    (folder / mesh).write_bytes(with_points(demo.object_ply(*FACES), points))
    (folder / name).write_text(SCENE.format(mesh=mesh, sensors="\n".join(sensors)), encoding="utf-8")


def vertices(ply: bytes) -> tuple[int, Array]:
    """Where the vertices of a PLY by `demo.object_ply` begin, and their rows: position, normal, texture coordinates."""
    begin = ply.index(b"end_header\n") + len(b"end_header\n")
    count = int(ply[:begin].split(b"element vertex ")[1].split()[0])
    return begin, np.frombuffer(ply, "<f4", count * 8, begin).reshape(count, 8).astype(np.float64)


def with_points(ply: bytes, points: Array | None) -> bytes:
    """The PLY with other positions."""
    if points is None:
        return ply
    begin, rows = vertices(ply)
    rows[:, :3] = points
    return ply[:begin] + rows.astype("<f4").tobytes() + ply[begin + rows.size * 4 :]


def directions(start: int) -> tuple[Array, Array, float]:
    """Two unit vectors and a sign by chance, of a start's number."""
    generator = np.random.default_rng(7100 + start)
    a, b = generator.normal(size=(2, 3))
    return a / np.linalg.norm(a), b / np.linalg.norm(b), float(generator.choice([-1.0, 1.0]))


def angle(a: Array, b: Array) -> float:
    """Degrees between two rotations."""
    return float(np.degrees(Rotation.from_matrix(a @ b.T).magnitude()))


def estimate(run: str, name: str) -> Array:
    """What a run estimates for a parameter."""
    path = Path(run) / "eval" / "parameters" / name.replace("/", "-") / "estimate.csv"
    return np.loadtxt(path, delimiter=",", ndmin=2)


def camera(start: int, folder: Path) -> dict[str, float]:
    """One camera: its pose is off by 10 degrees and a tenth of the distance, its focal length by a tenth."""
    axis, shift, sign = directions(start)
    truth = look_at(EYE, AIM)
    distance = float(np.linalg.norm(EYE - AIM))
    begin = np.eye(4)
    begin[:3, :3] = Rotation.from_rotvec(np.radians(DEGREES) * axis).as_matrix() @ truth[:3, :3]
    begin[:3, 3] = truth[:3, 3] + SHARE * distance * shift
    focal = 1 / np.tan(np.radians(0.5 * FOV))
    off = np.degrees(2 * np.arctan(1 / (focal * (1 + sign * SHARE))))
    write(folder, "truth.xml", [sensor(0, truth, {"fov": FOV})])
    write(folder, "scene.xml", [sensor(0, begin, {"fov": float(off)})])
    variables = '[vars.pose]\nmatch = "camera-0/pose"\n[vars.focal]\nmatch = "camera-0/fov"'
    found = fit(JOB.format(variables=variables), folder)
    pose = estimate(found["run"], "camera-0/pose").reshape(3, 4)
    fov = float(estimate(found["run"], "camera-0/fov").item())
    return {
        "rotation": angle(pose[:, :3], truth[:3, :3]),
        "position": 100 * float(np.linalg.norm(pose[:, 3] - truth[:3, 3])) / distance,
        "focal": 100 * abs(1 / np.tan(np.radians(0.5 * fov)) / focal - 1),
        "steps": float(found["steps"]),
    }


def thing(start: int, folder: Path) -> dict[str, float]:
    """A mesh seen by two cameras: it is turned by 10 degrees and off by a tenth of the distance of the cameras."""
    from pbdr import demo

    axis, shift, _ = directions(start)
    shift = (
        shift * [1.0, 0.2, 1.0] / np.linalg.norm(shift * [1.0, 0.2, 1.0])
    )  # it floats above the floor, and stays there
    eyes = [EYE, EYE * [-1.0, 1.2, 0.8]]
    sensors = [sensor(k, look_at(eye, AIM), {"fov": FOV}) for k, eye in enumerate(eyes)]
    distance = float(np.linalg.norm(EYE - AIM))
    true = 0.6 * vertices(demo.object_ply(*FACES))[1][:, :3] + [0.1, -0.1, 0.1]
    centre = true.mean(axis=0)
    turn = Rotation.from_rotvec(np.radians(DEGREES) * axis).as_matrix()
    write(folder, "truth.xml", sensors, true)
    write(folder, "scene.xml", sensors, (true - centre) @ turn.T + centre + SHARE * distance * shift)
    found = fit(JOB.format(variables='[vars.thing]\nmatch = "thing/positions"\nmap = "rigid"'), folder)
    points = estimate(found["run"], "thing/positions")
    rotation, _ = Rotation.align_vectors(true - centre, points - points.mean(axis=0))
    return {
        "rotation": float(np.degrees(rotation.magnitude())),
        "position": 100 * float(np.linalg.norm(points.mean(axis=0) - centre)) / distance,
        "steps": float(found["steps"]),
    }


def lens(start: int, folder: Path) -> dict[str, float]:
    """Two coefficients of a lens, from 0; with the start, its distortion differs."""
    generator = np.random.default_rng(7200 + start)
    true = {name: value * float(generator.uniform(0.75, 1.25)) for name, value in LENS.items()}
    pose = look_at(EYE, AIM)
    write(folder, "truth.xml", [sensor(0, pose, {"fov": WIDE, **true}, "opencv")])
    write(folder, "scene.xml", [sensor(0, pose, {"fov": WIDE, "k1": 0.0, "k2": 0.0}, "opencv")])
    found = fit(JOB.format(variables='[vars.lens]\nmatch = ["camera-0/k1", "camera-0/k2"]'), folder)
    errors = {
        name: 100 * abs(float(estimate(found["run"], f"camera-0/{name}").item()) / value - 1)
        for name, value in true.items()
    }
    return {**errors, "steps": float(found["steps"])}


CASES = (
    Case(
        "camera-pose",
        "pose and focal length of one camera, one image of 64², from 10° and a tenth of distance and focal length off",
        (Limit("rotation", 0.1, "°"), Limit("position", 0.2, "%"), Limit("focal", 0.3, "%")),
        3.0,
        camera,
    ),
    Case(
        "camera-object",
        "pose of a mesh, two images of 64², from 10° and a tenth of the cameras' distance off",
        (Limit("rotation", 0.1, "°"), Limit("position", 0.2, "%")),
        3.0,
        thing,
    ),
    Case(
        "camera-lens",
        "coefficients k1 and k2 of an `opencv` lens, one image of 64², from 0",
        (Limit("k1", 5.0, "%"), Limit("k2", 5.0, "%")),
        3.0,
        lens,
    ),
)
