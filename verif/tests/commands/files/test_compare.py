"""`amxfp4 compare`: what differs is counted and located; expectations are loops over numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import cli, golden
from amxfp4.golden import Blocks, files

DATA = Path(__file__).parents[3] / "data" / "checkpoints"
HELD = sorted(p.relative_to(DATA).as_posix() for p in (*DATA.rglob("*.safetensors"),
                                                       *DATA.rglob("*.gguf")))  # fmt: skip
E2M1 = [Fraction(n, 2) for n in (0, 1, 2, 3, 4, 6, 8, 12)]
E2M1 += [-value for value in E2M1]
COLUMNS = ("A", "B", "elements", "codes", "zeros", "scales", "values", "dB", "signal")


def run(capfd, a, b):
    """Compare; return exit code, the table's rows by tensor, and all printed lines."""
    capfd.readouterr()
    code = cli.run(["compare", str(a), str(b)])
    printed = capfd.readouterr()
    assert not printed.err or code == 2
    lines = printed.out.splitlines()
    cells = [line.split() for line in lines]
    start = next((i for i, c in enumerate(cells) if c[:1] == ["tensor"]), len(cells))
    rows = {c[0]: dict(zip(COLUMNS, c[1:], strict=True)) for c in cells[start + 1 :]
            if len(c) == len(COLUMNS) + 1 and not c[0].endswith(":")}  # fmt: skip
    return code, rows, lines if code != 2 else printed.err.splitlines()


def mxfp4(codes, scales, **how):
    """Blocks of 16 with a row of the tensor for each row of codes."""
    codes = np.array(codes, np.uint8)
    shape = how.pop("shape", codes.shape)
    scales = np.array(scales, np.uint8)
    return Blocks(codes.reshape(*scales.shape, 16), scales, None, "mxfp4", shape, **how)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Codes [3, 32] and scales [3, 2] of a tensor, in a folder to write to."""
    monkeypatch.chdir(tmp_path)
    codes = [[(5 * i + 3 * j) % 16 for j in range(32)] for i in range(3)]
    return codes, [[120, 127], [126, 128], [130, 127]]


def save(path, **tensors):
    files.save_blocks(path, tensors)
    return path


@pytest.mark.parametrize("held", HELD)
def test_a_file_equals_itself(held, capfd):
    """In every layout, codes of NaN scales and tensors without values included."""
    code, rows, lines = run(capfd, DATA / held, DATA / held)
    assert code == 0
    with files.open_file(DATA / held) as file:
        codes = files.stored(file)
        parts = {part for t in codes.values() for part in t.parts}
        names = codes.keys() | (file.entries.keys() - parts)
    assert rows.keys() == names
    assert lines[-1] == f"values equal: {len(names)} of {len(names)} tensors; in one file alone: 0"
    assert all(row[c] in ("0", "-") for row in rows.values() for c in COLUMNS[3:7])
    for name, t in codes.items():
        assert (rows[name]["codes"] == "0") == (t.row is not None)


@pytest.mark.parametrize("held", [h for h in HELD if "16" not in h])
def test_a_file_equals_what_is_decoded_from_it(held, tmp_path, capfd):
    """The quantized side is what the ratio is of, whichever it is."""
    assert cli.run(["dequantize", str(DATA / held), str(tmp_path / "y.safetensors")]) == 0
    for swapped in (False, True):
        pair = [DATA / held, tmp_path / "y.safetensors"]
        code, rows, _ = run(capfd, *(reversed(pair) if swapped else pair))
        assert code == 0
        with files.open_file(DATA / held) as file:
            for name in files.stored(file):
                assert rows[name]["signal"] == ("A" if swapped else "B")
                assert rows[name]["values"] == "0"


def test_layouts_of_the_same_blocks(tmp_path, capfd, rng):
    """Codes, scales and values are equal whoever's layout holds them."""
    b = golden.quantize(rng.standard_normal((4, 96)).astype(np.float32), "mxfp4")
    held = {"blocks": "a.safetensors", "compressed-tensors": "b.safetensors", "gguf": "c.gguf"}
    for layout, name in held.items():
        files.save_blocks(tmp_path / name, {"w": b}, layout=layout)
    for x, y in product(held.values(), repeat=2):
        code, rows, _ = run(capfd, tmp_path / x, tmp_path / y)
        assert (code, rows["w"]["codes"], rows["w"]["scales"]) == (0, "0", "0")


