"""Where radiance jumps: what every plugin of Mitsuba declares, in one place.

A gradient of moving geometry is right only if every jump of the radiance that moves is a boundary term (docs/theory.md, section 4)
or is refused by name. Each plugin therefore has a row here with its jumps. What has no row is refused as soon as something moves
(support.py); a plugin of your own may declare its jumps by a class attribute `discontinuities`, an empty tuple if it has none.

A test walks all plugins that Mitsuba ships, and holds docs/reference/discontinuities.md to these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mitsuba as mi

from pbdr.geometry.plugins import is_foreign, name_of

TERM, REFUSED, MISSING = "term", "refused", "missing"


@dataclass(frozen=True)
class Jump:
    """A kind of discontinuity.

    `where`: what jumps, as a noun phrase; `handled`: TERM (it has a boundary term), REFUSED (by name, before rendering, where it
    would be seen to move), or MISSING (neither: a known fault); `by`: the function that does so, by its full name; `test`: of a
    term, the file that compares it with an independent reference.
    """

    where: str
    handled: str
    by: str = ""
    test: str = ""


@dataclass(frozen=True)
class Plugin:
    """What a plugin declares.

    `classes`: names of Mitsuba's classes that it makes; `note`: why it has no jump, where that is no matter of course.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    jumps: tuple[Jump, ...] = ()
    note: str = ""


def _term(where: str, by: str, test: str) -> Jump:
    return Jump(where, TERM, f"pbdr.{by}", f"tests/gradient/{test}.py")


def _refused(where: str, by: str) -> Jump:
    return Jump(where, REFUSED, f"pbdr.{by}")


def _rows(kind: str, jumps: tuple[Jump, ...] = (), note: str = "", /, **classes: str) -> tuple[Plugin, ...]:
    return tuple(Plugin(name, kind, tuple(made.split()), jumps, note) for name, made in classes.items())


# ---------------------------------------------------------------------- shapes

SILHOUETTE = _term("silhouette", "boundary.edges.primary.sample", "test_silhouettes")
BORDER = _term("border", "boundary.edges.primary.sample", "test_closed_primary")
CREASE = _term("creases between faces", "boundary.edges.primary.sample", "test_shapes_meshes")
UV_SEAM = _term("texture coordinates and tangents that differ between faces", "geometry.seams.jumps", "test_seams")
ATTRIBUTE_SEAM = _term("attributes of split vertices, and of faces", "geometry.seams.jumps", "test_seams")
HORIZON = _term("horizons of interpolated normals", "boundary.inside_faces.horizon.sample", "test_smooth_shading")
PIERCED = _term("curves in which it passes through others", "boundary.table.crossings.Crossings.update", "test_pierced")
PARAMETRIC_SEAM = _term("seam of its texture coordinates", "geometry.seams.opens", "test_seams_of_round_shapes")
AROUND = _refused("texture coordinates around it, from segment to segment", "transport.support.check_boundary")
TUBES = _term("silhouette and ends", "geometry.bspline.BSplines.curve", "test_curves")
CONES = _term("silhouette and creases", "geometry.linear_curve.LinearCurves.curve", "test_curves")
VOXELS = _term("silhouette and creases between voxels", "geometry.grids.Grids.curve", "test_grids")
DOUBLED = _refused("faces on each other that look different", "geometry.doubled.refuse")
MESH = (SILHOUETTE, BORDER, CREASE, UV_SEAM, ATTRIBUTE_SEAM, HORIZON, PIERCED, DOUBLED)
NO_OUTLINE = _refused("silhouette", "boundary.table.builder.TableBuilder.build")

