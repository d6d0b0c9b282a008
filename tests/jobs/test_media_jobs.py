"""The files of the example jobs about media are those that their program makes."""

import importlib.util

import pytest


@pytest.fixture(scope="module")
def made(root):
    spec = importlib.util.spec_from_file_location("make_media", root / "examples" / "jobs" / "make_media.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_are_those_that_the_program_makes(root, made):
    for name, content in made.files().items():
        assert (root / "examples" / "jobs" / name).read_bytes() == content, name


def test_the_phantom_has_its_values(made):
    """Skull, brain and ventricles of the modified phantom; the middle slice is symmetric but for the two ventricles."""
    middle = made.phantom((4, 64, 64), fine=1)[2]
    assert (
        middle.max() == pytest.approx(1.0)
        and abs(middle[32, 16] - 0.2) < 0.05
        and middle[32, 23] == pytest.approx(0, abs=0.02)
    )
    assert middle[0].max() == 0
