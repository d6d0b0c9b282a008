"""The capture doctor: what is probably wrong with cameras and images, seen before anything is optimised.

A check is one function of a `Capture` that returns findings; a new one is a function and a place in the list below. Every check has
a test with an injected fault, and none may say anything of a right capture (tests/unit/test_doctor.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .capture import Capture, Finding, Shot
from .geometry import axes, field_of_view, inverted_masks, principal_point, subject
from .matching import duplicates, order, sizes
from .radiance import encoding, environments, exposure
from .unseen import unseen

__all__ = ["CHECKS", "Capture", "Finding", "Shot", "examine"]

CHECKS: dict[str, Callable[[Capture], list[Finding]]] = {
    check.__name__: check
    for check in (
        axes, field_of_view, principal_point, inverted_masks, order, sizes, duplicates, encoding, exposure, environments, unseen,
    )
}  # fmt: skip


GEOMETRY = ("axes", "field_of_view", "principal_point", "inverted_masks", "order")
#: What is judged by masks where there are some.
BY_MASKS = ("axes", "field_of_view")
#: What means nothing while cameras are wrong.
OF_SURFACES = ("exposure", "unseen")


def examine(capture: Capture) -> list[Finding]:
    """Run every check → what they found, problems before notes. Surfaces are compared only if cameras and masks look right.

    Poses and focal lengths are judged by the shapes that masks show. Of several things that would make masks and silhouettes
    overlap, the one by which they overlap most is told.
    """
    shown = replace(capture, points=subject(capture)[0]) if capture.masked and len(capture.points) else capture
    found: list[Finding] = []
    for name, check in CHECKS.items():
        if name not in OF_SURFACES or not any(finding.check in GEOMETRY for finding in found):
            found += check(shown if name in BY_MASKS else capture)
    most = max((finding.overlap for finding in found), default=0.0)
    found = [finding for finding in found if finding.overlap in (0.0, most)]
    return sorted(found, key=lambda finding: finding.level != "problem")
