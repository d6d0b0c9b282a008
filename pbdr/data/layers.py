"""Which channels of an image are its colour and its alpha: those of one layer, never of two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, OptionError, closest

#: Last part of the name of the layer that holds the finished image, as renderers and compositors call it.
COMBINED = ("combined", "beauty", "rgba", "rgb", "composite", "color", "colour")

Indices = tuple[list[int], int | None]


def layer_names(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Channels grouped: layer → channel in capitals → index. `ViewLayer.Combined.R` is R of layer `ViewLayer.Combined`."""
    layers: dict[str, dict[str, int]] = {}
    for index, name in enumerate(names):
        layer, _, channel = name.rpartition(".")
        layers.setdefault(layer, {}).setdefault(channel.upper(), index)
    return layers


def colour_channels(names: Sequence[str], path: Path, layer: str | None = None) -> Indices:
    """Indices of red, green, blue (three times the same for grey) and of alpha, None without.

    Without `layer`: the layer without name, else the one that is called Combined, Beauty, …, else the only one that has
    colours. DataError, naming the layers, where that does not decide.
    """
    layers = layer_names(names)
    colours = {name: _colours(channels) for name, channels in layers.items()}
    usable = [name for name, found in colours.items() if found]
    if not usable:
        raise DataError(f"{path}: channels {', '.join(names)} hold no colour; expected R, G, B or Y{_why_not(layers)}")
    chosen = _asked_for(layer, usable, path) if layer is not None else _by_convention(usable, path)
    return colours[chosen] or [], layers[chosen].get("A")


def _colours(channels: dict[str, int]) -> list[int] | None:
    if all(c in channels for c in "RGB"):
        return [channels[c] for c in "RGB"]
    # X, Y, Z may be a position, a normal or CIE's colours; Y alone is luminance.
    if "Y" in channels and not {"X", "Z", "R", "G", "B"} & set(channels):
        return [channels["Y"]] * 3
    return None


def _why_not(layers: dict[str, dict[str, int]]) -> str:
    if any({"X", "Y", "Z"} <= set(channels) for channels in layers.values()):
        return ". X, Y, Z may be CIE colours, a position or a normal: convert colours to R, G, B"
    return ""


def _asked_for(layer: str, usable: list[str], path: Path) -> str:
    exact = [name for name in usable if name.lower() == layer.lower()]
    found = exact or [name for name in usable if name.lower().rpartition(".")[2] == layer.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise OptionError(f"{path}: layer = '{layer}' may be {_listed(found)}: give the whole name")
    near = closest(layer, usable)
    hint = f" Closest: '{near[0]}'." if near and near[0] else ""
    raise OptionError(f"{path}: there is no layer '{layer}' with colours.{hint} There: {_listed(usable)}")


def _by_convention(usable: list[str], path: Path) -> str:
    if "" in usable:
        return ""
    found = [name for name in usable if name.lower().rpartition(".")[2] in COMBINED] or usable
    if len(found) == 1:
        return found[0]
    raise DataError(
        f"{path}: which layer is the image? It has {_listed(usable)}: say so by [data] layer = '{found[0]}'"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" if name else "one without name ('')" for name in names)
