"""Skies, and folders with unusual names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pbdr.data import encode_exr, find_images
from pbdr.data.pairing import pair
from pbdr.errors import PbdrError
from pbdr.scene import load_scene
from validation.files.text import one_line


@st.composite
def environments(draw: st.DrawFn) -> Any:
    """Texels of a small sky, some of which may be negative or not finite."""
    texels = np.random.default_rng(draw(st.integers(0, 2**16))).random((4, 8, 3)).astype(np.float32)
    wrong = st.sampled_from([-1.0, -1e-7, -1e30, 0.0, np.nan, np.inf, -np.inf])
    for row, column, channel, value in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(0, 2), wrong), max_size=4)
    ):
        texels[row, column, channel] = value
    return texels


def check_environment(texels: Any, folder: Path) -> bool:
    """A sky is refused where it is not finite; its negative texels are counted and become 0."""
    from pbdr.parameters import traverse

    (folder / "sky.exr").write_bytes(encode_exr(texels))
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            scene = load_scene(
                {"type": "scene", "sky": {"type": "envmap", "filename": str(folder / "sky.exr")}}, sensor_required=False
            )
    except PbdrError as error:
        one_line(error)
        assert not np.isfinite(texels).all() and f"{int((~np.isfinite(texels)).any(axis=2).sum())} of 32" in str(error)
        return False
    assert np.isfinite(texels).all()
    count = int((texels < 0).any(axis=2).sum())
    assert len(told) == (1 if count else 0) and (not count or f"{count} of 32 texels" in str(told[0].message))
    np.testing.assert_array_equal(np.array(traverse(scene)["sky.data"])[:, 1:-1], np.maximum(texels, 0))
    return True


file_names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=10
).filter(lambda name: name not in (".", ".."))


@st.composite
def folders(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """The name of a folder, names of images in it without ending, names of as many sensors."""
    stems = draw(
        st.lists(
            st.one_of(file_names, st.integers(0, 120).map("r_{}".format)),
            min_size=1,
            max_size=6,
            unique_by=str.casefold,
        )
    )
    ids = draw(
        st.lists(
            st.one_of(file_names, st.integers(0, 120).map("cam_{}".format)), min_size=len(stems), max_size=len(stems)
        )
    )
    return draw(st.one_of(file_names, st.sampled_from(["scan [v2]", "a*", "?", "[!x]", "**"]))), stems, ids


def check_folder(case: tuple[str, list[str], list[str]], folder: Path) -> bool:
    """Every image of a folder is found, whatever its name, and each sensor gets one; equal numbers belong together."""
    import shutil

    name, stems, ids = case
    base = folder / "folders"
    shutil.rmtree(base, ignore_errors=True)
    (base / name).mkdir(parents=True)
    for stem in stems:
        (base / name / f"{stem}.png").write_bytes(b"")
    seen = [stem for stem in stems if stem[0] != "."]
    found = find_images(str(base / name / "*.png"))
    assert sorted(p.stem for p in found) == sorted(Path(f"{stem}.png").stem for stem in seen)
    for stem in stems:
        assert find_images(str(base / name / f"{stem}.png")) == [base / name / f"{stem}.png"]
    paths = [base / name / f"{stem}.png" for stem in stems]
    paired, rule = pair(ids, paths)
    assert sorted(paired) == sorted(paths)
    if rule == "number":
        assert all(
            int(i.rpartition("_")[2]) == int(p.stem.rpartition("_")[2])
            for i, p in zip(ids, paired, strict=True)
            if i[:4] == "cam_" and p.name[:2] == "r_"
        )
    return True
