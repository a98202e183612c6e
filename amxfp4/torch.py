"""PyTorch: tensors and linear layers in the values of our formats, bit for bit the model's.

For what a format does to a model, and for training with it. It comes with an extra, ``pip install
'amxfp4[torch]'``; no other module imports PyTorch, and none imports this one. Of the project it
imports the golden model, which computes on the CPU: right to the last bit, and not fast.

Examples
--------
>>> import torch
>>> from amxfp4.torch import fake_quantize, quantize_linears
>>> fake_quantize(torch.tensor([6, 3.3, -0.5, -0.3], dtype=torch.bfloat16))
tensor([ 6.0000,  3.0000, -0.4688, -0.3125], dtype=torch.bfloat16)
>>> model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
>>> quantize_linears(model, "amxfp4", activations="amxfp4", exclude="2")
['0']
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from amxfp4 import golden
from amxfp4.golden.checks import check_kind
from amxfp4.params.formats import block_format
from amxfp4.util.extras import missing

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing("torch", "torch"), name=error.name) from error
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

__all__ = ["FakeQuantize", "fake_quantize", "quantize_linears"]

_WORDS = (torch.float32, torch.float16, torch.bfloat16)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        blocks = golden.quantize(x.detach().cpu(), **options)
        return torch.from_numpy(golden.dequantize(blocks)).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def fake_quantize(
    x: torch.Tensor, format: str = "amxfp4", *, axis: int = -1, **options: Any
) -> torch.Tensor:
    """Quantize a tensor and dequantize it again, with a gradient for training.

        y = T(golden.dequantize(golden.quantize(x, format, axis=axis, ...)))        dL/dx = dL/dy

    T is PyTorch's cast from float32 to the type of `x`: to nearest, ties to even; overflow becomes
    infinity. It changes nothing where that type has the values: in float32; without a factor of the
    tensor, also in bfloat16, and in float16 with E5M2 and E4M3 scales, unless `x` has an infinity.
    In float16 with E8M0 scales, what is below 2^-14 may be rounded, and ``-roundup`` formats may
    reach 65536, which is infinity.

    The gradient is that of the identity (straight-through estimator, arXiv 1308.3432), also for
    elements that saturate.

    Parameters
    ----------
    x
        float32, float16 or bfloat16, one or more axes, any strides and device. What is not in the
        CPU's memory is copied there and back.
    format
        Row of the format table, such as ``amxfp4`` or ``mxfp4``.
    axis
        The reduction axis, along which blocks run.
    **options
        Further ones of `amxfp4.golden.quantize`: ``ties``, ``block``, ``tensor_scale``, ``rule``,
        ``packed``.

    Returns
    -------
    Tensor of the type, shape and device of `x`, in memory of its own.

    Raises
    ------
    TypeError
        `x` is no tensor or of another type, or a parameter is of the wrong kind.
    ValueError
        As `amxfp4.golden.quantize`.

    Examples
    --------
    >>> x = torch.tensor([6, 3.3, -0.5, -0.3], requires_grad=True)
    >>> y = fake_quantize(x, "mxfp4", ties="RNE")
    >>> y.sum().backward()
    >>> y.detach(), x.grad
    (tensor([ 6.0000,  3.0000, -0.5000, -0.5000]), tensor([1., 1., 1., 1.]))
    """
    check_kind("x", x, torch.Tensor)
    result: torch.Tensor = _StraightThrough.apply(x, {"format": format, "axis": axis, **options})
    return result


class FakeQuantize(nn.Module):
    """`fake_quantize` as a module: the parametrization of a weight, or a layer between others.

    Parameters
    ----------
    format, axis, **options
        As `fake_quantize`.

    Raises
    ------
    TypeError, ValueError
        As `fake_quantize`, but for `axis`, at once.

    Examples
    --------
    >>> FakeQuantize("nvfp4", ties="RNE")
    FakeQuantize(nvfp4, axis=-1, ties=RNE)
    """

    def __init__(self, format: str = "amxfp4", *, axis: int = -1, **options: Any) -> None:
        super().__init__()
        golden.quantize(np.zeros(1, np.float32), format, **options)
        self.format, self.axis, self.options = format, axis, options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Values of `x` in the format."""
        return fake_quantize(x, self.format, axis=self.axis, **self.options)

    def extra_repr(self) -> str:
        """Show format and options."""
        shown = {"axis": self.axis, **self.options}
        return ", ".join([self.format, *(f"{name}={value}" for name, value in shown.items())])


