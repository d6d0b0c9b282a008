"""Gaussians and their PLY files: values bit by bit, other readers, what is refused by name; what they start from."""

import warnings

import numpy as np
import pytest

from pbdr.errors import DataError, DataWarning, OptionError
from pbdr.fields.gaussians import Gaussians, at_random, from_colmap, from_mesh, from_points, read_ply, write_ply
from pbdr.fields.gaussians.harmonics import basis, count_of
from pbdr.fields.gaussians.ply import names


def some(count=7, degree=3, seed=0):
    random = np.random.default_rng(seed)
    shapes = {"positions": 3, "log_scales": 3, "rotations": 4, "normals": 3}
    values = {name: random.normal(size=(count, n)).astype(np.float32) for name, n in shapes.items()}
    harmonics = random.normal(size=(count, count_of(degree), 3)).astype(np.float32)
    return Gaussians(**values, logits=random.normal(size=count).astype(np.float32) * 9, harmonics=harmonics)


def same(a, b):
    """Whether all arrays are equal bit by bit."""
    arrays = lambda g: [*g.arrays().values(), g.normals]  # noqa: E731
    return all(x.tobytes() == y.tobytes() and x.shape == y.shape for x, y in zip(arrays(a), arrays(b), strict=True))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_file_holds_the_same_bits(tmp_path, degree):
    first = some(degree=degree)
    path = write_ply(tmp_path / "a" / "g.ply", first)
    again = read_ply(path)
    assert again.degree == degree
    assert same(first, again)
    assert write_ply(tmp_path / "b.ply", again).read_bytes() == path.read_bytes()
    assert not same(first, some(degree=degree, seed=1))


def test_plyfile_reads_what_3dgs_reads(tmp_path):
    """The code of 3DGS, `load_ply`, by its own library: attributes in order, and f_rest channel by channel."""
    plyfile = pytest.importorskip("plyfile")
    first = some()
    data = plyfile.PlyData.read(write_ply(tmp_path / "g.ply", first))
    element = data.elements[0]
    order = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"] + [f"f_rest_{k}" for k in range(45)]
    order += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert [p.name for p in element.properties] == order
    assert {p.val_dtype for p in element.properties} == {"f4"}
    rest = np.stack([element[f"f_rest_{k}"] for k in range(45)], axis=1).reshape(len(first), 3, 15)
    assert np.array_equal(np.transpose(rest, (0, 2, 1)), first.harmonics[:, 1:])
    assert np.array_equal(element["rot_3"], first.rotations[:, 3])


@pytest.mark.parametrize("form", ["text", "big", "shuffled"])
def test_files_of_other_writers(tmp_path, form):
    """Text, big endian, and another order of properties, as plyfile writes them, without normals."""
    plyfile = pytest.importorskip("plyfile")
    first = some(degree=1)
    with_zeros = Gaussians(**first.arrays())
    columns = [name for name in names(1) if name not in ("nx", "ny", "nz")]
    table = plyfile.PlyData.read(write_ply(tmp_path / "g.ply", first)).elements[0].data
    if form == "shuffled":
        columns = columns[::-1]
    rows = np.empty(len(first), dtype=[(name, "f4") for name in columns])
    for name in columns:
        rows[name] = table[name]
    element = plyfile.PlyElement.describe(rows, "vertex")
    order = {"text": "=", "big": ">", "shuffled": "<"}[form]
    plyfile.PlyData([element], text=form == "text", byte_order=order).write(tmp_path / "o.ply")
    again = read_ply(tmp_path / "o.ply")
    if form == "text":  # a writer of text may round
        assert np.allclose(again.positions, first.positions, rtol=1e-6)
    else:
        assert same(again, with_zeros)


def test_mitsuba_reads_it(tmp_path):
    """Mitsuba's `ellipsoids`, whose order is strict, has the same centres and scales."""
    import mitsuba as mi

    from pbdr.parameters import traverse
    from pbdr.scene import load_object

    first = some()
    path = write_ply(tmp_path / "g.ply", first)
    data = np.array(traverse(load_object({"type": "ellipsoids", "filename": str(path)}))["data"]).reshape(-1, 10)
    assert mi.variant() and np.allclose(data[:, :3], first.positions)
    assert np.allclose(data[:, 3:6], first.scales, rtol=1e-5)


HEADER = "ply\nformat ascii 1.0\nelement vertex 1\n"
BODY = "".join(f"property float {name}\n" for name in names(0)) + "end_header\n"
ROW = " ".join(["0"] * 13 + ["1", "0", "0", "0"]) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("solid\n", "no PLY file"),
        (HEADER + BODY, "0 numbers; 1 Gaussians have 17"),
        (HEADER + BODY + ROW.replace("1", "one"), "no numbers"),
        (HEADER + BODY + ROW.replace("1", "nan"), "rotations of 1 Gaussians is not finite"),
        (HEADER + BODY + ROW.replace("1", "0"), "rotations of 1 Gaussians are 0"),
        (HEADER.replace("ascii", "binary_little_endian") + BODY + ROW, "68 bytes"),
        (HEADER.replace("ascii", "zip") + BODY + ROW, "no format"),
        (HEADER.replace("vertex 1", "vertex many") + BODY, "how many Gaussians"),
        (HEADER.replace("element vertex 1\n", "") + "end_header\n", "how many Gaussians"),
        (HEADER.replace("element", "element chunk 2\nelement") + BODY + ROW, "compressed"),
        (HEADER + BODY.replace("property float opacity\n", "") + ROW, "opacity missing; it holds points"),
        (HEADER + BODY.replace("float x", "list uchar int x") + ROW, "a property of Gaussians is a number"),
        (HEADER + BODY.replace("float y\n", "float x\n", 1) + ROW, "'x' stands twice"),
        (HEADER + BODY.replace("end_header", "property float f_rest_0\nend_header") + ROW, "1 properties f_rest"),
        (HEADER + "shape\n" + BODY + ROW, "which is none of PLY"),
    ],
)
def test_what_is_no_file_of_gaussians(tmp_path, text, message):
    path = tmp_path / "g.ply"
    path.write_text(text)
    with pytest.raises(DataError, match=r"g\.ply") as error:
        read_ply(path)
    assert message in str(error.value)


