"""Pause, step and show: what the viewer asks of a run at work, by `pbdr.job.live`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ..errors import PbdrError
from ..job import live
from .files import Files

#: Seconds between two times that a pause is asked for again.
AGAIN = live.LEASE / 5


class Controls:
    """Buttons for a run at work; they are away while none is."""

    def __init__(self, gui: Any, files: Files) -> None:
        self.files = files
        self.wish = live.asked(files.run)
        self._asked = 0.0
        self.status = gui.add_markdown(files.line())
        self.bar = gui.add_progress_bar(0.0)
        self.pause = gui.add_checkbox("Pause", False, hint="The job waits after the step that it is at")
        self.step = gui.add_button("One step", icon="player-skip-forward", hint="Make one more step, then pause")
        self.now = gui.add_button(
            "Show now", icon="refresh", hint="Show the estimate after the step that the job is at"
        )
        self.follow = gui.add_checkbox("Keep up", False, hint="Show the estimate again as soon as it has been drawn")
        self.pause.on_update(lambda _: self._pause())
        self.step.on_click(lambda _: self._step())
        self.now.on_click(lambda _: self.show())
        self.update()

    def _pause(self) -> None:
        if self.pause.value != self.wish.paused:
            self.ask(replace(self.wish, paused=bool(self.pause.value), until=self.files.step))

    def _step(self) -> None:
        self.ask(replace(self.wish, paused=True, until=self.files.step + 1))
        self.pause.value = True

    def show(self) -> None:
        """Ask for the present state."""
        self.ask(replace(self.wish, show=self.wish.show + 1))

    def ask(self, wish: live.Wish) -> None:
        """Ask this of the run."""
        self.wish, self._asked = wish, time.monotonic()
        try:
            live.ask(self.files.run, wish)
        except PbdrError as error:
            self.status.content = f"{self.files.line()}. It cannot be asked for anything: {error}"

    def update(self) -> None:
        """Show where the run is; ask for a pause again before it is forgotten."""
        working = self.files.at_work
        for handle in (self.pause, self.step, self.now, self.follow, self.bar):
            handle.visible = working
        steps = self.files.status.get("steps")
        if steps:
            self.bar.value = 100.0 * self.files.step / max(1, int(steps))
        self.status.content = f"{self.files.line()}. {self.files.status.get('message', '')}"
        if working and self.wish.paused and time.monotonic() - self._asked > AGAIN:
            self.ask(self.wish)

    def close(self) -> None:
        """Let a paused run go on."""
        if self.wish.paused and self.files.at_work:
            self.ask(replace(self.wish, paused=False))
