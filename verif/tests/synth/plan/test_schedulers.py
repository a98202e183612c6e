"""Schedulers of others: one that works, and whatever else may be at the address."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time

import distributed
import pytest

from amxfp4 import cli
from amxfp4.synth.flow.job import sources
from amxfp4.synth.plan import workers
from amxfp4.verif.tests.synth.plan.test_sweep import PLAN, rows, write

pytestmark = pytest.mark.usefixtures("no_library")


@contextlib.contextmanager
def closed():
    """Find a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield port


@contextlib.contextmanager
def silent():
    """Accept connections, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def talking(first):
    """Say `first` to whoever connects, as a server of another kind."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(first)
            while self.request.recv(1 << 12):
                pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def worker():
    """Start a server of Dask that is no scheduler."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50,
        processes=False, protocol="tcp://",
    ) as cluster:  # fmt: skip
        yield next(iter(cluster.workers.values())).port


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (closed, "Timed out trying to connect to tcp://127.0.0.1:"),
        (silent, "no answer within 2 s"),
        (lambda: talking(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "what answers is not Dask"),
        (lambda: talking(bytes(64)), "what answers is not Dask"),
        # Looks like a message, and Dask logs that it is none.
        (lambda: talking(b"\x10" + bytes(200)), "what answers is not Dask"),
        (worker, "a Worker answers"),
    ],
    ids=["closed", "silent", "http", "zeros", "message", "worker"],
)
def test_what_is_no_scheduler(tmp_path, capfd, caplog, monkeypatch, server, reason):
    """One line, and at once: not when whoever is there says something."""
    assert workers.PATIENCE < 5  # the command itself takes some seconds on a busy machine
    monkeypatch.setattr(workers, "PATIENCE", 2)
    path = write(tmp_path, PLAN)
    with server() as port:
        address = f"tcp://127.0.0.1:{port}"
        start = time.monotonic()
        assert cli.run(["sweep", str(path), "--build", str(tmp_path), "--scheduler", address]) == 2
        assert time.monotonic() - start < 10
    said = capfd.readouterr().err
    wanted = (
        f"amxfp4: error: --scheduler must be the address of a Dask scheduler, not {address!r} ("
    )
    assert said.startswith(wanted)
    assert reason in said
    assert said.count("\n") == 1
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]


@pytest.fixture
def scheduler():
    """Start someone else's Dask, with one worker."""
    sources.cache_clear()
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.nightly  # by day one that is refused
def test_any_scheduler(tmp_path, capfd, scheduler):
    """Rows come back from workers that have folders of their own."""
    path, build = write(tmp_path, PLAN), tmp_path / "build"
    arguments = ["sweep", str(path), "--build", str(build), "--scheduler"]
    assert cli.run([*arguments, scheduler]) == 0
    assert "2 jobs, 0 known before, 0 failed" in capfd.readouterr().out
    assert len(rows(build)) == 2
    assert not list(build.glob("synth/*/netlist.v"))
    assert cli.run([*arguments, scheduler]) == 0
    assert "2 jobs, 2 known before, 0 failed" in capfd.readouterr().out


def test_workers_with_other_code_are_refused(tmp_path, capfd, monkeypatch, scheduler):
    """Their rows would be of other hardware than ours."""
    monkeypatch.setattr("amxfp4.synth.flow.job.TOOLS", ())
    sources.cache_clear()
    try:
        path = write(tmp_path, PLAN)
        options = ["--build", str(tmp_path), "--scheduler", scheduler]
        assert cli.run(["sweep", str(path), *options]) == 2
    finally:
        sources.cache_clear()
    assert "whose workers have other Verilog generators or tools" in capfd.readouterr().err
