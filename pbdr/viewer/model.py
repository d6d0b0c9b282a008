"""What can be looked at: a scene, or the newest state of a run, with its views, rendered when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Camera, load_image
from ..errors import PbdrError
from ..export import lens_camera
from ..export.asset import View as Seen
from ..inverse import View
from ..inverse.losses import Loss, get_losses
from ..job import estimate, live, results, statement, views
from ..job.rundir import RunDirectory
from ..scene import Scene, integrator_of, sensor_of
from ..seeds import hashed
from . import surfaces
from .files import Files
from .pictures import Linear, Pictures

#: Samples per pixel of what is rendered of a plain scene.
SPP = 16


@dataclass(frozen=True)
class Place:
    """A view: its name, the group that it is of ("training", "held-out", ""), and its camera, None for one that is no pinhole."""

    name: str
    group: str
    camera: Camera | None


class Model:
    """What the viewer shows. This one is a plain scene, whose views are its sensors."""

    def __init__(self, scene: Scene, integrator: Mapping[str, Any] | None = None) -> None:
        self.scene = scene
        self.title = str(scene.source)
        self.step = 0
        self.spp = SPP
        self.integrator = integrator_of(scene, integrator)
        self.loss_name = ""
        self._kept: dict[str, Pictures] = {}

    @property
    def files(self) -> Files | None:
        """The run directory, where there is one."""
        return None

    def refresh(self) -> bool:
        """Take up a newer state; whether there was one."""
        return False

    def places(self) -> list[Place]:
        """The views."""
        return [Place(str(sensor.id()), "", lens_camera(sensor)) for sensor in self.scene.sensors]

    def cameras(self) -> list[Seen]:
        """The views whose cameras are pinholes, or lenses of OpenCV's."""
        return [Seen(place.name, place.camera, "") for place in self.places() if place.camera is not None]

    def surfaces(self) -> surfaces.Surfaces:
        """Its triangles and points."""
        return surfaces.read(self.scene, (), self.cameras())

    def target(self, name: str) -> Linear | None:
        """The photograph of a view, or what it is compared with."""
        return None

    def pictures(self, name: str) -> Pictures:
        """Images of a view now; rendered once for each state."""
        if name not in self._kept:
            self._kept[name] = self._pictures(name)
        return self._kept[name]

    def _pictures(self, name: str) -> Pictures:
        number = [place.name for place in self.places()].index(name)
        return Pictures(self.render(sensor_of(self.scene, number), self.spp), step=self.step)

    def render(self, sensor: Any, spp: int) -> Linear:
        """The image (H, W, 3) of the present state from a sensor."""
        return views.render(self.scene, sensor, self.integrator, spp, hashed(0, "viewer"))[..., :3]


class RunModel(Model):
    """The newest state of a run; before there is one, its start."""

    def __init__(self, run: RunDirectory, allow_code: bool, tell: Callable[[str], None]) -> None:
        self.run, self.allow_code, self.tell = run, allow_code, tell
        self.job = estimate.stored_job(run)
        self._files = Files(run)
        self._files.read()
        scene = statement.load(self.job)
        self.variables = statement.variables(self.job, scene, allow_code)
        self.latents = self.variables.init()
        self.variables.apply(self.latents)
        super().__init__(self.variables.scene, estimate.integrator_of(self.job, self.variables))
        self.title = f"{run.path.parent.name} · {run.path.name}"
        self.spp = self.job.output.eval_spp
        self.step = -1
        self._views: dict[str, View] = {}
        self.loss_name = results.loss_name(self.job.loss.model_dump(mode="python"))
        self.losses = [
            (w, loss) for w, loss in get_losses(self.job.loss.terms) if not loss.plane and not loss.refusal()
        ]

    @property
    def files(self) -> Files:
        """The run directory."""
        return self._files

    def refresh(self) -> bool:
        """Load the newest state if it is newer than what is shown; a run that began anew is read anew."""
        newest = self._files.state_step
        if newest == self.step or newest < 0 or live.newest(self.run) is None:
            return False
        loaded = estimate.load(self.run, self.allow_code)
        self.scene, self.variables, self.latents, self.step = (
            loaded.scene,
            loaded.variables,
            loaded.latents,
            loaded.step,
        )
        self._kept.clear()
        return True

    def observed(self) -> dict[str, View]:
        """The views of the job by name, once the job has noted them; they stay where they are, whatever the state."""
        if not self._views and self._files.groups:
            try:
                found = views.load(self.job, self.scene, self.run, self.tell, noted=False)
            except PbdrError as error:
                self.tell(f"the views cannot be read: {error}")
                return {}
            self._views = {view.name: view for view in found.views}
        return self._views

    def places(self) -> list[Place]:
        """The views of the job."""
        groups = self._files.groups
        return [
            Place(view.name, groups.get(view.name, ""), lens_camera(sensor_of(self.scene, view.sensor)))
            for view in self.observed().values()
        ]

    def surfaces(self) -> surfaces.Surfaces:
        """Its triangles and points, with the values of the state."""
        return surfaces.read(self.scene, self.variables.moved, self.cameras())

    def target(self, name: str) -> Linear | None:
        """What the view is compared with."""
        return np.asarray(self.observed()[name].target)[..., :3]

    def _pictures(self, name: str) -> Pictures:
        view, target = self.observed()[name], self.target(name)
        path = self._files.picture(name, self.step)
        if path is not None:
            current = load_image(path).rgb
        else:
            current = estimate.render_view(self.job, self.integrator, self.variables, self.latents, view)
        assert target is not None
        gradient = derivative(self.losses, current, target, view.mask) if self.losses else None
        return Pictures(current, target, gradient, self.step)


def derivative(losses: Sequence[tuple[float, Loss]], image: Linear, target: Linear, mask: Any = None) -> NDArray[Any]:
    """(H, W, 3) δL, the derivative of weighted losses with respect to the image; what a loss needs besides is the image itself."""
    import drjit as dr
    import mitsuba as mi

    leaf, truth = (mi.TensorXf(np.ascontiguousarray(x, dtype=np.float32)) for x in (image, target))
    weight = None if mask is None else mi.TensorXf(np.asarray(mask, dtype=np.float32))
    dr.enable_grad(leaf)
    for factor, loss in losses:
        dr.backward(factor * loss(leaf, truth, weight, **dict.fromkeys(loss.needs, dr.detach(leaf))))
    return np.array(dr.grad(leaf))
