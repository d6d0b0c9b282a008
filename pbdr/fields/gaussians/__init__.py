"""3D Gaussians (Kerbl et al. 2023): read and written as PLY, started from points or meshes."""

from pbdr.fields.gaussians.model import Gaussians
from pbdr.fields.gaussians.ply import read_ply, write_ply
from pbdr.fields.gaussians.start import at_random, from_colmap, from_mesh, from_points

__all__ = ["Gaussians", "at_random", "from_colmap", "from_mesh", "from_points", "read_ply", "write_ply"]
