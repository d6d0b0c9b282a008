"""Sphinx's settings. `make docs` builds docs/_build/html. Cells of pages run; results are kept until code changes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "_ext")]

# What the pages' own processes find: this tree, the `pbdr` of this environment, kernels that compile quickly.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(DOCS / "_ext"), os.environ.get("PYTHONPATH", "")])
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.setdefault("PBDR_COMPILE", "quick")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import made_pages  # noqa: E402

project = "pbdr"
author = "The pbdr authors"
copyright = "The pbdr authors, BSD-3-Clause"
version = release = made_pages.version()

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "made_pages"]
exclude_patterns = ["_build", "_ext"]
smartquotes = False  # `--option` stays two dashes
default_role = "code"  # docstrings write code between single backticks

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS / "_build" / "cells" / made_pages.fingerprint())
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
copybutton_exclude = ".linenos, .gp, .go"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "pbdr"
html_static_path = ["_static"]
html_css_files = ["pbdr.css"]
html_show_sourcelink = False
html_show_sphinx = False
