"""Settings on the command line that replace those of the job file, and what of a job must be known before Mitsuba is loaded.

This module imports no Mitsuba: a job's variant is asked for before the backend is prepared.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ..data.text import read_text
from ..errors import Mistakes, OptionError, PbdrError, closest
from .hints import FLAGS

#: What `[scene] variant` may be; "auto": CUDA where there is a GPU, else LLVM.
Variant = Literal[
    "auto", "llvm_ad_rgb", "cuda_ad_rgb", "metal_ad_rgb", "llvm_ad_spectral", "cuda_ad_spectral", "metal_ad_spectral",
    "llvm_ad_mono", "cuda_ad_mono", "metal_ad_mono",
]  # fmt: skip
#: Those whose jobs are tested.
TESTED = ("llvm_ad_rgb", "cuda_ad_rgb")


def untested(variant: str) -> str:
    """What to tell of a variant whose jobs nobody has tested; "" for the others."""
    if variant in TESTED:
        return ""
    spectral = (
        "; colours are coefficients of spectra there, of very different sizes, which no one learning rate suits: estimate numbers, "
        "such as a roughness"
    )
    return f"jobs are not tested in variant {variant}{spectral if variant.endswith('spectral') else ''}"


def wanted_variant(path: Path, overrides: Mapping[str, Any]) -> str:
    """Return the variant that a job asks for; "auto" where it has none, or is wrong in a way that reading all of it will tell."""
    try:
        document: Any = tomllib.loads(read_text(path))
        wanted = overrides.get("scene.variant", document["scene"]["variant"])
    except (PbdrError, OSError, ValueError, RecursionError, LookupError, TypeError):
        wanted = overrides.get("scene.variant")
    return wanted if isinstance(wanted, str) and wanted in get_args(Variant) else "auto"


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """Command-line words ``--section.key value`` or ``--section.key=value`` → {"section.key": value}.

    A value is read as TOML (``1e-3``, ``[0, 1]``, ``true``, ``{ tv = 0.1 }``) and is a string when that fails.
    """
    result: dict[str, Any] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise OptionError(f"{word!r} is not an option; settings of the job are given as --section.key value")
        key, equals, value = word[2:].partition("=")
        if key in FLAGS:
            raise OptionError(f"--{key} is not an option here: {FLAGS[key]}")
        if not equals:
            if not words or (words[0].startswith("--") and not _is_number(words[0])):
                raise OptionError(f"--{key} needs a value: --{key} VALUE")
            value = words.pop(0)
        result[key] = _toml_value(value)
    return result


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, KeyError, RecursionError):
        pass
    return float(text) if _is_number(text) else text


def check_variables(document: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raise OptionError for a setting of a variable that the job does not have, unless the settings say what it matches."""
    variables = document.get("vars")
    names = list(variables) if isinstance(variables, dict) else []
    mistakes = Mistakes()
    for key in overrides:
        parts = key.split(".")
        if len(parts) < 3 or parts[0] != "vars" or parts[1] in names:
            continue
        if not {f"vars.{parts[1]}.match", f"vars.{parts[1]}.raw"} & set(overrides):
            near = closest(parts[1], names)
            hint = f"Closest: '{near[0]}'." if near else f"Known: {', '.join(names)}."
            with mistakes.collected():
                raise OptionError(f"command line, --{key}: there is no variable '{parts[1]}'. {hint}")
    mistakes.raise_any()


def put(document: dict[str, Any], dotted: str, value: Any) -> None:
    """Set the key `dotted` ("optim.steps") of a document. Raises OptionError where a section's name is that of a value."""
    *sections, key = dotted.split(".")
    table: Any = document
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise OptionError(f"--{dotted}: '{section}' is a value, not a section")
    table[key] = value