def quantize_linears(
    module: nn.Module,
    weights: str | None = "amxfp4",
    activations: str | None = None,
    *,
    include: str | Iterable[str] = "*",
    exclude: str | Iterable[str] = (),
    **options: Any,
) -> list[str]:
    """Let the ``nn.Linear`` layers of a model compute with weights and inputs of our formats.

        y = f(x) f(W)^T + b          f: `fake_quantize` along the last axis, over which is summed

    Both are quantized each time they are used. The weight becomes a parametrization
    (``torch.nn.utils.parametrize``): training goes on with the weight as it was, which keeps its
    place in the optimizer, in the state as ``parametrizations.weight.original``, and where other
    layers share it, such as an embedding, which are left as they are. For evaluation,
    ``with parametrize.cached():`` quantizes every weight once, and
    ``parametrize.remove_parametrizations(layer, "weight")`` leaves its values as the weight. Biases
    are left alone, and sums are those of PyTorch: `amxfp4.golden.matmul` has the exact ones.

    Parameters
    ----------
    module
        A model, or a layer; changed in place. The output projection of ``nn.MultiheadAttention`` is
        passed over: that module uses its weights without calling it.
    weights, activations
        Row of the format table for weights [out, in] and inputs [..., in]; ``None`` leaves them.
    include, exclude
        Patterns of layers' names (``fnmatch``: ``*`` stands for dots, too). A layer is quantized if
        its name matches one of `include` and none of `exclude`.
    **options
        Further ones of `amxfp4.golden.quantize`, for both: ``ties``, ``block``, ``tensor_scale``,
        ``rule``.

    Returns
    -------
    Names of the layers that were quantized, in the order of the model. Their number is its length.

    Raises
    ------
    TypeError
        `module` is no module, a weight is not float32, float16 or bfloat16, or a parameter is of
        the wrong kind.
    ValueError
        No format is given or one is unknown, no layer matches, or one is quantized already. Nothing
        has been changed then.

    Examples
    --------
    >>> layer = nn.Linear(32, 4)
    >>> wanted = fake_quantize(layer.weight, "mxfp4")
    >>> quantize_linears(layer, "mxfp4")
    ['']
    >>> torch.equal(layer.weight, wanted)
    True
    """
    check_kind("module", module, nn.Module)
    wanted = {
        name: block_format(format, parameter=name).name
        for name, format in (("weights", weights), ("activations", activations))
        if format is not None
    }
    if not wanted:
        raise ValueError("weights or activations must be a format, not None both")
    makes = {name: FakeQuantize(format, axis=-1, **options) for name, format in wanted.items()}
    included, excluded = _patterns(include), _patterns(exclude)
    layers = {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
        and not isinstance(layer, NonDynamicallyQuantizableLinear)
        and any(fnmatchcase(name, pattern) for pattern in included)
        and not any(fnmatchcase(name, pattern) for pattern in excluded)
    }
    if not layers:
        raise ValueError(
            f"include and exclude must leave an nn.Linear, not none: {included} and {excluded}"
        )
    for name, layer in layers.items():
        if any(isinstance(part, FakeQuantize) for part in layer.modules()):
            raise ValueError(f"module must not be quantized yet, but layer {name!r} is")
        if layer.weight.dtype not in _WORDS:
            raise TypeError(
                f"module must have weights of float32, float16 or bfloat16, not "
                f"{layer.weight.dtype} as in layer {name!r}"
            )
    for layer in layers.values():
        if "weights" in makes:
            parametrize.register_parametrization(layer, "weight", makes["weights"])
        if "activations" in makes:
            layer.input_quantizer = makes["activations"]
            layer.register_forward_pre_hook(_quantize_input, with_kwargs=True)
    return list(layers)


def _patterns(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _quantize_input(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Quantize what a layer is called with, by position or by name."""
    if args:
        return (layer.input_quantizer(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "input": layer.input_quantizer(kwargs["input"])}
