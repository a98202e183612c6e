"""Tables in the documents are what the project makes now, and could be shown not to be."""

from pathlib import Path

import pytest

import amxfp4
from amxfp4 import cli
from amxfp4.dev import documents as report

ROOT = Path(amxfp4.__file__).parent.parent


@pytest.fixture
def checkout(tmp_path):
    """Make a checkout with two documents."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    readme, page = tmp_path / "README.md", tmp_path / "docs" / "page.md"
    readme.write_text("# Title\n<!-- generated: formats -->\n<!-- end -->\nafter\n")
    page.write_text("nothing generated\n")
    return tmp_path


def test_tables_of_this_checkout_are_current(capsys):
    """`amxfp4 dev report` would change nothing."""
    marked = [d for d in report.documents(ROOT) if "<!-- generated: " in d.read_text()]
    assert marked
    assert cli.run(["dev", "report", "--check"]) == 0, capsys.readouterr().out


def test_report_fills_in_and_notices_changes(checkout, capsys):
    """A table is written, found current, and found out of date once edited."""
    readme = checkout / "README.md"
    assert cli.run(["dev", "report", str(checkout), "--check"]) == 1
    assert cli.run(["dev", "report", str(checkout)]) == 0
    text = readme.read_text()
    assert "| `amxfp4` | 32 |" in text
    assert text.startswith("# Title\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert cli.run(["dev", "report", str(checkout), "--check"]) == 0
    readme.write_text(text.replace("4.25", "4.24"))
    assert cli.run(["dev", "report", str(checkout), "--check"]) == 1
    assert "README.md: out of date" in capsys.readouterr().out


def test_report_wrong_section(checkout, capsys):
    """An unknown table is an error that names the known ones, and nothing is written."""
    readme, page = checkout / "README.md", checkout / "docs" / "page.md"
    before = readme.read_text()
    page.write_text("<!-- generated: areas -->\n<!-- end -->\n")
    assert cli.run(["dev", "report", str(checkout)]) == 2
    error = capsys.readouterr().err
    assert (
        "generated section must be one of formats, weight-formats, units, sqnr, widths, flags, "
        "engine-registers, engine-codes, command-line, layers, not 'areas'" in error
    )
    assert readme.read_text() == before


def test_reference_of_the_command_line(checkout, capsys):
    """The page holds every command, and changes with any of them."""
    page = checkout / "docs" / "page.md"
    page.write_text("<!-- generated: command-line -->\n<!-- end -->\n")
    assert cli.run(["dev", "report", str(checkout)]) == 0
    text = page.read_text()
    for heading in ("verilog UNIT", "synth unit UNIT", "fpga build BOARD", "matmul", "dev lint"):
        assert f"### amxfp4 {heading}\n" in text
    assert (
        "| `--rows` | Rows of the array | 1 to 64 | 4 | `array`, `engine`, `engine_uart` |" in text
    )
    capsys.readouterr()
    assert cli.run(["dev", "reference"]) == 0
    assert capsys.readouterr().out in text
    page.write_text(text.replace("1 to 64", "1 to 32"))
    assert cli.run(["dev", "report", str(checkout), "--check"]) == 1
