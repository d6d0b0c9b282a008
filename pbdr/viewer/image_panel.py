"""The images of a view: target and current with a slider between, and beside them error and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..job.results import ERROR_LIMIT
from .model import Model
from .pictures import Pictures, compared, grid, shown

LEGEND = (
    f"Above: target, current. Below: error (black is none, pale yellow {ERROR_LIMIT} of the encoded range and more), and the "
    "derivative of the loss with respect to the image (red: darker would be better; blue: brighter would be)."
)


class ImagePanel:
    """A tab of the viewer. `wanted(name)` is called when another view is chosen, `redraw()` when the same is shown otherwise."""

    def __init__(self, gui: Any, model: Model, wanted: Callable[[str], None], redraw: Callable[[], None]) -> None:
        self.gui, self.model = gui, model
        self.pictures: Pictures | None = None
        self.view = gui.add_dropdown("View", ("none yet",))
        self.place = gui.add_slider("Target | current", 0.0, 1.0, 0.01, 0.5, hint="Left: target, right: estimate")
        self.exposure = gui.add_slider("Exposure", -6.0, 6.0, 0.25, 0.0, hint="In stops: +1 is twice as bright")
        blank = np.full((64, 64, 3), 128, np.uint8)
        self.compare = gui.add_image(blank, label="Target | current", format="png")
        self.grid = gui.add_image(blank, label="Target, current, error, gradient", format="png")
        self.told = gui.add_markdown("")
        if model.files is None:
            self.place.visible = self.grid.visible = False
        self.view.on_update(lambda _: wanted(self.view.value))
        for handle in (self.place, self.exposure):
            handle.on_update(lambda _: redraw())

    def names(self, names: list[str]) -> None:
        """Offer these views; the one that is chosen stays, if it is among them."""
        if names and tuple(self.view.options) != tuple(names):
            chosen = self.view.value
            self.view.options = names
            self.view.value = chosen if chosen in names else names[0]

    def show(self, pictures: Pictures) -> None:
        """Show these."""
        self.pictures = pictures
        self.draw()

    def draw(self) -> None:
        """Draw what is shown at the present slider and exposure."""
        if self.pictures is None:
            return
        self.compare.image = compared(self.pictures, float(self.place.value), float(self.exposure.value))
        if self.pictures.target is not None:
            self.grid.image = grid(self.pictures, float(self.exposure.value))
        step = self.pictures.step
        at = (
            "of the scene as it is"
            if self.model.files is None
            else f"after step {step}"
            if step >= 0
            else "of the start"
        )
        legend = "" if self.pictures.target is None else f"\n\n{LEGEND}"
        self.told.content = f"Images {at}.{legend}"


class RenderPanel:
    """Renders with pbdr's own integrator where the viewer's camera is."""

    def __init__(self, gui: Any, asked: Callable[[Any], None], redraw: Callable[[], None]) -> None:
        self.spp = gui.add_slider("Samples per pixel", 1, 256, 1, 16)
        self.size = gui.add_slider("Pixels", 64, 1024, 32, 256, hint="Along the longer side")
        self.exposure = gui.add_slider("Exposure of it", -6.0, 6.0, 0.25, 0.0)
        self.button = gui.add_button("Render here", icon="camera")
        self.image = gui.add_image(
            np.full((64, 64, 3), 128, np.uint8), label="Rendered here", format="png", visible=False
        )
        self.told = gui.add_markdown("Renders the estimate from where you look, by the integrator of the job.")
        self.linear: Any = None
        self.button.on_click(lambda event: asked(event.client))
        self.exposure.on_update(lambda _: redraw())

    def film(self, aspect: float) -> tuple[int, int]:
        """Width and height of the image for a window."""
        longest = int(self.size.value)
        return (longest, max(1, round(longest / aspect))) if aspect >= 1 else (max(1, round(longest * aspect)), longest)

    def show(self, image: Any, text: str) -> None:
        """Show an image (H, W, 3), linear."""
        self.linear, self.told.content = image, text
        self.draw()

    def draw(self) -> None:
        """Draw it at the present exposure."""
        if self.linear is not None:
            self.image.image, self.image.visible = shown(self.linear, float(self.exposure.value)), True
