"""A Mitsuba scene of the estimate that needs nothing else: XML, meshes and textures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from .. import proof, xml
from ..format import Format, Source, Written


class MitsubaScene(Format):
    """The estimate as it is: nothing is lost."""

    name: ClassVar[str] = "mitsuba"
    text: ClassVar[str] = "Mitsuba 3 scene: mitsuba/scene.xml with its meshes and textures, all values as estimated"

    def write(self, source: Source, folder: Path) -> Written:
        """Write mitsuba/scene.xml and what it names."""
        return Written(xml.write(source.scene, folder / "mitsuba" / "scene.xml"))

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Load it again: every parameter has its value, and an image of one view is that of the estimate within its noise."""
        return {"reader": "mitsuba", **proof.same_scene(source, written.files[0])}
