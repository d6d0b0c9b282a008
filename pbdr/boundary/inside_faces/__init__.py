"""Terms inside faces: horizons of bent normals, and textures that jump; lines of sight find most of their curves."""