def test_what_else_is_told(tmp_path):
    path = tmp_path / "g.ply"
    path.write_text(HEADER + BODY.replace("end_header", "property float filter_3D\nend_header") + ROW[:-1] + " 2\n")
    with pytest.warns(DataWarning, match="filter_3D"):
        read_ply(path)
    path.write_text(HEADER + BODY + ROW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_ply(path)) == 1
    with pytest.raises(DataError, match="cannot be read"):
        read_ply(tmp_path / "none.ply")
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="cannot be written"):
        write_ply(tmp_path / "file" / "g.ply", some())


def test_shapes_are_checked():
    good = some().arrays()
    for name in good:
        with pytest.raises(DataError, match=name):
            Gaussians(**{**good, name: good[name][:-1] if name != "positions" else good[name][:, :2]})
    with pytest.raises(DataError, match="5 coefficients"):
        Gaussians(**{**good, "harmonics": good["harmonics"][:, :5]})
    assert some().of_degree(1).of_degree(3).degree == 3
    with pytest.raises(DataError, match="degree"):
        some().of_degree(4)


def test_harmonics_are_orthonormal():
    """The sixteen functions over the sphere, by Gauss' rule; a wrong constant shows."""
    z, weight = np.polynomial.legendre.leggauss(16)
    angle = (np.arange(32) + 0.5) / 32 * 2 * np.pi
    r = np.sqrt(1 - z**2)[:, None]
    x, y = r * np.cos(angle), r * np.sin(angle)
    values = [np.broadcast_to(b, x.shape) for b in basis(3, x, y, np.broadcast_to(z[:, None], x.shape))]
    inner = np.einsum("iab,jab,a->ij", values, values, weight) * 2 * np.pi / 32
    assert np.allclose(inner, np.eye(16), atol=1e-12)


def test_points_and_colmap(tmp_path):
    points = np.random.default_rng(0).random((50, 3))
    colors = np.random.default_rng(1).random((50, 3))
    one = from_points(points, colors, opacity=0.3)
    assert np.allclose(one.positions, points) and np.allclose(one.colors, colors, atol=1e-6)
    assert np.allclose(one.opacities, 0.3)
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)[:, 1:4]
    assert np.allclose(one.scales[:, 0], np.sqrt((distances**2).mean(axis=1)), rtol=1e-5)
    assert len(from_points(points, count=20)) == 20
    more = from_points(points, count=80, degree=2)
    assert (
        more.degree == 2 and np.allclose(more.positions[:50], points) and len(np.unique(more.positions, axis=0)) == 80
    )
    for name in ("cameras", "images"):
        (tmp_path / f"{name}.txt").touch()
    lines = [f"{k} {x} {y} {z} 255 0 51 0.5 1 2\n" for k, (x, y, z) in enumerate(points)]
    (tmp_path / "points3D.txt").write_text("".join(lines))
    read = from_colmap(tmp_path)
    assert np.allclose(read.positions, points) and np.allclose(read.colors[0], [1, 0, 0.2], atol=1e-6)
    for bad in ({"points": points[:1]}, {"points": points, "colors": colors[:3]}):
        with pytest.raises(DataError):
            from_points(**bad)
    with pytest.raises(OptionError, match="opacity"):
        from_points(points, opacity=1.0)
    with pytest.raises(DataError, match="no sparse model"):
        from_colmap(tmp_path / "nothing")


def test_the_surface_of_a_mesh():
    """On the triangles, thin along their normals, in the colours of the vertices, in proportion to area."""
    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])  # areas 1 and 1/2, normals z and x
    made = from_mesh(vertices, faces, vertices / 2, count=300)
    flat = np.isclose(made.positions[:, 2], 0, atol=1e-6)
    assert flat.sum() == pytest.approx(200, abs=1)
    assert np.allclose(made.positions[~flat, 0], 0, atol=1e-6)
    assert np.allclose(made.colors, made.positions / 2, atol=1e-6)
    assert np.allclose(np.abs(made.frames[flat][:, :, 2]), [0, 0, 1], atol=1e-6)
    assert np.allclose(np.abs(made.frames[~flat][:, :, 2]), [1, 0, 0], atol=1e-6)
    assert np.allclose(made.scales[:, 2] * 10, made.scales[:, 0], rtol=1e-5)
    down = from_mesh(vertices, faces[:, ::-1], count=10)
    assert np.allclose(np.linalg.det(down.frames), 1)
    with pytest.raises(DataError, match="area"):
        from_mesh(vertices, [[0, 0, 1]])
    with pytest.raises(DataError, match="do not fit"):
        from_mesh(vertices, [[0, 1, 9]])


def test_at_random_stays_in_its_box():
    made = at_random(100, [0, 1, 2], [1, 3, 5], degree=1)
    assert len(made) == 100 and made.degree == 1
    assert (made.positions >= [0, 1, 2]).all() and (made.positions <= [1, 3, 5]).all()
    again = at_random(100, [0, 1, 2], [1, 3, 5], degree=1)
    assert same(made, again) and not same(made, at_random(100, [0, 1, 2], [1, 3, 5], degree=1, seed=1))
