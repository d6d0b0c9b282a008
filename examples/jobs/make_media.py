"""The files of the jobs about media that nobody writes by hand: grids, and scenes that many cameras look at.

    python examples/jobs/make_media.py [FOLDER]

Without a folder, they are written beside this program, where they lie already. The functions make larger ones, too.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
#: The phantom of Shepp and Logan in three dimensions, contrasts of Toft: value, half axes, centre, turn about z in degrees.
PHANTOM = (
    (1.0, (0.69, 0.92, 0.81), (0, 0, 0), 0), (-0.8, (0.6624, 0.874, 0.78), (0, -0.0184, 0), 0),
    (-0.2, (0.11, 0.31, 0.22), (0.22, 0, 0), -18), (-0.2, (0.16, 0.41, 0.28), (-0.22, 0, 0), 18),
    (0.1, (0.21, 0.25, 0.41), (0, 0.35, -0.15), 0), (0.1, (0.046, 0.046, 0.05), (0, 0.1, 0.25), 0),
    (0.1, (0.046, 0.046, 0.05), (0, -0.1, 0.25), 0), (0.1, (0.046, 0.023, 0.05), (-0.08, -0.605, 0), 0),
    (0.1, (0.023, 0.023, 0.02), (0, -0.606, 0), 0), (0.1, (0.023, 0.046, 0.02), (0.06, -0.605, 0), 0),
)  # fmt: skip


def vol(values: np.ndarray) -> bytes:
    """The bytes of a .vol file of Mitsuba for a grid (Z, Y, X)."""
    z, y, x = values.shape
    head = b"VOL" + struct.pack("<B5i6f", 3, 1, x, y, z, 1, 0, 0, 0, 1, 1, 1)
    return head + np.ascontiguousarray(values, "<f4").tobytes()


def centres(shape: Sequence[int], low: Sequence[float], high: Sequence[float]) -> list[np.ndarray]:
    """Centres x, y, z of the cells of a grid (Z, Y, X) in the box from `low` to `high`."""
    axes = [low[k] + (np.arange(n) + 0.5) / n * (high[k] - low[k]) for k, n in enumerate(reversed(shape))]
    z, y, x = np.meshgrid(*reversed(axes), indexing="ij")
    return [x, y, z]


def phantom(shape: Sequence[int], fine: int = 3) -> np.ndarray:
    """Slices of the phantom about its middle, |z| < 1/4; each cell is the mean of `fine`³ points."""
    x, y, z = centres([n * fine for n in shape], (-1, -1, -0.25), (1, 1, 0.25))
    total = np.zeros(x.shape)
    for value, axes, centre, turn in PHANTOM:
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        u, v, w = x - centre[0], y - centre[1], z - centre[2]
        total += value * (((c * u + s * v) / axes[0]) ** 2 + ((c * v - s * u) / axes[1]) ** 2 + (w / axes[2]) ** 2 <= 1)
    nz, ny, nx = shape
    return total.reshape(nz, fine, ny, fine, nx, fine).mean((1, 3, 5))


def smoke(shape: Sequence[int]) -> np.ndarray:
    """A plume that rises, turns and widens, in a box of height 2 over a square of side 1.2."""
    x, y, z = centres(shape, (-0.6, -0.6, -1), (0.6, 0.6, 1))
    up = (z + 1) / 2
    cx, cy = 0.18 * np.sin(4 * up), 0.18 * np.cos(3.1 * up) - 0.1
    wide = 0.1 + 0.22 * up
    body = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / wide**2)
    curls = 0.6 + 0.4 * np.sin(11 * x + 5 * z) * np.sin(9 * y - 6 * z)
    return 6 * body * curls * (1 - up) ** 0.5 * np.clip(12 * up, 0, 1)


def cameras(
    count: int,
    width: int,
    height: int,
    kind: str = "orthographic",
    span: float = 180.0,
    distance: float = 4.0,
    up: float = 0.0,
) -> str:
    """Sensors about the z axis at equal angles of `span` degrees, which see a disc of radius 1."""
    lines = []
    for k in range(count):
        angle = np.radians(span * k / count)
        x, y = distance * np.cos(angle), distance * np.sin(angle)
        view = f'<lookat origin="{x:.5f}, {y:.5f}, {up:g}" target="0, 0, 0" up="0, 0, 1"/>'
        fov = (
            ""
            if kind == "orthographic"
            else f'<float name="fov" value="{2 * np.degrees(np.arcsin(1 / distance)):.4f}"/>'
        )
        film = f'<integer name="width" value="{width}"/><integer name="height" value="{height}"/><rfilter type="box"/>'
        lines.append(
            f'    <sensor type="{kind}" id="view-{k:02d}">{fov}<transform name="to_world">{view}</transform>'
            f'<film type="hdrfilm">{film}</film></sensor>'
        )
    return "\n".join(lines)


def scanner(count: int, width: int, height: int, kind: str = "orthographic", span: float = 180.0) -> str:
    """A box that absorbs, before light from everywhere: every pixel is e to the minus the integral of σ along its beam."""
    return f"""<!-- A body that absorbs, in light from everywhere: pixels are transmittances. -->
