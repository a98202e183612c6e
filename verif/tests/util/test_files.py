import multiprocessing
import os
import stat

import pytest

from amxfp4.util import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_half_way(path):
    with files.replacing(path) as fresh:
        assert (fresh.parent, fresh.suffix) == (path.parent, path.suffix)
        fresh.write_text("half")
        raise KeyError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a file.json"
    files.write(path, "old")
    with pytest.raises(KeyError):
        fail_half_way(path)
    assert path.read_text() == "old"
    assert names(path.parent) == [path.name]


def test_umask_decides_the_mode(tmp_path):
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "file", b"1")
        files.once(tmp_path / "folder", lambda fresh: fresh.mkdir())
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder")]
    assert modes == [0o640, 0o750]


def test_a_folder_takes_the_place_of_another(tmp_path):
    folder = tmp_path / "folder"
    for text in ("old", "new"):
        with files.replacing(folder) as fresh:
            fresh.mkdir()
            (fresh / text).write_text(text)
    assert names(folder) == ["new"]
    assert names(tmp_path) == ["folder"]


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / ".01234567.folder").mkdir()
    (tmp_path / ".01234567.folder.old").mkdir()
    (tmp_path / ".01234567.other").mkdir()
    files.once(tmp_path / "folder", lambda fresh: fresh.mkdir())
    assert names(tmp_path) == [".01234567.other", "folder", "folder.lock"]


def test_none_of_several_files_is_replaced_before_all_are_written(tmp_path):
    files.write_all({tmp_path / "a": "old", tmp_path / "b": "old"})
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        files.write_all({tmp_path / "a": "new", tmp_path / "folder": "new", tmp_path / "b": "new"})
    assert [(tmp_path / name).read_text() for name in "ab"] == ["old", "old"]
    assert names(tmp_path) == ["a", "b", "folder"]


def _count(folder):
    def make(fresh):
        with (folder / "made").open("a") as made:
            made.write("x")
        fresh.write_text("whole")

    return files.once(folder / "target", make)


def test_what_several_processes_want_is_made_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        made = pool.map(_count, [tmp_path] * 6)
    assert sum(made) == 1
    assert (tmp_path / "made").read_text() == "x"
    assert (tmp_path / "target").read_text() == "whole"


def test_digests_tell_where_parts_end():
    assert len(files.digest("ab", b"c")) == 16
    assert files.digest("ab", "c") == files.digest(b"ab", b"c")
    assert files.digest("ab", "c") != files.digest("a", "bc")
