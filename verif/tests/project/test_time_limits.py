"""A test that hangs is a failure that names itself, wherever it hangs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parents[3] / "pyproject.toml"
HANGS = """
import signal
import time

def test_before():
    pass

def test_hangs_in_python():
    while True:
        time.sleep(0.01)

def test_hangs_where_no_signal_is_heard():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(1000)

def test_behind():
    pass
"""


def run(folder, *options):
    """Run planted tests under the limits of this project, in seconds in place of minutes."""
    (folder / "test_planted.py").write_text(HANGS)
    settings = tomllib.loads(SETTINGS.read_text())["tool"]["pytest"]["ini_options"]
    names = ("timeout", "timeout_method", "faulthandler_timeout", "faulthandler_exit_on_timeout")
    given = {name: settings[name] for name in names}
    assert given["timeout"] < given["faulthandler_timeout"]
    given |= {"timeout": 1, "faulthandler_timeout": 3}
    lines = [f"{name} = {value}" for name, value in given.items()]
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *lines, ""]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder, env={**os.environ, "PYTEST_ADDOPTS": ""}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_hang_in_python_fails_alone(tmp_path):
    """The others go on, and the report has the line."""
    code, said = run(tmp_path, "-k", "not no_signal")
    assert code == 1
    assert "FAILED test_planted.py::test_hangs_in_python - Failed: Timeout (>1" in said
    assert "1 failed, 2 passed" in said


@pytest.mark.parametrize("workers", [0, 1])
def test_hang_elsewhere_ends_its_process(tmp_path, workers):
    """What it was doing is shown; with workers the others go on in a new one."""
    code, said = run(tmp_path, "-k", "not python", "-n", str(workers))
    assert code != 0
    assert "in test_hangs_where_no_signal_is_heard" in said
    if workers:
        assert "crashed while running 'test_planted.py::test_hangs_where_no_signal_is_hea" in said
        assert "1 failed, 2 passed" in said
