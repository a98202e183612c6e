"""The project's own files agree with each other."""

import importlib.metadata
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import amxfp4

ROOT = Path(amxfp4.__file__).parent.parent


def tracked_files():
    """List what git tracks; skip where there is no git."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def make_targets():
    """Return the phony targets of the Makefile."""
    return re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()


def make(*arguments):
    """Run make as a person would, even when make runs these tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_version_is_the_changelogs():
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] == amxfp4.__version__
    assert importlib.metadata.version("amxfp4") == amxfp4.__version__


def requirements():
    """Return what is installed with nothing, and with each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def name_of(requirement):
    """Return the name of a distribution as pip compares it."""
    return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")


def test_every_dependency_is_pinned_and_explained():
    text = (ROOT / "pyproject.toml").read_text()
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    normal = {name.lower().replace("_", "-") for name in pins}
    for wanted in requirements().values():
        for requirement in wanted:
            assert name_of(requirement) in normal or name_of(requirement) == "amxfp4"
            assert re.search(rf'^ *"{re.escape(requirement)}",? +# \S', text, re.M), requirement


@pytest.mark.parametrize("target", make_targets())
def test_make_target_is_in_help(target):
    done = make("-C", str(ROOT), "help")
    assert done.returncode == 0
    assert re.search(rf"^ *{target} +\S", done.stdout, re.M)


def test_make_alone_is_help():
    assert make("-C", str(ROOT)).stdout == make("-C", str(ROOT), "help").stdout


def test_make_without_python_says_so(tmp_path):
    """A copy without .venv, since a stamp that is there already would hide the question."""
    inputs = ("pyproject.toml", "setup.py", "constraints.txt", "amxfp4/bootstrap.py")
    for name in ("Makefile", *inputs):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = make("-C", str(tmp_path), "PYTHON=no-such-python", "sim")
    assert done.returncode == 2
    assert done.stderr.startswith("no-such-python is missing: install Python 3.11 or newer (Debian")


def test_no_machine_path_or_registry_host():
    """A file that names the machine it was written on works on that machine only."""
    # Written in pieces, or this file would be the first that the test finds.
    paths = "|".join(["work", "root", "farm"])
    hosts = "|".join(["python" + r"hosted\.org", "//py" + r"pi\.org", r"registry\.np" + "mjs"])
    hosts += "|deb" + r"\.debian\.org"
    pattern = re.compile(rf"(?<![\w.-])/(?:{paths})/|/tmp/bash" + f"_jobs|{hosts}")
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode(errors="ignore")
        for number, line in enumerate(text.splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found, "\n".join(found)


def test_machine_path_pattern_finds_one(tmp_path, monkeypatch):
    """The check above is not vacuous: a planted path is found."""
    planted = tmp_path / "planted.md"
    planted.write_text("see /" + "root/.cache for more\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "tracked_files", lambda: [planted])
    with pytest.raises(AssertionError, match=r"planted\.md:1"):
        test_no_machine_path_or_registry_host()


def test_ci_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    targets = re.search(r"^for target in (.*); do$", script.read_text(), re.M)[1].split()
    assert targets == ["lint", "type", "test"]
    assert set(targets) <= set(make_targets())


def test_shell_does_not_choose_the_tests(tmp_path, monkeypatch):
    """Options of pytest and an ARGS from the shell do not reach what make runs."""
    probe = tmp_path / "probe.mk"
    probe.write_text('probe:\n\t@echo "<$$PYTEST_ADDOPTS$$PYTEST_PLUGINS$(ARGS)>"\n')
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "ARGS"):
        monkeypatch.setenv(name, "--collect-only")
    for given, shown in (([], "<>"), (["ARGS=-k two"], "<-k two>")):
        done = make("-C", str(ROOT), "-f", "Makefile", "-f", str(probe), "probe", *given)
        assert done.stdout.strip() == shown, done.stderr
