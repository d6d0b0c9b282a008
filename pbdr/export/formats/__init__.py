"""The formats of `pbdr export`, in the order in which they are written. A new one is a file here and a place in the list below."""

from __future__ import annotations

from ..format import Format
from .cameras import Colmap, Transforms
from .environment import EnvironmentMap
from .gltf import Gltf
from .mitsuba import MitsubaScene
from .obj import Obj
from .ply import Ply
from .usd import Usd
from .volumes import Volumes

FORMATS: dict[str, type[Format]] = {
    one.name: one for one in (MitsubaScene, Gltf, Obj, Ply, Usd, EnvironmentMap, Transforms, Colmap, Volumes)
}
