"""Rendering as a PyTorch function: tensors of scene parameters in, an image out, with the renderer's own gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr import rendering
from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import Parameter, resolve, traverse, write
from pbdr.scene import integrator_of, sensor_of
from pbdr.seeds import hashed

try:
    import torch
except ImportError:
    raise OptionError("pbdr.torch needs PyTorch, which is not installed: pip install 'pbdr[torch]'") from None


@dataclass(frozen=True)
class _Call:
    """What a render needs besides the tensors."""

    scene: Any
    parameters: tuple[Parameter, ...]
    sensor: Any
    integrator: Any
    spp: int
    spp_grad: int
    seed: int
    seed_grad: int

    def image(self, values: list[Any]) -> Any:
        """Write `values` (Dr.Jit tensors, attached or not) into the scene and render."""
        params = traverse(self.scene)
        for parameter, value in zip(self.parameters, values, strict=True):
            write(params, parameter, value)
        params.update()
        return rendering.render(
            self.scene, params, sensor=self.sensor, integrator=self.integrator,
            spp=self.spp, spp_grad=self.spp_grad, seed=self.seed, seed_grad=self.seed_grad,
        )  # fmt: skip


def render(
    scene: Any,
    parameters: Mapping[str, torch.Tensor],
    *,
    sensor: Any = 0,
    spp: int = 16,
    spp_grad: int | None = None,
    seed: int = 0,
    seed_grad: int | None = None,
    integrator: Any = None,
) -> torch.Tensor:
    """Render `scene` with these parameter values; the result (H, W, C), float32, is differentiable in the tensors.

    `parameters` maps a name (`mat/base_color`) or a raw Mitsuba key to a tensor of that parameter's shape (see
    `pbdr.parameters.list_parameters`; a texture may have another resolution). The tensors' values stay in the scene.
    The derivative has a seed of its own, `seed_grad` (default: hashed from `seed`), and `spp_grad` samples per pixel
    (default: `spp`). Raises ParameterError, SceneError.
    """
    chosen = tuple(_one(scene, name) for name in parameters)
    call = _Call(
        scene,
        chosen,
        sensor_of(scene, sensor),
        integrator_of(scene, integrator),
        spp,
        spp if spp_grad is None else spp_grad,
        hashed(seed, "primal"),
        hashed(seed, "gradient") if seed_grad is None else hashed(seed_grad, "gradient"),
    )
    tensors = []
    for name, parameter, tensor in zip(parameters, chosen, parameters.values(), strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise ParameterError(f"{name!r}: expected a torch.Tensor, got {type(tensor).__name__}")
        tensors.append(tensor.reshape(parameter.shape) if tensor.numel() == _size(parameter) else tensor)
    image: torch.Tensor = _Render.apply(call, *tensors)
    return image


def _one(scene: Any, name: str) -> Parameter:
    found = resolve(scene, name) if "/" in name else resolve(scene, raw=name)
    if len(found) != 1:
        raise ParameterError(f"{name!r} selects {len(found)} parameters: a tensor is the value of one")
    return found[0]


def _size(parameter: Parameter) -> int:
    size = 1
    for n in parameter.shape:
        size *= n
    return size


def _to_drjit(tensor: torch.Tensor) -> Any:
    return mi.TensorXf(tensor.detach().to(torch.float32).contiguous())


class _Render(torch.autograd.Function):
    """The renderer as one node of PyTorch's graph; its backward pass is the integrator's."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: torch.Tensor) -> torch.Tensor:
        ctx.call = call
        ctx.save_for_backward(*tensors)
        with dr.suspend_grad():
            image = call.image([_to_drjit(t) for t in tensors])
            result: torch.Tensor = image.torch().clone()
        return result.to(tensors[0].device) if tensors else result

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, adjoint: torch.Tensor) -> tuple[Any, ...]:
        leaves = [_to_drjit(t) for t in ctx.saved_tensors]
        needed = ctx.needs_input_grad[1:]
        dr.enable_grad(*[leaf for leaf, wanted in zip(leaves, needed, strict=True) if wanted])
        # The values may have changed since: write them again, attached.
        image = ctx.call.image(leaves)
        dr.backward(dr.sum(image * _to_drjit(adjoint), axis=None))
        gradients = [
            dr.grad(leaf).torch().clone().to(t.device, t.dtype) if wanted else None
            for leaf, t, wanted in zip(leaves, ctx.saved_tensors, needed, strict=True)
        ]
        with dr.suspend_grad():
            _detach(ctx.call, leaves)
        return None, *gradients


def _detach(call: _Call, leaves: list[Any]) -> None:
    params = traverse(call.scene)
    for parameter, leaf in zip(call.parameters, leaves, strict=True):
        write(params, parameter, dr.detach(leaf))
    params.update()
