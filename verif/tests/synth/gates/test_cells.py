"""Cells of Liberty files: their functions, their figures, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from amxfp4.synth.flow import equivalence
from amxfp4.synth.flow.equivalence import Verdict
from amxfp4.synth.flow.liberty_text import groups
from amxfp4.synth.gates import boolean, cell_models, cells
from amxfp4.util import pyosys

TINY = Path(__file__).parents[1] / "tiny.lib"


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("A", "A"),
        ("!A", "not A"),
        ("A'", "not A"),
        ("!A'", "A"),
        ("!(A B)", "not (A and B)"),
        ("(A * B)'", "not (A and B)"),
        ("A + B C", "A or (B and C)"),
        ("A B + C", "(A and B) or C"),
        ("A & B ^ C", "A and (B != C)"),
        ("A ^ B | C", "(A != B) or C"),
        ("A !B", "A and not B"),
        ("(A+B)(B+C)", "(A or B) and (B or C)"),
        ("A*!B&C|0", "A and not B and C"),
        ("1", "True"),
    ],
)
def test_function_is_read(text: str, python: str) -> None:
    """Operators bind as Liberty says, in values and in Verilog alike."""
    tree = boolean.parse(text)
    verilog = boolean.verilog(tree).replace("1'b", "")
    for a, b, c in itertools.product((0, 1), repeat=3):
        known = {"A": a, "B": b, "C": c, "0": 0, "1": 1}
        wanted = int(eval(python, {}, known))
        assert boolean.evaluate(tree, known) & 1 == wanted
        assert eval(verilog, {}, known) & 1 == wanted


@pytest.mark.parametrize("text", ["", "A +", "(A", "A)", "A $ B", "* A", "A B'!"])
def test_what_is_no_function_is_refused(text: str) -> None:
    """A function that is not understood is an error, not a guess."""
    with pytest.raises(ValueError, match="function must be"):
        boolean.parse(text)


def test_library_is_read_in_its_own_units(tmp_path: Path) -> None:
    """Femtofarads and picoseconds give what picofarads and nanoseconds give."""
    text = TINY.read_text()
    library = cells.read([TINY])
    nand = library.cells["NAND2"]
    assert library.voltage == 2.0
    assert nand.pins["B"].capacitance == pytest.approx(2e-12)
    # Tables may be [slew][load] or [load][slew].
    rise, fall = nand.pins["Y"].powers[0].rise, nand.pins["Y"].powers[0].fall
    assert rise is not None
    assert fall is not None
    assert rise.at(0.2e-9, [1e-12, 2e-12, 3e-12, 9e-12, 0]) == pytest.approx(
        [1e-12, 3e-12, 5e-12, 5e-12, 1e-12]
    )
    assert fall.at(0.2e-9, [1e-12, 3e-12]) == pytest.approx([3e-12, 7e-12])
    # What the ground rail sees is not counted again.
    assert len(library.cells["DFF"].pins["D"].powers) == 1
    assert len(library.cells["DFF"].leakage) == 2
    # Wires: 2 for one pin, 6 for three, 4 for each further one; half a picofarad each.
    wire = library.wire_load("short")
    assert wire.capacitance([0, 1, 2, 3, 5]) == pytest.approx([0, 1e-12, 2e-12, 3e-12, 7e-12])

    other = tmp_path / "other.lib"
    other.write_text(text.replace("(1, pf)", "(1, ff)").replace('"1ns"', '"10ps"'))
    scaled = cells.read([other]).cells["NAND2"]
    assert scaled.pins["B"].capacitance == pytest.approx(2e-15)
    again = scaled.pins["Y"].powers[0].rise
    assert again is not None
    assert again.at(0.002e-9, [2e-15]) == pytest.approx([3e-15])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("library (tiny) {", "library (tiny) { {", "one library group"),
        ("  nom_voltage : 2.0;", "", "nom_voltage"),
        ('leakage_power_unit : "1nW";', "", "must state its leakage_power_unit"),
        ('time_unit : "1ns"', 'time_unit : "1n"', "unit must be a number and a multiple of s"),
        ('"A ^ B"', '"A ^"', "function must be"),
        ('values ("2, 4", "2, 4")', 'values ("2, 4")', "values must be 2 x 2 numbers"),
    ],
)
def test_wrong_library_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A file from which energies would be wrong gives one line that names it."""
    path = tmp_path / "wrong.lib"
    text = TINY.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=said) as error:
        cells.read([path])
    assert "wrong.lib" in str(error.value)


def test_libraries_of_two_voltages_are_refused(tmp_path: Path) -> None:
    """Files of different corners make no library."""
    other = tmp_path / "other.lib"
    other.write_text(TINY.read_text().replace("nom_voltage : 2.0", "nom_voltage : 1.0"))
    with pytest.raises(ValueError, match="files of one voltage"):
        cells.read([TINY, other])


def test_models_are_what_yosys_reads(tmp_path: Path) -> None:
    """Every combinational cell of a library does in our model what it does in Yosys' own."""
    commands = [f'read_liberty "{TINY.resolve()}"', "delete DFF", "write_verilog yosys.v"]
    pyosys.run(commands, tmp_path)
    library = cells.read([TINY])
    ours = "".join(
        cell_models.standard_cell(cell) for cell in library.cells.values() if not cell.register
    )
    top = "module top(a, b, c, y);\n  input a;\n  input b;\n  input c;\n  output [4:0] y;\n"
    top += """
      INV inv(.A(a), .Y(y[0])); BUF buf_(.A(c), .Y(y[4])); NAND2 nand_(.A(a), .B(b), .Y(y[1]));
      XOR2 xor_(.A(a), .B(b), .Y(y[2])); AOI21 aoi(.A(a), .B(b), .C(c), .Y(y[3]));
endmodule
"""
    theirs = (tmp_path / "yosys.v").read_text()
    assert equivalence.prove(top + theirs, top + ours, "top") is Verdict.PROVEN
    wrong = ours.replace("(A ^ B)", "(A | B)")
    assert wrong != ours
    assert equivalence.prove(top + theirs, top + wrong, "top") is Verdict.REFUTED


def test_liberty_groups_nest() -> None:
    """Comments, continued lines and missing semicolons are read as Liberty files use them."""
    text = '/* x */ library (l) { // y\n a : 1; b : "2 3"\n c (1, \\\n 2); g (h) { d : e; } }'
    library = groups(text)
    assert library.names == ["l"]
    assert library.values == {"a": "1", "b": "2 3", "c": "1,   2"}
    assert library.of("g")[0].values == {"d": "e"}
