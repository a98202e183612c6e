"""What the documents tell people to type works.

In README.md, CONTRIBUTING.md and docs/, a ```python block is run, and so is each line of a
```console block that begins with ``$ amxfp4`` or ``$ .venv/bin/python examples/``, in the order in
which they stand: one folder and one namespace a document.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import amxfp4
from amxfp4 import cli

ROOT = Path(amxfp4.__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
OTHERS = [ROOT / "CHANGELOG.md", *ROOT.glob("*/README.md")]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.M | re.S)
# CI itself runs make; simulating and measuring take minutes and have tests of their own.
ELSEWHERE = ("make", "git clone", "cd ", "amxfp4 sim", "amxfp4 dev ")
# Half a minute each; tests of their own run such commands by day, on smaller units.
BY_NIGHT = ("host.md", "bring-up.md", "energy.md", "sweeps.md", "microarchitecture.md")
# Each builds an engine of its own; the tests of host commands share one.
NEEDS = {"torch.md": "torch"}
"""What the examples of a document import and the test extra does not bring."""
LATE = ("amxfp4 host", ".venv/bin/python examples/")


def commands(block):
    """Return the commands of a console block, continued lines joined."""
    joined = block.replace("\\\n", " ")
    return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def run_document(text, elsewhere=ELSEWHERE):
    """Run the blocks of a document in the folder of this process; return how many were run."""
    namespace = {"__name__": "__document__"}
    count = 0
    for language, block in BLOCK.findall(text):
        if language == "python":
            exec(compile(block, "<document>", "exec"), namespace)
            count += 1
            continue
        listed = commands(block)
        assert listed, f"a console block without a line that starts with '$ ':\n{block}"
        for command in listed:
            if command.startswith(elsewhere):
                continue
            words = shlex.split(command, comments=True)
            count += 1
            if words[0] == "amxfp4":  # in this process, whose start need not be shown again
                assert cli.run(words[1:]) == 0, command
                continue
            example = command.startswith(".venv/bin/python examples/")
            assert example, f"only amxfp4 commands and examples can be tested, not: {command}"
            done = subprocess.run(
                [sys.executable, *words[1:]], capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return count


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(path, marks=[pytest.mark.nightly] if path.name in BY_NIGHT else [])
        for path in DOCUMENTS
    ],
    ids=lambda path: path.name,
)
def test_document_runs(document, tmp_path, monkeypatch, kept_verilog, at_night):
    if document.name in NEEDS:
        name = NEEDS[document.name]
        pytest.importorskip(name, reason=f"pip install 'amxfp4[{name}]'")
    # Documents may name files of the project as seen from its folder.
    for name in ("verif", "docs", "examples", "synth"):
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    # Documents share what takes longest to build, as they do for a reader who follows them in turn.
    (tmp_path / "build").mkdir()
    for name in ("batch", "verilog-cache"):
        (ROOT / "build" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).symlink_to(ROOT / "build" / name)
    monkeypatch.chdir(tmp_path)
    run_document(document.read_text(), ELSEWHERE if at_night else ELSEWHERE + LATE)


LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", [*DOCUMENTS, *OTHERS], ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target


def site(source, folder):
    """Make the site of `source`; return what the command line of `make docs` came to."""
    make = (ROOT / "Makefile").read_text()
    line = re.search(r"-m (sphinx .* \. build/docs) \$\(ARGS\)", make)[1]
    words = line.replace("build/", f"{folder}/").split()
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=source, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip


# A dozen seconds of Sphinx; the links of the documents are checked by day, above.
@pytest.mark.nightly
def test_site_is_made_without_a_warning(tmp_path):
    """Documents and docstrings; of a broken link, the name."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="the site comes with the docs extra: make docs")
    done = site(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "docs" / "index.html").is_file()
    page = (tmp_path / "docs" / "docs" / "reference" / "golden.html").read_text()
    assert 'id="amxfp4.golden.quantize"' in page
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    for name in ("conf.py", "templates"):
        (source / "docs" / name).symlink_to(ROOT / "docs" / name)
    (source / "docs" / "index.md").write_text("# Index\n\n[broken](planted.md)\n")
    done = site(source, tmp_path / "again")
    assert done.returncode != 0
    assert "planted.md" in done.stderr


def test_blocks_are_found_and_run(tmp_path, monkeypatch):
    """A document of known content: every kind of block is run, in one namespace."""
    monkeypatch.chdir(tmp_path)
    text = (
        "```python\nx = 1\n```\ntext\n```console\n$ make sim\n$ amxfp4 \\\n  formats\nshown\n```\n"
        "```python\nassert x == 1\n```\n```text\nnot run\n```\n"
    )
    assert run_document(text) == 3


@pytest.mark.parametrize(
    "text",
    [
        "```python\nassert False\n```\n",
        "```console\n$ amxfp4 no-such-command\n```\n",
        "```console\n$ rm -rf x\n```\n",
        "```console\namxfp4 formats\n```\n",
    ],
)
def test_wrong_blocks_fail(text):
    with pytest.raises(AssertionError):
        run_document(text)
