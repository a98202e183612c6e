"""A linear layer of a real language model on an engine: SmolLM2's value projection of layer 9.

    .venv/bin/python examples/linear_layer.py                        # a simulated board
    .venv/bin/python examples/linear_layer.py --port /dev/ttyUSB0    # a real one

Activations [tokens, 576] go over the line as words and are quantized on the way in; weights
[64, 576] are quantized here and go as block records. What comes back must be what the golden model
says, bit for bit; how far it is from the product without any quantization is the format's doing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from amxfp4 import golden
from amxfp4.golden.engine import expected, operand_a, operand_b
from amxfp4.golden.quality import sqnr
from amxfp4.host import HostError, open_engine

TENSORS = Path(__file__).parent.parent / "verif" / "data" / "tensors" / "smollm2_layer9.npz"
# A simulated board with room for all weights, 32 columns of 18 blocks for each column of the array:
# they go over the line once.
SIMULATED = {
    "rows": 2, "cols": 2, "lanes": 8, "depth_a": 32, "depth_b": 512, "payload": 1024,
    "bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "baud": 6_250_000,
}  # fmt: skip


def main() -> int:
    """Run the layer; return 1 if a bit differs."""
    parser = argparse.ArgumentParser(description="A linear layer of SmolLM2 on an engine.")
    parser.add_argument("--port", default="sim", help="as of amxfp4 host; sim by default")
    parser.add_argument("--tokens", type=int, default=32, help="rows of the activations, 1 to 32")
    arguments = parser.parse_args()
    if not 1 <= arguments.tokens <= 32:
        parser.error(f"--tokens must be from 1 to 32, not {arguments.tokens}")

    tensors = np.load(TENSORS)
    x = tensors["L9.attn_in"][: arguments.tokens].astype(np.float32)
    w = tensors["L9.w_attn_v"].astype(np.float32)

    options = SIMULATED if arguments.port == "sim" else {}
    with open_engine(arguments.port, **options) as engine:
        config = engine.config
        y = engine.matmul(x, w.T)
        counted, jobs = engine.counters(), engine.sent.jobs

    # The same by the golden model, in the engine's formats, modes and words.
    wanted, _ = expected(config, operand_a(config, x)[0], operand_b(config, w.T))
    if isinstance(y, golden.Blocks):
        same = golden.pack(y).tobytes() == golden.pack(wanted).tobytes()
        y = golden.dequantize(y)
    else:
        same = y.tobytes() == wanted.astype(np.float32).tobytes()

    exact = x.astype(np.float64) @ w.T.astype(np.float64)
    print(
        f"{config.format_a} x {config.format_b} on {config.rows} x {config.cols} x {config.lanes}"
    )
    print(f"y {list(y.shape)}: {'every bit equals golden' if same else 'DIFFERS from golden'}")
    print(f"SQNR of y against the product without quantization: {sqnr(exact, y):.1f} dB")
    if jobs == 1:
        ideal = y.size * x.shape[1] / (config.rows * config.cols * config.lanes)
        print(
            f"{counted['cycles']:,} cycles, {counted['busy']:,} of them at work; ideal {ideal:,.0f}"
        )
    return 0 if same else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HostError as error:
        sys.exit(f"linear_layer: {error}")
