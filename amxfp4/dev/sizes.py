"""Measure what each extra takes: ``python -m amxfp4.dev.sizes``, which needs the package index.

Every extra is installed into an environment of its own, from a wheel built here, and the table that
README.md shows is written.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from amxfp4.dev.checks import checkout

__all__ = ["measure"]

RECORD = Path("docs", "figures", "install.json")
USES = {
    "": "the golden model, files: `quantize`, `dequantize`, `matmul`, `info`, `formats`",
    "rtl": "`verilog`",
    "sim": "`sim`, `matmul --through rtl`, simulated boards",
    "synth": "`synth`; with `sim` also `synth energy` and `synth check`",
    "host": "`host`: an engine on a board",
    "fpga": "`fpga build`: bitstreams",
    "test": "`make sim` and `make test`",
    "docs": "`make docs`",
    "dev": "all that a change needs: `make lint`, `make type`",
}
"""What one can do with an extra; the empty one is the bare package."""


def _megabytes(folder: Path) -> int:
    return round(sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_dir()) / 1e6)


def measure(wheel: Path, constraints: Path, extra: str) -> tuple[int, int]:
    """Install `wheel` with `extra`; return megabytes, and seconds of a processor.

    Processor time does not depend on the line to the package index, nor on what else is running.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", name], check=True)
        before = _megabytes(folder)
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "-q", "--disable-pip-version-check"]
        wanted = f"{wheel}[{extra}]" if extra else str(wheel)
        subprocess.run([*pip, "install", "-c", str(constraints), wanted], check=True)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
        return _megabytes(folder) - before, round(seconds)


def main() -> None:
    """Measure every extra and write the table."""
    root = checkout(None)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "build", "--outdir", name, str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(name).glob("*.whl")
        for extra, use in USES.items():
            megabytes, seconds = measure(wheel, root / "constraints.txt", extra)
            named = f"`amxfp4[{extra}]`" if extra else "`amxfp4`"
            rows.append([named, use, f"{megabytes} MB", f"{seconds} s"])
            print(*rows[-1], sep="  ", flush=True)
    header = ["pip install", "for", "size", "processor time of pip"]
    record = {"tables": {"extras": {"header": header, "rows": rows}}}
    (root / RECORD).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
