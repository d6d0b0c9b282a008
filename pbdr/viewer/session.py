"""The viewer at work: one thread does everything, what browsers ask for waits in a queue until it comes to it."""

from __future__ import annotations

import contextlib
import io
import queue
import time
from collections.abc import Callable
from typing import Any

from ..errors import PbdrError
from . import Ending, surfaces
from .controls import Controls
from .image_panel import ImagePanel, RenderPanel
from .model import Model
from .plots import PlotPanel
from .scene_panel import ScenePanel

HOST = "127.0.0.1"
#: Seconds between two looks at the files of a run.
POLL = 1.0


class Session:
    """A viser server on a model."""

    def __init__(self, model: Model, port: int, tell: Callable[[str], None]) -> None:
        import viser

        self.model, self.tell = model, tell
        self.tasks: queue.Queue[tuple[str, Callable[[], None]]] = queue.Queue()
        with contextlib.redirect_stdout(io.StringIO()):  # its banner
            self.server: Any = viser.ViserServer(host=HOST, port=port, label=f"pbdr · {model.title}", verbose=False)
        gui = self.server.gui
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        gui.add_markdown(f"**{model.title}**")
        self.controls = None if model.files is None else Controls(gui, model.files)
        tabs = gui.add_tab_group()
        with tabs.add_tab("Images"):
            self.images = ImagePanel(gui, model, self._wanted, lambda: self._later("draw", self.images.draw))
            self.from_here = gui.add_button("Look from this view", icon="eye")
        with tabs.add_tab("Render"):
            self.render = RenderPanel(gui, self._asked, lambda: self._later("expose", self.render.draw))
        self.plots = None
        if model.files is not None:
            self.plots = PlotPanel(gui, tabs.add_tab("Curves"), model.loss_name)
        with tabs.add_tab("Scene"):
            cameras = gui.add_checkbox("Cameras", True)
        self.space = ScenePanel(self.server, model, self._picked)
        cameras.on_update(lambda _: self.space.visible(bool(cameras.value)))
        self.from_here.on_click(
            lambda event: self._later("look", lambda: self.space.look_from(event.client, self.images.view.value))
        )

    @property
    def url(self) -> str:
        """Where browsers find it."""
        return f"http://{HOST}:{self.server.get_port()}"

    # --- what browsers ask for -------------------------------------------------------------------------------------

    def _later(self, name: str, task: Callable[[], None]) -> None:
        self.tasks.put((name, task))

    def _wanted(self, name: str) -> None:
        self._later("view", lambda: self.show_view(name))

    def _picked(self, name: str) -> None:
        self.images.view.value = name
        self._wanted(name)

    def _asked(self, client: Any) -> None:
        if client is not None:
            self._later("render", lambda: self._render(client))

    def _render(self, client: Any) -> None:
        panel, camera = self.render, client.camera
        width, height = panel.film(float(camera.aspect) or 1.0)
        begin = time.monotonic()
        sensor = surfaces.camera_at(camera.wxyz, camera.position, float(camera.fov), width, height)
        image = self.model.render(sensor, int(panel.spp.value))
        seconds = time.monotonic() - begin
        panel.show(image, f"{width} × {height} pixels, {panel.spp.value} samples per pixel, {seconds:.1f} s.")

    # --- the loop --------------------------------------------------------------------------------------------------

    def show_view(self, name: str) -> None:
        """Show the images of a view."""
        if name in [place.name for place in self.model.places()]:
            self.images.show(self.model.pictures(name))
            self.space.choose(name)

    def show_state(self) -> None:
        """Show the present state everywhere."""
        self.space.show_surfaces()
        self.space.show_cameras()
        self.images.names([place.name for place in self.model.places()])
        self.show_view(self.images.view.value)

    def look(self) -> None:
        """Take up what has changed in the files."""
        files = self.model.files
        if files is None or self.controls is None or self.plots is None:
            return
        views = bool(files.groups)
        if files.read():
            self.plots.show(files)
        self.controls.update()
        if self.model.refresh() or views != bool(files.groups):
            self.show_state()
        elif self.controls.follow.value and files.at_work and files.state_step <= self.model.step < files.step:
            self.controls.show()

    def run(self, ending: Ending) -> None:
        """Serve until it is time to end."""
        files = self.model.files
        begin = left = time.monotonic()
        watched, met = False, False
        next_look = 0.0
        try:
            self.model.refresh()
            if self.plots is not None and files is not None:
                self.plots.show(files)
            self.show_state()
            self.space.stand_back()
            while True:
                self._work(POLL / 4)
                now = time.monotonic()
                if now >= next_look:
                    self._safely(self.look)
                    next_look = time.monotonic() + POLL
                working = files is not None and files.at_work
                if self.server.get_clients():
                    met, left = True, now
                if not ending.keep and watched and not working:
                    return
                watched = watched or working
                alone = now - left > ending.alone if met else now - begin > ending.first
                if not ending.keep and not watched and alone:
                    return
        finally:
            if self.controls is not None:
                self.controls.close()
            with contextlib.redirect_stdout(io.StringIO()):
                self.server.stop()

    def _work(self, timeout: float) -> None:
        """Do what is asked; of many requests of one kind, only the last."""
        try:
            found = [self.tasks.get(timeout=timeout)]
        except queue.Empty:
            return
        while not self.tasks.empty():
            found.append(self.tasks.get())
        for task in dict(found).values():
            self._safely(task)

    def _safely(self, task: Callable[[], None]) -> None:
        """An error of one request is told, and ends nothing."""
        try:
            task()
        except PbdrError as error:
            self.tell(str(error))
