import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from amxfp4.util import process, pyosys
from amxfp4.util.errors import ToolError

FAMILY = """
import subprocess, sys, time, pathlib
child = subprocess.Popen(["sleep", "60"])
pathlib.Path("child").write_text(str(child.pid))
time.sleep(60)
"""


def family_is_gone(folder: Path) -> bool:
    pid = int((folder / "child").read_text())
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_output_of_both_streams_is_returned_and_added_to_the_log(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    command = ["sh", "-c", "echo out; echo err >&2"]
    assert process.run(command, log=log) == process.run(command) == "out\nerr\n"
    assert log.read_text() == "before\nout\nerr\n"


def test_errors_have_the_command_and_the_first_lines():
    with pytest.raises(ToolError) as caught:
        process.run(["sh", "-c", "for n in $(seq 100); do echo line $n; done; exit 3"])
    shown = str(caught.value).splitlines()
    assert shown[0] == "sh failed (exit code 3)"
    assert shown[1].startswith("sh -c 'for n in")
    assert shown[2:-1] == [f"line {n}" for n in range(1, 31)]
    assert shown[-1] == "... 70 lines more"
    assert "line 100" in caught.value.log


def test_missing_tools_are_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for call in (
        lambda: process.run(["no-such-tool"]),
        lambda: process.require("no-such-tool", "apt install it"),
    ):
        with pytest.raises(ToolError, match=r"^no-such-tool not found: .*$"):
            call()


def test_time_limits_end_what_was_started(tmp_path):
    with pytest.raises(ToolError, match="did not end within 1 s"):
        process.run([sys.executable, "-c", FAMILY], cwd=tmp_path, timeout=1)
    assert family_is_gone(tmp_path)


def test_interrupts_end_what_was_started(tmp_path):
    def interrupt():
        if (tmp_path / "child").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run([sys.executable, "-c", FAMILY], cwd=tmp_path, watch=interrupt)
    assert family_is_gone(tmp_path)


def test_what_other_threads_run_can_be_ended(tmp_path):
    with ThreadPoolExecutor() as pool:
        running = pool.submit(process.run, [sys.executable, "-c", FAMILY], cwd=tmp_path)
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            time.sleep(0.01)
        process.end_all()
        with pytest.raises(ToolError, match="failed"):
            running.result(timeout=10)
    assert family_is_gone(tmp_path)
    assert not process._running


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel to end programs with us")
def test_killed_process_ends_its_program(tmp_path):
    code = (
        "from pathlib import Path\n"
        "from amxfp4.util import process\n"
        "process.run(process.python('import os, time, pathlib\\n'\n"
        "    'pathlib.Path(\"child\").write_text(str(os.getpid()))\\ntime.sleep(60)'))\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert family_is_gone(tmp_path)


def test_yosys_runs_commands_on_one_design(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "in put.v").write_text("module top(input a, output b); assign b = a; endmodule")
    text = pyosys.run(['read_verilog "in put.v"', 'write_verilog "out put.v"'], folder)
    assert "Executing Verilog backend" in text
    assert "module top" in (folder / "out put.v").read_text()


def test_an_early_end_of_yosys_is_an_error(tmp_path, monkeypatch):
    """Even with exit code 0, as if one of its commands had ended the process."""
    monkeypatch.setattr(pyosys, "_YOSYS", pyosys._YOSYS.replace("print(", "sys.exit(0) # "))
    with pytest.raises(ToolError, match=r"^Yosys stopped before the last command$"):
        pyosys.run(["log -stdout something"], tmp_path)


def test_errors_of_yosys_are_its_own_line(tmp_path):
    with pytest.raises(ToolError, match=r"^Yosys stopped: ERROR: File `no\.v' not found"):
        pyosys.run(["read_verilog no.v", "write_verilog out.v"], tmp_path)
    assert not (tmp_path / "out.v").exists()
