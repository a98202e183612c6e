"""The model computes the same where another library has made the processor flush subnormals."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys
import numpy as np
ctypes.CDLL(sys.argv[1])
tiny = np.array([2.0**-130], np.float32)
if (tiny * np.float32(1))[0] != 0:
    sys.exit("no flushing")
from amxfp4.params.formats import FORMATS, INPUTS, OUTPUTS, block_format
from amxfp4.golden import stimulus
from amxfp4.verif.tests.golden import oracle
rng = np.random.default_rng(1)
done = 0
# By day one format for every kind of scale.
kinds = {row.scale.name: name for name, row in FORMATS.items()}
for name in FORMATS if sys.argv[2:] else kinds.values():
    for word in INPUTS:
        done += oracle.check_quantize(stimulus.blocks(rng, 20, 32, word), word, name, "RNE")
    for word in OUTPUTS:
        done += oracle.check_dequantize(*stimulus.records(rng, 40, block_format(name)), name, word)
x, y = oracle.powers([-70], [1], "mxfp4"), oracle.powers([-75], [-1], "mxfp4")
done += oracle.check_matmul(x, y, "fp32") + oracle.check_matmul(x, y, "fp32", "bf16")
print(done)
"""


def test_flush_to_zero(tmp_path: Path, at_night: bool) -> None:
    """A library built with -ffast-math switches flushing on; every bit stays."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc to build a library that switches flushing on")
    source, library = tmp_path / "fast.c", tmp_path / "fast.so"
    source.write_text("int fast(void) { return 0; }\n")
    build = [compiler, "-shared", "-fPIC", "-ffast-math", "-o", str(library), str(source)]
    subprocess.run(build, check=True)
    command = [sys.executable, "-c", PROGRAM, str(library), *["all"] * at_night]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "no flushing" in done.stderr:
        pytest.skip("this compiler's -ffast-math does not switch flushing on when loaded")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > (10_000 if at_night else 3_000)