SHAPES = (
    *_rows("shape", MESH, ply="PLYMesh", obj="OBJMesh", serialized="SerializedMesh", blender="BlenderMesh", cube="Cube"),
    *_rows("shape", MESH, "one mesh of several; the loader of scenes merges none", merge="Mesh MergedMesh MergeShape"),
    *_rows("shape", (SILHOUETTE, BORDER, PIERCED), rectangle="Rectangle"),
    *_rows("shape", (SILHOUETTE, PARAMETRIC_SEAM), sphere="Sphere"),
    *_rows("shape", (SILHOUETTE, BORDER, PARAMETRIC_SEAM), cylinder="Cylinder", disk="Disk"),
    *_rows("shape", (TUBES, AROUND), bsplinecurve="BSplineCurve"),
    *_rows("shape", (CONES, AROUND), linearcurve="LinearCurve"),
    *_rows("shape", (VOXELS, HORIZON), sdfgrid="SDFGrid"),
    *_rows("shape", (NO_OUTLINE,), ellipsoids="Ellipsoids", ellipsoidsmesh="EllipsoidsMesh"),
    *_rows(
        "shape", (_term("the jumps of what it shows", "boundary.edges.primary.sample", "test_shapes_groups"),), instance="Instance",
        shapegroup="ShapeGroupPlugin",
    ),
)  # fmt: skip

# ---------------------------------------------------------------------- textures and volumes

STEPPED = "transport.support.check_boundary"
NEAREST = _refused("filter_type = 'nearest': borders of its cells", STEPPED)
LINES = "boundary.inside_faces.patterns.sample", "test_texels"
TEXELS = _term("filter_type = 'nearest': borders of texels", *LINES)
CONSTANT = "the same everywhere on a surface"
WORLD = "its filter and its wrapping are continuous"

TEXTURES = (
    *_rows("texture", (TEXELS,), "wrap modes continue a bilinear texture without a jump; only texture coordinates jump",
           bitmap="BitmapTexture BitmapTextureImpl"),
    *_rows("texture", (_term("borders of its fields", *LINES),), checkerboard="Checkerboard"),
    *_rows("texture", (ATTRIBUTE_SEAM,), mesh_attribute="MeshAttribute"),
    *_rows("texture", (), "jumps as its volume does", volume="VolumeAdapter"),
    *_rows("texture", (), CONSTANT, srgb="SRGBReflectanceSpectrum", uniform="UniformSpectrum", rawconstant="RawConstantTexture",
           d65="D65Spectrum", blackbody="BlackBodySpectrum", regular="RegularSpectrum", irregular="IrregularSpectrum"),
    *_rows("volume", (NEAREST,), WORLD, gridvolume="GridVolume GridVolumeImpl"),
    *_rows("volume", (), CONSTANT, constvolume="ConstVolume"),
)  # fmt: skip

# ---------------------------------------------------------------------- materials

BENT_HORIZON = _term("horizons of bent normals", "boundary.inside_faces.normal_maps.sample", "test_mapped")
SLOPE = _term("the slope of its texture at borders of texels", *LINES)
FLAT = "what jumps below its textures is theirs"

BSDFS = (
    *_rows("bsdf", (), "", diffuse="SmoothDiffuse", conductor="SmoothConductor", roughconductor="RoughConductor",
           dielectric="SmoothDielectric", smoothdielectric="SmoothDielectricWithIndex", thindielectric="ThinDielectric",
           roughdielectric="RoughDielectric", plastic="SmoothPlastic", roughplastic="RoughPlastic", pplastic="PolarizedPlastic",
           principled="Principled", principledthin="PrincipledThin", hair="Hair", measured="Measured",
           measured_polarized="MeasuredPolarized", null="Null", polarizer="LinearPolarizer", retarder="LinearRetarder",
           circular="CircularPolarizer"),
    *_rows("bsdf", (), FLAT, twosided="TwoSidedBRDF", blendbsdf="BlendBSDF", mask="MaskBSDF"),
    *_rows("bsdf", (BENT_HORIZON,), normalmap="NormalMap"),
    *_rows("bsdf", (BENT_HORIZON, SLOPE), bumpmap="BumpMap"),
)  # fmt: skip

# ---------------------------------------------------------------------- lights

