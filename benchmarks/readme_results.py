"""`python -m benchmarks.readme_results`: the two tables of README.md, from what benchmarks/results holds and from nothing else."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from .harness import RECORDED, ROOT, table, write_page

PAGE = ROOT / "README.md"
#: What a reader may know from other renderers → the case of the matrix that is about it.
SHOWN = {
    "an object moves before the camera": "flat mesh, welded",
    "a shadow of a large lamp moves": "shadow of a moving block, area",
    "the camera moves": "perspective: pose",
    "the lens of the camera changes (k1)": "opencv: k1",
    "a box is seen in a mirror": "box in a mirror",
    "a ball is seen through glass": "ball behind glass",
    "objects pass through each other": "box sunk into the floor",
    "a curve bends": "linearcurve bends",
    "the depth channel, an object moves": "depth: block moves",
    "a wall changes its colour": "diffuse: base_color",
}

#: Verdicts on the peer, in words.
TOLD = {"right": "right", "wrong": "wrong", "undecided": "undecided", "raises": "end in an error"}


def record(name: str) -> dict[str, Any]:
    """A record of benchmarks/results."""
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def link(name: str, words: str) -> str:
    """Words that lead to the page of a record."""
    return f"[{words}](benchmarks/results/{name}.md)"


def figures() -> str:
    """What was measured, one line a question."""
    rows = [
        ["Is every kind of gradient right?", _matrix(), link("matrix", "matrix")],
        ["Also in random scenes?", _random(), link("fuzz", "random scenes")],
        ["How efficient are they?", _efficiency(), link("run", "efficiency")],
        ["Material and light from pictures?", _spot(), link("spot_material_light", "Spot")],
        ["Do jobs find the truth, from five starts each?", _jobs(), link("jobs", "jobs")],
        ["What does a crash cost?", _crashes(), link("kill", "kill")],
    ]
    return table(["question", "measured", "record"], rows)


def _matrix() -> str:
    counts = record("matrix")["counts"]
    compared = f"{counts['right']} right, {counts.get('wrong', 0)} wrong, compared with finite differences"
    return f"{compared}; {counts['refused by name']} more are refused by name"


def _random() -> str:
    found = record("fuzz")["figures"]
    crashed = len(found.get("crashed_once", ()))
    return (
        f"{found['right']} of {found['decided']} right, {found['failed']} failed; {found['noisy']} too noisy to tell"
        + (f"; {crashed} crashed once and not again" if crashed else "")
    )


def _efficiency() -> str:
    run = record("run")
    best = (
        f"{run['geometric_means']['best']:.1f} times the best of Mitsuba's integrators that is right (geometric mean)"
    )
    return f"{best}, {run['least']:.2f} times at least; none is right in {len(run['no_peer_right'])} of {len(run['cases'])} cases"


def _spot() -> str:
    spot = record("spot_material_light")
    scores = f"{spot['held_out']['psnr']:.1f} dB on held-out views, {spot['held_out']['psnr_init']:.1f} at the start"
    return f"{scores}, in {spot['minutes_wall']:.0f} minutes on {spot['machine']['cores']} cores"


def _jobs() -> str:
    verdicts = record("jobs")["verdicts"]
    return (
        f"{sum(verdicts.values())} of {len(verdicts)} kinds of jobs so far; the others are short of a limit, or have not been "
        "run five times"
    )


def _crashes() -> str:
    kill = record("kill")
    return f"{len(kill['events'])} kills, full disks and the like: {kill['wrong']} runs broken"


def cell(verdict: str, value: float | None) -> str:
    """A verdict, with the share of the true derivative that was found where it is wrong."""
    if verdict == "wrong" and value is not None:
        return f"wrong: {value:.2f} of the truth".replace("-", "−")
    return {"raises": "raises an error"}.get(verdict, verdict)


def comparison() -> str:
    """A few cases of the matrix beside Mitsuba's own integrator for moving geometry."""
    cases, rows = record("matrix")["cases"], []
    for words, name in SHOWN.items():
        case, peer = cases[name], cases[name].get("peer") or {}
        error = f"{abs(case['bias']):.1%} ± {case['bias_error']:.1%}" if case["verdict"] == "right" else ""
        rows.append(
            [
                words,
                f"{case['verdict']} ({error} off)" if error else f"**{case['verdict']}**",
                cell("raises" if "raises" in peer else peer.get("verdict", "not run"), peer.get("ratio")),
            ]
        )
    counts = record("matrix")["peer_counts"]
    told = ", ".join(f"{counts[key]} {words}" for key, words in TOLD.items() if counts.get(key))
    made = table(["what changes", "pbdr", "`prb_projective`"], rows)
    return f"{made}\n\nIn all {sum(counts.values())} cases in which `prb_projective` was run: {told}."


def filled(text: str) -> str:
    """README.md with its tables made anew."""
    for name, made in (("figures", figures()), ("comparison", comparison())):
        pattern = re.compile(rf"(<!-- made: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{PAGE.name} has no place for '{name}', or several")
        text = pattern.sub(lambda found, made=made: found[1] + made + found[2], text)
    return text


def refresh() -> None:
    """Make the tables anew, after a record has changed."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write_page(PAGE, filled(PAGE.read_text(encoding="utf-8"))))
