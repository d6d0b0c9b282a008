"""3D Gaussians (docs/theory.md, section 13).

model.py, ply.py, start.py   what is stored of them, their files, what they start from; harmonics.py: colours by direction
rendering.py                 images as 3DGS composites them: project.py, tiles.py, composite.py
training.py                  Gaussians from views, with mcmc.py
surface.py                   meshes of them
medium.py                    the medium `gaussians` of scenes: density.py, cells.py
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_FILES = {
    "model": ("Gaussians",),
    "ply": ("read_ply", "write_ply"),
    "start": ("at_random", "from_colmap", "from_mesh", "from_points"),
    "rendering": ("Compositing", "depths", "render"),
    "training": ("Trained", "TrainingOptions", "View", "fit"),
    "surface": ("Surface", "to_mesh"),
    "density": ("cloud", "optical_depth", "peaks_of"),
}
_HOMES = {name: f"{__name__}.{file}" for file, names in _FILES.items() for name in names}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pbdr.fields.gaussians' has no attribute '{name}'")
