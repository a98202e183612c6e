"""Who stores tensors as codes, and how: one function a layout, which finds its tensors in a file.

Whatever the layout, a tensor is `Stored`: its name, shape and format, the entries it is made of,
and how to read it. What no layout claims is an ordinary tensor.

- `ours`: what ``amxfp4 quantize`` writes; `weights`: of it, AFPQ's weight formats.
- `checkpoints`: compressed-tensors, ModelOpt and gpt-oss. `torchao`. `gguf`: llama.cpp.
- `plain`: safetensors' own FP8, E8M0 and FP4 numbers.
- `writing`: how blocks are written in those that write them.
- `tensor`, `parts`: what they share.
"""

from collections.abc import Callable, Iterator

from amxfp4.golden.files.tensor_file import TensorFile
from amxfp4.params.checks import choose

from .checkpoints import compressed_tensors, gpt_oss, modelopt
from .gguf import gguf
from .ours import OURS, ours
from .plain import plain
from .tensor import Stored
from .torchao import torchao
from .writing import OTHERS, Layout, as_stored

__all__ = ["LAYOUTS", "OURS", "Layout", "Stored", "as_stored", "layout", "stored"]

LAYOUTS = {layout.name: layout for layout in (OURS, *OTHERS)}
"""Every layout that can be written, by name."""
_FINDERS: tuple[Callable[[TensorFile], Iterator[Stored]], ...] = (
    ours, compressed_tensors, modelopt, gpt_oss, torchao, gguf, plain,
)  # fmt: skip


def layout(name: object) -> Layout:
    """Layout of that name.

    Raises
    ------
    TypeError, ValueError
        There is none.
    """
    return choose("layout", name, LAYOUTS)


def stored(file: TensorFile) -> dict[str, Stored]:
    """Tensors that a file stores as codes, by the names of their owner, in the file's order.

    Raises
    ------
    ValueError
        Parts of a tensor do not belong together, or two tensors would have one name.
    """
    claimed: set[str] = set()
    found: list[Stored] = []
    for find in _FINDERS:
        for tensor in find(file):
            if claimed.isdisjoint(tensor.parts):
                claimed.update(tensor.parts)
                found.append(tensor)
    place = {name: number for number, name in enumerate(file.entries)}
    tensors = {t.name: t for t in sorted(found, key=lambda t: place[t.parts[0]])}
    others = file.entries.keys() - claimed
    if len(tensors) < len(found) or tensors.keys() & others:
        names = [t.name for t in found]
        twice = next(n for n in names if names.count(n) > 1 or n in others)
        raise ValueError(f"it holds two tensors {twice!r}, one of them as codes")
    return tensors
