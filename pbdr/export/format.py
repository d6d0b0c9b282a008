"""What a format of `pbdr export` must answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..job.results import slug
from ..scene import Scene
from .asset import Asset, View


@dataclass(frozen=True)
class Source:
    """What is exported.

    scene       the estimate, with its values in its recipe
    original    the same scene as the run has it; values that are compared with
    asset       its triangles, materials, lights and cameras
    integrator  of the job, for images that are compared
    """

    scene: Scene
    original: Scene
    asset: Asset
    integrator: Mapping[str, Any] = field(default_factory=lambda: {"type": "path", "max_depth": 6})

    @property
    def views(self) -> Sequence[View]:
        """Cameras of the job."""
        return self.asset.views


@dataclass
class Written:
    """Files of a format, and what of the scene it cannot hold, in words."""

    files: list[Path] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


class Format(ABC):
    """One format. A new one is a file in `formats/` and a line in `FORMATS`.

    name      what the user calls it
    text      what it is, for help and export.json
    requires  a module that must be installed, with the extra that has it; "" for none
    """

    name: ClassVar[str]
    text: ClassVar[str]
    requires: ClassVar[str] = ""

    @abstractmethod
    def write(self, source: Source, folder: Path) -> Written:
        """Write below `folder`; raises SceneError for a scene that it cannot hold at all."""

    @abstractmethod
    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read the files again, by another program's reader where there is one, and compare; what was found, for export.json.

        Its key "ok" says whether what was read is what was written.
        """


def names_of(parts: Sequence[Any]) -> list[str]:
    """Names of parts or materials as names of files, each once."""
    found: list[str] = []
    for part in parts:
        base = name = slug(part.name)
        number = 1
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found.append(name)
    return found