<scene version="3.0.0">
    <default name="density" value="start.vol"/>
    <emitter type="constant" id="beam"/>
    <shape type="cube" id="body">
        <transform name="to_world"><scale x="1" y="1" z="0.25"/></transform>
        <bsdf type="null"/>
        <medium type="heterogeneous" name="interior">
            <volume type="gridvolume" name="sigma_t">
                <string name="filename" value="$density"/>
                <transform name="to_world"><translate x="-0.5" y="-0.5" z="-0.5"/><scale x="2" y="2" z="0.5"/></transform>
            </volume>
            <float name="albedo" value="0"/>
        </medium>
    </shape>
{cameras(count, width, height, kind, span)}
</scene>
"""


def chimney(count: int, width: int, height: int, medium: str) -> str:
    """A plume seen from all around. `medium`: its description but for the density."""
    return f"""<!-- A plume. Cameras stand all around it. -->
<scene version="3.0.0">
    <default name="density" value="start.vol"/>
    <emitter type="constant" id="sky"><rgb name="radiance" value="0.04, 0.05, 0.06"/></emitter>
    <emitter type="directional" id="sun">
        <vector name="direction" x="-1" y="0.4" z="-1.2"/><rgb name="irradiance" value="12, 10, 8"/>
    </emitter>
    <shape type="cube" id="plume">
        <transform name="to_world"><scale x="0.6" y="0.6" z="1"/></transform>
        <bsdf type="null"/>
        <medium {medium}
            <volume type="gridvolume" name="sigma_t">
                <string name="filename" value="$density"/>
                <transform name="to_world"><translate x="-0.5" y="-0.5" z="-0.5"/><scale x="1.2" y="1.2" z="2"/></transform>
            </volume>
        </medium>
    </shape>
{cameras(count, width, height, "perspective", 360.0, 4.0, 0.8)}
</scene>
"""


SCATTERING = """type="heterogeneous" name="interior">
            <float name="albedo" value="0.8"/>
            <phase type="hg"><float name="g" value="0.3"/></phase>"""


def files() -> dict[str, bytes]:
    """Return path → content."""
    body, plume = (8, 32, 32), (16, 12, 12)
    return {
        "tomography/scene.xml": scanner(30, 32, 8).encode(),
        "tomography/truth.vol": vol(2 * phantom(body)),
        "tomography/start.vol": vol(np.full(body, 0.1)),
        "plume/scene.xml": chimney(15, 24, 24, SCATTERING).encode(),
        "plume/truth.vol": vol(smoke(plume)),
        "plume/start.vol": vol(np.full(plume, 0.3)),
    }


def main(folder: Path = HERE) -> None:
    """Write them."""
    for name, content in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