def test_one_element(two, capfd):
    codes, scales = two
    save("a.safetensors", w=mxfp4(codes, scales))
    before = codes[1][18]
    codes[1][18] = 2
    save("b.safetensors", w=mxfp4(codes, scales))
    code, rows, lines = run(capfd, "a.safetensors", "b.safetensors")
    signal = noise = Fraction(0)
    for i, j in product(range(3), range(32)):
        original = before if (i, j) == (1, 18) else codes[i][j]
        s = Fraction(2) ** (scales[i][j // 16] - 127)
        signal += (E2M1[original] * s) ** 2
        noise += ((E2M1[original] - E2M1[codes[i][j]]) * s) ** 2
    ratio = f"{10 * math.log10(signal / noise):.2f}"
    assert code == 1
    assert rows["w"] == dict(
        zip(COLUMNS, ["mxfp4", "mxfp4", "96", "1", "0", "0", "1", ratio, "A"], strict=True)
    )
    old = float(E2M1[before])
    assert f"w: codes that differ: 1; first element [1, 18]: {before} ({old:g}) and 2 (1)" in lines
    assert f"w: values that differ: 1; first [1, 18]: {old * 2!r} and 2.0" in lines
    assert lines[-1] == "values equal: 0 of 1 tensors; in one file alone: 0"


def test_many_elements_and_scales(two, capfd, rng):
    """Counts and first places are those of plain loops, along another axis, too."""
    for axis in (0, 1):
        shape = (32, 6) if axis == 0 else (6, 32)
        made = []
        codes = rng.integers(0, 16, (6, 2, 16), np.uint8)
        pos, neg = rng.integers(0x38, 0x3B, (2, 6, 2), np.uint8)
        for changed in (0, 30):
            at = tuple(rng.integers((1, 0, 5), (6, 2, 16), (changed, 3)).T)
            codes, neg = codes.copy(), neg.copy()
            codes[at] ^= np.where(rng.random(changed) < 0.5, 8, 1).astype(np.uint8)
            neg[at[:2]] ^= 1
            made.append(Blocks(codes, pos, neg, "amxfp4", shape, axis))
        a, b = made
        save("a.safetensors", w=a)
        save("b.safetensors", w=b)
        code, rows, lines = run(capfd, "a.safetensors", "b.safetensors")
        x, y = ([[t.codes[r, c // 16, c % 16] for c in range(32)] for r in range(6)] for t in made)
        places = [(i, j) for i, j in product(*map(range, shape))]
        rows_of = [(j, i) if axis == 0 else (i, j) for i, j in places]
        unequal = [p for p, (r, c) in zip(places, rows_of, strict=True) if x[r][c] != y[r][c]]
        zeros = sum(x[r][c] != y[r][c] and {x[r][c], y[r][c]} == {0, 8} for r, c in rows_of)
        assert (code, rows["w"]["codes"], rows["w"]["zeros"]) == (1, str(len(unequal)), str(zeros))
        assert any(f"first element {list(unequal[0])}:" in line for line in lines)
        sides = [(r, k, n) for r, k, n in product(range(6), range(2), range(2))
                 if a.scales[n][r, k] != b.scales[n][r, k]]  # fmt: skip
        r, k, n = sides[0]
        assert rows["w"]["scales"] == str(len(sides))
        where = f"first block {[r, k]}, {('positive', 'negative')[n]}: "
        assert any(where + f"{a.scales[n][r, k]:#04x} (" in line for line in lines)


def test_zeros_of_either_sign_are_equal_values(two, capfd):
    codes, scales = two
    places = [(i, j) for i, j in product(range(3), range(32)) if codes[i][j] == 0]
    save("a.safetensors", w=mxfp4(codes, scales))
    for i, j in places:
        codes[i][j] = 8
    save("b.safetensors", w=mxfp4(codes, scales))
    code, rows, lines = run(capfd, "a.safetensors", "b.safetensors")
    n = str(len(places))
    assert (code, rows["w"]["codes"], rows["w"]["zeros"], rows["w"]["values"]) == (0, n, n, "0")
    assert (
        f"w: codes that differ: {n} ({n} only in the sign of a zero); first element "
        f"{list(places[0])}: 0 (0) and 8 (-0)" in lines
    )


def test_zeros_of_either_sign_under_scales_of_their_own(two, capfd):
    """A NaN scale of the negative side makes code 8 a NaN, and not code 0."""
    pos, nan = np.array([[0x3C]], np.uint8), np.array([[0x7F]], np.uint8)
    for name, code in (("a", 0), ("b", 8)):
        codes = np.full((1, 1, 16), code, np.uint8)
        save(f"{name}.safetensors", w=Blocks(codes, pos, nan, "amxfp4", (1, 16)))
    code, rows, lines = run(capfd, "a.safetensors", "b.safetensors")
    assert (code, rows["w"]["zeros"], rows["w"]["values"]) == (1, "16", "16")
    assert "w: values that differ: 16; first [0, 0]: 0.0 and nan" in lines


def test_scales_that_are_nan_or_zero(two, capfd):
    """Any NaN equals any; below a zero scale, and of a scale's ignored sign, values are equal."""
    codes = np.arange(16, dtype=np.uint8).reshape(1, 1, 16)
    for a, b, values in ((0x7F, 0x7E, 0), (0x7F, 0x3C, 16), (0x80, 0x00, 0), (0x00, 0x3C, 14)):
        for name, scale in (("a", a), ("b", b)):
            one = np.array([[scale]], np.uint8)
            save(f"{name}.safetensors", w=Blocks(codes, one, one, "amxfp4", (1, 16)))
        code, rows, _ = run(capfd, "a.safetensors", "b.safetensors")
        assert rows["w"]["scales"] == "2"
        assert (code, rows["w"]["values"]) == (int(values > 0), str(values))


def test_block_sizes_formats_axes_and_factors(two, capfd, rng):
    """Scales that do not belong to the same elements are not compared; codes and values are."""
    x = rng.standard_normal((32, 64)).astype(np.float32)
    made = {
        "a": golden.quantize(x, "mxfp4"),
        "b": golden.quantize(x, "mxfp4", block=16),
        "c": golden.quantize(x, "nvfp4"),
        "d": golden.quantize(x, "mxfp4", axis=0),
    }
    for name, b in made.items():
        save(f"{name}.safetensors", w=b)
    y = {name: golden.dequantize(b) for name, b in made.items()}
    for other in "bcd":
        code, rows, _ = run(capfd, "a.safetensors", f"{other}.safetensors")
        unequal = sum(p != q for p, q in zip(y["a"].flat, y[other].flat, strict=True))
        assert (code, rows["w"]["scales"], rows["w"]["values"]) == (1, "-", f"{unequal:,}")
    codes, scales = two
    save("e.safetensors", w=mxfp4(codes, scales, tensor_scale=2.0))
    save("f.safetensors", w=mxfp4(codes, scales, tensor_scale=0.5, divides=True))
    save("g.safetensors", w=mxfp4(codes, scales))
    code, rows, lines = run(capfd, "e.safetensors", "g.safetensors")
    assert (code, rows["w"]["codes"], rows["w"]["scales"]) == (1, "0", "0")
    assert rows["w"]["values"] == str(sum(E2M1[q] != 0 for row in codes for q in row))
    assert "w: factor of the tensor: x 2.0 and x 1.0" in lines
    code, rows, lines = run(capfd, "e.safetensors", "f.safetensors")
    assert (code, rows["w"]["values"]) == (0, "0")


def test_padding_is_no_element(two, capfd):
    codes = np.zeros((1, 2, 16), np.uint8)
    scales = np.full((1, 2), 127, np.uint8)
    save("a.safetensors", w=Blocks(codes, scales, None, "mxfp4", (1, 20)))
    codes[0, 1, 4:] = 7
    save("b.safetensors", w=Blocks(codes, scales, None, "mxfp4", (1, 20)))
    code, rows, _ = run(capfd, "a.safetensors", "b.safetensors")
    assert (code, rows["w"]["codes"], rows["w"]["elements"]) == (0, "0", "20")


def test_words(two, capfd):
    """Plain words of any type by value; other types byte by byte."""
    x = np.array([[1, -2, 0.0, math.nan], [0.5, math.inf, 3, 4]], np.float32)
    np.savez("a.npz", x=x, d=x.astype(np.float64), i=np.arange(4), s=np.array(["a", "b"]))
    y = x.copy()
    y[0, 2] = -0.0
    np.savez("b.npz", s=np.array(["a", "b"]), i=np.arange(4), d=y,
             x=y.astype(ml_dtypes.bfloat16))  # fmt: skip
    code, rows, _ = run(capfd, "a.npz", "b.npz")
    assert code == 0
    assert list(rows) == ["x", "d", "i", "s"]
    assert [rows[n]["A"] for n in rows][:3] == ["fp32", "fp64", "I64"]
    np.savez("b.npz", x=y, d=y, i=np.array([0, 1, 0x0109, 3]), s=np.array([1.0]))
    code, rows, lines = run(capfd, "a.npz", "b.npz")
    assert (code, rows["i"]["values"], rows["i"]["dB"]) == (1, "1", "-")
    assert "i: elements that differ: 1; first [2]: bytes 2 and 9" in lines
    assert "s: shape 2 in A, 1 in B" in lines
    assert lines[-1] == "values equal: 2 of 4 tensors; in one file alone: 0"
    np.savez("b.npz", x=np.arange(8).reshape(2, 4))
    code, rows, lines = run(capfd, "a.npz", "b.npz:x")
    assert (code, rows) == (1, {})
    assert "x: fp32 in A cannot be compared with I64 in B" in lines


def test_shapes_and_missing_names(two, capfd):
    codes, scales = two
    save("a.safetensors", w=mxfp4(codes, scales), v=mxfp4(codes, scales), u=mxfp4(codes, scales))
    save("b.safetensors", u=mxfp4(codes, scales), t=mxfp4(codes, scales),
         w=mxfp4(codes[:1], scales[:1]))  # fmt: skip
    code, rows, lines = run(capfd, "a.safetensors", "b.safetensors")
    assert (code, list(rows)) == (1, ["u"])
    assert lines[-4:] == [
        "w: shape 3x32 in A, 1x32 in B",
        "v: in A alone (mxfp4 3x32)",
        "t: in B alone (mxfp4 3x32)",
        "values equal: 1 of 2 tensors; in one file alone: 2",
    ]
    save("c.safetensors", u=mxfp4(codes, scales), w=mxfp4(codes, scales))
    save("d.safetensors", w=mxfp4(codes, scales), u=mxfp4(codes, scales))
    assert run(capfd, "c.safetensors", "d.safetensors")[0] == 0
    assert run(capfd, "a.safetensors", "c.safetensors")[0] == 1
    assert run(capfd, "c.safetensors", "a.safetensors")[0] == 1


def test_one_pair(two, capfd):
    codes, scales = two
    save("a.safetensors", w=mxfp4(codes, scales), v=mxfp4(codes[:1], scales[:1]))
    save("b.safetensors", x=mxfp4(codes, scales), v=mxfp4(codes, scales))
    code, _, lines = run(capfd, "a.safetensors:w", "b.safetensors:x")
    assert (code, lines[-1]) == (0, "values equal: 1 of 1 tensors; in one file alone: 0")
    assert any(line.startswith("w and x ") for line in lines)
    assert run(capfd, "a.safetensors:v", "b.safetensors")[0] == 1  # by the name of the other
    assert run(capfd, "a.safetensors:v", "a.safetensors")[0] == 0
    np.save("w.npy", golden.dequantize(mxfp4(codes, scales)))
    np.save("other.npy", np.load("w.npy"))
    for a, b in (("w.npy", "other.npy"), ("w.npy", "a.safetensors"), ("a.safetensors:w", "w.npy")):
        assert run(capfd, a, b)[0] == 0
    code, _, (line,) = run(capfd, "other.npy", "a.safetensors")
    assert code == 2
    assert "B must name one of v, w as FILE:NAME, not 'a.safetensors'" in line


def test_bad_input(two, capfd):
    codes, scales = two
    save("a.safetensors", w=mxfp4(codes, scales))
    Path("empty.safetensors").touch()
    np.savez("none.npz")
    cut = Path("a.safetensors").read_bytes()[:-1]
    Path("cut.safetensors").write_bytes(cut)
    for name, array in (("whole", np.ones((300, 1000), np.float32)), ("ids", np.arange(300_000))):
        np.savez(f"{name}.npz", w=array)
        damaged = bytearray(Path(f"{name}.npz").read_bytes())
        damaged[-1000] ^= 1  # its checksum tells, once it is read
        Path(f"{name}-damaged.npz").write_bytes(damaged)
    for bad in ("empty.safetensors", "none.npz", "cut.safetensors", "no.npz", "a.safetensors:v",
                "a.txt", ".", "whole-damaged.npz", "ids-damaged.npz"):  # fmt: skip
        good = bad.replace("-damaged", "") if "damaged" in bad else "a.safetensors"
        for a, b in ((bad, good), (good, bad)):
            code, _, (line,) = run(capfd, a, b)
            assert code == 2
            assert line.startswith(f"amxfp4: error: {'A' if a == bad else 'B'} must ")
            assert bad.partition(":")[0] in line
