"""Whole checkpoints through the command: what comes out, what is said, what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.golden import files
from amxfp4.golden.files import Entry, Writer
from amxfp4.verif.tests.commands.files.checkpoints import INDEX, PLACES, SHARDS, TENSORS, whole

WEIGHTS = [name for name in PLACES if "norm" not in name]


def lines(capfd, code, *typed):
    """Run a command that ends with `code`; return what it prints, or its one line of error."""
    capfd.readouterr()
    assert cli.run([str(word) for word in typed]) == code
    printed = capfd.readouterr()
    if code:
        assert printed.out == ""
        assert printed.err.startswith("amxfp4: error: ")
        assert printed.err.count("\n") == 1
        return printed.err
    return printed.out.splitlines()


def snapshot(folder):
    """Names, sizes and times of all below a folder."""
    stats = {path: path.stat() for path in Path(folder).rglob("*")}
    return {path: (s.st_size, s.st_mtime_ns) for path, s in stats.items()}


def test_a_folder_becomes_a_folder(model, capfd):
    """Same shards, a new index, blocks as golden has them, everything else as it was."""
    before = snapshot(model)
    printed = lines(capfd, 0, "quantize", model, "q", "--format", "nvfp4")
    assert snapshot(model) == before
    held = whole(Path("q"))
    assert sorted(held) == sorted([*SHARDS, INDEX, "config.json", "tokenizer.model"])
    for name in ("config.json", "tokenizer.model"):
        assert held[name] == (model / name).read_bytes()
        assert f"travels along: {name!r}" in printed
    with files.open_file(Path("q")) as file:
        for name in WEIGHTS:
            expected = golden.quantize(TENSORS[name], "nvfp4", tensor_scale="auto")
            stored = files.stored(file)[name].blocks()
            assert np.array_equal(golden.pack(stored), golden.pack(expected))
        for name in PLACES.keys() - set(WEIGHTS):
            assert np.array_equal(file.raw(name), TENSORS[name])
        sizes = sum(entry.bytes for entry in file.entries.values())
    index = json.loads(held[INDEX])
    assert index["metadata"] == {"total_size": sizes, "made": "by hand"}
    made = [".codes", ".scales", ".tensor_scale"]
    parts = {name: made if name in WEIGHTS else [""] for name in PLACES}
    assert index["weight_map"] == {
        name + part: SHARDS[PLACES[name]] for name in PLACES for part in parts[name]
    }
    for shard in SHARDS:
        assert set(safetensors.numpy.load(held[shard])) == {
            name for name, place in index["weight_map"].items() if place == shard
        }
    assert printed[0] == "q: format=nvfp4 block=16 axis=-1 ties=RNA"
    assert [line.split()[0] for line in printed[2:6]] == WEIGHTS
    assert printed[6] == (
        "kept as it is: layers.0.norm (F32 96) and 1 more: fewer than 2 axes (--min-axes)"
    )
    assert printed[7] == f"tensors: 4 quantized, 2 kept; bytes: 37,632 to {sizes:,}"


def test_an_index_is_its_shards(model, capfd):
    """Nothing else of its folder travels along; the shards are those of the whole folder."""
    printed = lines(capfd, 0, "quantize", model / INDEX, "a")
    assert "travels along" not in "".join(printed)
    lines(capfd, 0, "quantize", model, "b")
    a, b = whole(Path("a")), whole(Path("b"))
    assert a == {name: b[name] for name in [*SHARDS, INDEX]}


def test_a_folder_of_one_file(tmp_path, monkeypatch, capfd):
    """Without an index there is none afterwards; shards without tensors, or weights, stay."""
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    x = TENSORS["embed.weight"]
    safetensors.numpy.save_file({"w": x}, "model/model.safetensors")
    safetensors.numpy.save_file({"n": x[0]}, "model/norms.safetensors")
    with Writer("model/empty.safetensors", {}, {"a": "b"}):
        pass
    Path("existing").mkdir()  # an empty folder is as good as none
    lines(capfd, 0, "quantize", "model", "existing")
    held = whole(Path("existing"))
    assert sorted(held) == ["empty.safetensors", "model.safetensors", "norms.safetensors"]
    lines(capfd, 0, "quantize", "model/model.safetensors", "q.safetensors")
    assert held["model.safetensors"] == Path("q.safetensors").read_bytes()
    assert held["empty.safetensors"] == Path("model/empty.safetensors").read_bytes()


def test_links_and_left_out(model, capfd):
    """A snapshot of links to files elsewhere gives real files; what is no part of it is named."""
    Path("snapshot").mkdir()
    for path in model.iterdir():
        (Path("snapshot") / path.name).symlink_to(Path("..") / "model" / path.name)
    Path("snapshot/original").mkdir()
    Path("snapshot/consolidated.safetensors").write_text("large")
    Path("snapshot/odd \x1b[31m\nname").write_text("odd")
    os.close(os.open(b"snapshot/\xff", os.O_CREAT))
    printed = lines(capfd, 0, "quantize", "snapshot", "q")
    assert f"left out: 'consolidated.safetensors': {INDEX} does not name it" in printed
    assert "left out: 'original': a folder" in printed
    assert r"travels along: 'odd \x1b[31m\nname'" in printed
    assert r"travels along: '\udcff'" in printed
    lines(capfd, 0, "quantize", model, "plain")
    linked, plain = whole(Path("q")), whole(Path("plain"))
    assert not any(path.is_symlink() for path in Path("q").iterdir())
    assert linked.pop("odd \x1b[31m\nname") == b"odd"
    assert linked.pop("\udcff") == b""
    assert linked == plain


@pytest.mark.parametrize("many", [True, False], ids=["checkpoint", "file"])
def test_patterns_choose(model, capfd, many):
    """Only names of --include, without those of --exclude; both may be repeated."""
    source, target = (model, "q") if many else (model / SHARDS[0], "q.safetensors")
    typed = ["--include", "layers.*", "--include", "embed*", "--exclude", "*.0.*"]
    printed = lines(capfd, 0, "quantize", source, target, *typed)
    chosen = ["embed.weight", *(["layers.1.weight"] if many else [])]
    with files.open_file(target) as file:
        assert list(files.stored(file)) == chosen
        assert np.array_equal(file.raw("layers.0.weight"), TENSORS["layers.0.weight"])
    assert "kept as it is: layers.0.weight (F32 24x96): --exclude *.0.*" in printed
    if many:
        assert "kept as it is: lm_head.weight (F32 24x96): not of --include" in printed


def test_names_are_case_sensitive_and_brackets_patterns(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    x = TENSORS["embed.weight"]
    odd = {"w[0]": x, "W": x, "w": x, "": x, "w \n": x, "\u00fc.\U0001f600": x}
    safetensors.numpy.save_file(odd, "odd.safetensors")
    lines(capfd, 0, "quantize", "odd.safetensors", "q.safetensors", "--include", "w[[]0]",
          "--include", "W", "--include", "*\U0001f600")  # fmt: skip
    with files.open_file("q.safetensors") as file:
        assert sorted(files.stored(file)) == ["W", "w[0]", "\u00fc.\U0001f600"]
    Path("odd").mkdir()
    Path("odd.safetensors").rename("odd/odd.safetensors")
    lines(capfd, 0, "quantize", "odd", "q")
    with files.open_file("q") as file:
        assert sorted(files.stored(file)) == sorted(odd)


@pytest.mark.parametrize("many", [True, False], ids=["checkpoint", "file"])
def test_dry_run_reads_headers_and_writes_nothing(model, capfd, many, monkeypatch):
    """Sizes before and after, reasons and totals; what is written then has those sizes."""
    source, target = (model, Path("q")) if many else (model / SHARDS[1], Path("q.safetensors"))
    before = snapshot(".")
    with monkeypatch.context() as patch:
        patch.setattr(files.Checkpoint, "raw", None)
        patch.setattr("amxfp4.golden.files.safetensors_file.SafetensorsFile.raw", None)
        printed = lines(capfd, 0, "quantize", source, target, "--dry-run")
    assert snapshot(".") == before
    options = "format=amxfp4 block=32 axis=-1 ties=RNA"
    assert printed[0] == f"{target}: would be {options}; nothing is written"
    rows = {line.split()[0]: line.split()[1:] for line in printed[2:]}
    assert rows["layers.1.weight"] == ["24x96", "fp32", "9,216", f"{24 * 3 * 18:,}"]
    assert rows["layers.0.norm"] == ["96", "fp32", "384", "384", *["fewer", "than", "2", "axes"],
                                     "(--min-axes)"]  # fmt: skip
    assert not many or list(rows)[: len(PLACES)] == list(PLACES)
    lines(capfd, 0, "quantize", source, target)
    with files.open_file(target) as file:
        size = sum(entry.bytes for entry in file.entries.values())
    assert rows["all"][3] == f"{size:,}"


def test_info_and_dequantize_of_checkpoints(model, capfd):
    """The tensors of all shards, with totals; and all of them back in one file."""
    printed = lines(capfd, 0, "info", model)
    assert [line.split()[0] for line in printed[1:-1]] == list(PLACES)
    assert printed[-1] == "shards: 3; tensors: 0 quantized, 6 others; bytes: 37,632"
    lines(capfd, 0, "quantize", model, "q")
    for path in ("q", f"q/{INDEX}"):
        printed = lines(capfd, 0, "info", path)
        assert [line.split()[0] for line in printed[1:5]] == WEIGHTS
        size = sum(24 * 3 * 18 for _ in WEIGHTS) + 2 * 384
        assert printed[-1] == f"shards: 3; tensors: 4 quantized, 2 others; bytes: {size:,}"
    lines(capfd, 0, "dequantize", "q", "y.safetensors")
    after = safetensors.numpy.load_file("y.safetensors")
    for name, x in TENSORS.items():
        expected = golden.dequantize(golden.quantize(x)) if name in WEIGHTS else x
        assert np.array_equal(after[name], expected)
    lines(capfd, 0, "matmul", "model:embed.weight", "model:lm_head.weight", "--transpose-b")


REFUSED = {
    "into itself": ("model model", "OUT must be a folder outside that of IN, not 'model'"),
    "inside": ("model model/q", "OUT must be a folder outside that of IN, not 'model/q'"),
    "inside by a link": ("model link/q", "OUT must be a folder outside that of IN"),
    "index inside": (f"model/{INDEX} model/q", "OUT must be a folder outside that of IN"),
    "file": ("model file", "OUT must be a folder, as IN is a checkpoint, not 'file'"),
    "file name": ("model q.safetensors", "OUT must be a folder, as IN is a checkpoint, not 'q.s"),
    "not empty": ("model full", "OUT must be a new or empty folder, or one where quantize was"),
    "no parent": ("model none/q", "OUT must be a folder in an existing folder, not 'none/q'"),
    "no model": (
        "none q",
        "IN must be a .npy, .npz, .safetensors or .gguf file of tensors, or a ch",
    ),
    "no index": ("none.json q", "IN must be a .npy, .npz, .safetensors or .gguf file of"),
    "empty model": ("empty q", "not 'empty' (it holds no .safetensors files)"),
    "include": ("model q --include layer", "--include must match a tensor of IN, such as 'embed"),
    "exclude": ("model q --exclude lm_haed*", "weight', not 'lm_haed*'"),
    "of a file": (f"model/{SHARDS[0]} q.safetensors --exclude x", "--exclude must match a tensor"),
    "nothing": ("model q --include *norm", "IN must hold a tensor to quantize, not only ones"),
    "dry run": ("model full --dry-run", "OUT must be a new or empty folder"),
    "again": ("model full --again", "OUT must be a new or empty folder"),
    "unwritable": ("model /proc/q", "OUT must be a folder that can be written, not '/proc/q'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_any_work(model, capfd, case):
    typed, said = REFUSED[case]
    Path("link").symlink_to("model")
    Path("file").touch()
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    before = snapshot(".")
    assert said in lines(capfd, 2, "quantize", *typed.split())
    assert snapshot(".") == before


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"weight_map": {"x": "../x.safetensors"}}, "of the same folder, not '../x.safetensors'"),
        ({"weight_map": {"x": SHARDS[0]}}, f"shard '{SHARDS[0]}' lacks 'x'"),
        ({"weight_map": {"embed.weight": SHARDS[0]}}, "holds 'layers.0.weight', which"),
        ([], "is not an object"),
    ],
)
@pytest.mark.parametrize("command", ["quantize", "info", "dequantize"])
def test_bad_indexes_are_one_line(model, capfd, command, index, said):
    """All that `test_checkpoint` has of them are ValueErrors; here is what the user sees."""
    (model / INDEX).write_text(json.dumps(index))
    out = {"quantize": ["q"], "dequantize": ["q.safetensors"], "info": []}[command]
    before = snapshot(".")
    assert said in lines(capfd, 2, command, model, *out)
    assert snapshot(".") == before


def test_a_deeply_nested_index_is_refused_early(model, capfd, monkeypatch):
    """What JSON can read is not always what it can write."""

    def deep(text, what):
        fields = json.loads(text)
        for _ in range(5000):
            fields["metadata"] = {"deeper": fields["metadata"]}
        return fields

    monkeypatch.setattr("amxfp4.golden.files.checkpoint.parsed", deep)
    assert "nested too deeply" in lines(capfd, 2, "quantize", model, "q")
    assert not Path("q").exists()


def test_names_that_meet_in_two_shards(model, capfd):
    """A tensor's blocks have the name of a tensor of another shard."""
    x = TENSORS["embed.weight"]
    safetensors.numpy.save_file({"embed.weight.codes": x}, model / "model-4.safetensors")
    index = json.loads((model / INDEX).read_text())
    index["weight_map"]["embed.weight.codes"] = "model-4.safetensors"
    (model / INDEX).write_text(json.dumps(index))
    line = lines(capfd, 2, "quantize", model, "q", "--exclude", "*.codes")
    assert "IN must not hold 'embed.weight.codes' beside a tensor of that name" in line
    assert not Path("q").exists()


MEASURE = """
import resource, sys
from amxfp4 import cli
assert cli.run(["quantize", *sys.argv[1:]]) == 0
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_checkpoint(tmp_path):
    """Twelve shards take what two take."""
    x = np.zeros((1 << 10, 1 << 11), np.float32)
    peaks = []
    for count in (2, 12):
        folder = tmp_path / f"model{count}"
        folder.mkdir()
        for number in range(count):
            with Writer(
                folder / f"{number}.safetensors",
                {f"w{number}": Entry("F32", x.shape, x.nbytes)},
                {},
            ) as writer:
                writer.write(x)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, folder, tmp_path / f"q{count}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    assert peaks[1] < peaks[0] + 3 * x.nbytes
