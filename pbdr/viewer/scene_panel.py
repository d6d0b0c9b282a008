"""The viewer's space: surfaces, cameras with their photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..video import centre
from . import surfaces
from .model import Model
from .pictures import small

TRAINING, HELD_OUT, CHOSEN = (70, 110, 180), (200, 120, 40), (220, 30, 60)


class ScenePanel:
    """Puts a model into the space of a viser server; `picked(name)` is called when a camera is clicked."""

    def __init__(self, server: Any, model: Model, picked: Callable[[str], None]) -> None:
        self.server, self.model, self.picked = server, model, picked
        self.cameras: dict[str, Any] = {}
        self._surfaces: list[Any] = []
        self._first, self._size, self._middle, self._up = True, 1.0, np.zeros(3), "y"
        server.scene.world_axes.visible = False

    def show_surfaces(self) -> None:
        """Replace the surfaces by those of the present state."""
        found = self.model.surfaces()
        for handle in self._surfaces:
            handle.remove()
        scene = self.server.scene
        self._surfaces = [
            scene.add_mesh_trimesh(f"/surfaces/{number}-{name}", mesh)
            for number, (name, mesh) in enumerate(found.meshes.items())
            if len(mesh.faces)
        ]
        if len(found.points):
            points = found.points.astype(np.float32)
            self._surfaces.append(
                scene.add_point_cloud(
                    "/points", points, (90, 120, 160), point_size=0.004 * found.size, precision="float32"
                )
            )
        if self._first:
            self._first, self._size, self._middle, self._up = False, found.size, found.middle, found.up
            scene.set_up_direction(f"+{found.up}")

    def show_cameras(self) -> None:
        """Add the cameras that are not there yet, each with its photograph, and put all where they are now."""
        places = [place for place in self.model.places() if place.camera is not None]
        distance = _spacing([place.camera.to_world[:3, 3] for place in places if place.camera is not None], self._size)
        for place in places:
            assert place.camera is not None
            wxyz, position = surfaces.pose(place.camera)
            if place.name in self.cameras:
                self.cameras[place.name].wxyz, self.cameras[place.name].position = wxyz, position
                continue
            photograph = self.model.target(place.name)
            handle = self.server.scene.add_camera_frustum(
                f"/cameras/{place.name}", surfaces.fov_y(place.camera), place.camera.width / place.camera.height,
                scale=distance, thickness=1.5, thickness_units="screen", color=HELD_OUT if place.group == "held-out" else TRAINING,
                image=None if photograph is None else small(photograph), wxyz=wxyz, position=position,
            )  # fmt: skip
            handle.on_click(lambda _, name=place.name: self.picked(name))
            self.cameras[place.name] = handle

    def stand_back(self) -> None:
        """Let browsers begin outside of the cameras, on the side of the first one, with everything in view."""
        views = self.model.cameras()
        middle = centre(views, self.model.scene) if views else self._middle
        away = views[0].camera.to_world[:3, 3] - middle if views else np.array([1.0, 0.6, 1.0])
        length = max(float(np.linalg.norm(away)), 1e-12)
        # Beside the first camera, too, which would stand in the way.
        side = np.cross(away, {"y": [0.0, 1.0, 0.0], "z": [0.0, 0.0, 1.0]}[self._up]) / length
        distance = 1.5 * length if views else 0.8 * self._size
        self.server.initial_camera.position = middle + distance * (away / length + 0.35 * side)
        self.server.initial_camera.look_at = middle

    def choose(self, name: str) -> None:
        """Mark the camera of a view."""
        groups = {place.name: place.group for place in self.model.places()}
        for other, handle in self.cameras.items():
            handle.color = CHOSEN if other == name else HELD_OUT if groups.get(other) == "held-out" else TRAINING

    def visible(self, shown: bool) -> None:
        """Show or hide the cameras."""
        for handle in self.cameras.values():
            handle.visible = shown

    def look_from(self, client: Any, name: str) -> None:
        """Put the camera of a browser where that of a view is."""
        place = next((place for place in self.model.places() if place.name == name), None)
        if place is None or place.camera is None:
            return
        wxyz, position = surfaces.pose(place.camera)
        with client.atomic():
            client.camera.wxyz, client.camera.position = wxyz, position
            client.camera.fov = surfaces.fov_y(place.camera)


def _spacing(positions: list[Any], size: float) -> float:
    """Size of the frusta: a part of the typical distance to the next camera, and of the scene's size at most: they hide little."""
    if len(positions) < 2:
        return 0.1 * size
    points = np.stack(positions)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + np.where(np.eye(len(points)), np.inf, 0)
    return float(np.clip(0.2 * np.median(apart.min(axis=1)), 0.005 * size, 0.05 * size))