SHADOWS = _term("shadows that it throws", "boundary.edges.direct.sample", "test_closed_direct")

EMITTERS = (
    *_rows("emitter", (SHADOWS, _refused("horizons of its emission under interpolated normals", STEPPED)),
           "one-sided emission ends where the area vanishes: no jump; the camera sees horizons (horizon.sample)", area="AreaLight"),
    *_rows("emitter", (SHADOWS,), point="PointLight", directional="DirectionalEmitter", constant="ConstantBackgroundEmitter",
           envmap="EnvironmentMapEmitter"),
    *_rows("emitter", (SHADOWS, _term("hard edge of its beam", "boundary.edges.frustum.draw", "test_beams")), spot="SpotLight"),
    *_rows(
        "emitter", (SHADOWS, _term("border of its picture", "boundary.edges.frustum.draw", "test_emitters")), projector="Projector",
    ),
    *_rows("emitter", (SHADOWS, _refused("disk of the sun, horizon", "transport.support.check_sky")), sunsky="SunskyEmitter",
           timed_sunsky="TimedSunskyEmitter"),
    *_rows("emitter", (), "lights nothing: its beam has no solid angle", directionalarea="DirectionalArea"),
)  # fmt: skip

# ---------------------------------------------------------------------- sensors, films, media

CLIPPED = _term("near and far planes that cut surfaces", "boundary.edges.clipped.sample", "test_clipping")
SPHERES = _refused("near and far spheres that cut surfaces", "transport.support.check_boundary")
UNSEEN = _refused("everything that moves", "transport.support.check_boundary")
ON_FILM = "fixed on the film"

OTHERS = (
    *_rows("sensor", (CLIPPED,), perspective="PerspectiveCamera", thinlens="ThinLensCamera", orthographic="OrthographicCamera",
           opencv="DistortedCamera"),
    *_rows("sensor", (SPHERES,), opencv_fisheye="DistortedCamera"),
    *_rows("sensor", (UNSEEN,), distant="DistantSensor DistantSensorImpl", radiancemeter="RadianceMeter",
           irradiancemeter="IrradianceMeter", batch="BatchSensor"),
    *_rows("film", (), ON_FILM, hdrfilm="HDRFilm"),
    *_rows("film", (_refused("all it shows", "transport.support.check_film"),), specfilm="SpecFilm"),
    *_rows("filter", (), ON_FILM, box="BoxFilter", tent="TentFilter", gaussian="GaussianFilter", mitchell="MitchellNetravaliFilter",
           catmullrom="CatmullRomFilter", lanczos="LanczosSincFilter"),
    *_rows("medium", (_refused("what moves, but borders that bend nothing; shapes and lights in fog", "transport.media.check"),),
           homogeneous="HomogeneousMedium", heterogeneous="HeterogeneousMedium", emissive="EmissiveMedium"),
    *_rows("phase", (), "only in media", hg="HGPhaseFunction", isotropic="IsotropicPhaseFunction", rayleigh="RayleighPhaseFunction",
           sggx="SGGXPhaseFunction", tabphase="TabulatedPhaseFunction", blendphase="BlendPhaseFunction"),
)  # fmt: skip

PLUGINS = (*SHAPES, *TEXTURES, *BSDFS, *EMITTERS, *OTHERS)
BY_CLASS = {made: plugin for plugin in PLUGINS for made in plugin.classes}


def declared(node: Any) -> tuple[Jump, ...] | None:
    """Jumps that a Mitsuba object declares, None if it declares nothing."""
    if is_foreign(node):
        return getattr(type(node), "discontinuities", None)
    row = BY_CLASS.get(name_of(node))
    return None if row is None else row.jumps


def is_part(node: Any) -> bool:
    """Whether an object of a scene has to declare its jumps: all that radiance depends on but sensors, of which only one looks."""
    return isinstance(node, (mi.Shape, mi.BSDF, mi.Texture, mi.Volume, mi.Emitter, mi.Medium, mi.PhaseFunction))
