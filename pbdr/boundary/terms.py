"""The boundary terms, in the order in which a pass evaluates them. A new term is a class in a file of its own, and a line here."""

from __future__ import annotations

from pbdr.boundary.edges import clipped, direct, from_camera, from_edges, frustum, primary, shadows, specular
from pbdr.boundary.inside_faces import horizon, normal_maps, patterns, sightlines, terminator
from pbdr.boundary.term import Term

TERMS: tuple[Term, ...] = (
    normal_maps.MapsOnFilm(),
    patterns.PatternsOnFilm(),
    primary.EdgesOnFilm(),
    horizon.HorizonsOnFilm(),
    clipped.Sections(),
    direct.ShadowEdges(),
    terminator.Terminators(),
    sightlines.SightsOfCamera(),
    sightlines.SightsOfSurfaces(),
    normal_maps.MapsFromSurfaces(),
    specular.EdgesInMirrors(),
    patterns.PatternsInMirrors(),
    patterns.PatternsFromSurfaces(),
    frustum.BordersOfLight(),
    from_camera.FromCamera(),
    from_edges.FromEdges(),
    shadows.IndirectShadows(),
    horizon.HorizonsFromSurfaces(),
    terminator.TerminatorsOnPaths(),
)
