"""Ports of the operating system: opened, refused, pulled out, and what is no port at all."""

import contextlib
import errno
import os
import pty
import sys
import threading

import pytest
import serial

from amxfp4.host import LineError
from amxfp4.host.link import ports
from amxfp4.host.link.ports import PortWire, _why, open_port


def test_port_that_is_not_there():
    with pytest.raises(LineError, match=r"--port '/dev/no-port' at 9600 baud .*no such port: this"):
        PortWire("/dev/no-port", 9600)


def test_port_that_is_in_use():
    own, other = pty.openpty()
    try:
        first = PortWire(os.ttyname(other), 115200)
        with pytest.raises(LineError, match="another program uses it"):
            PortWire(os.ttyname(other), 115200)
        first.close()
    finally:
        os.close(own)
        os.close(other)


def test_port_that_is_pulled_out():
    own, other = pty.openpty()
    wire = PortWire(os.ttyname(other), 115200)
    os.close(other)
    os.close(own)
    with pytest.raises(LineError, match=r"is gone .*check the cable"):
        wire.read(0.1)
    wire.close()


def test_port_that_takes_no_bytes(monkeypatch):
    """Nobody reads at the other end."""
    monkeypatch.setattr(ports, "_STUCK", 0.1)
    own, other = pty.openpty()
    hang_up = threading.Timer(5, os.close, [own])  # that it waits for ever is no way to fail
    hang_up.start()
    try:
        wire = PortWire(os.ttyname(other), 12_000_000)
        with pytest.raises(LineError, match="takes no bytes: check that no flow control"):
            wire.write(bytes(1 << 20))
        wire.close()
    finally:
        hang_up.cancel()
        with contextlib.suppress(OSError):
            os.close(own)
        os.close(other)


def test_port_by_url(monkeypatch):
    """A port by RFC 2217 takes no write timeout; the others do."""
    asked = {}
    port = contextlib.nullcontext()
    port.reset_input_buffer = lambda: None
    monkeypatch.setattr(
        serial, "serial_for_url", lambda name, *_, **given: asked.update({name: given}) or port
    )
    for name in ("rfc2217://host:4000", "/dev/ttyUSB0"):
        PortWire(name, 9600)
    assert asked["rfc2217://host:4000"]["write_timeout"] is None
    assert asked["/dev/ttyUSB0"]["write_timeout"] > 2 * 4096 * 10 / 9600


def test_missing_pyserial(monkeypatch):
    """One line says what to install."""
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(
        LineError, match=r"pyserial must be installed: pip install 'amxfp4\[host\]'"
    ):
        open_port("/dev/ttyUSB0")


def test_port_carries_every_byte():
    own, other = pty.openpty()
    try:
        wire = PortWire(os.ttyname(other), 115200)
        everything = bytes(range(256))
        wire.write(everything)
        assert os.read(own, 1000) == everything
        os.write(own, everything)
        got = b""
        while len(got) < 256:
            got += wire.read(1)
        assert got == everything
        assert wire.read(0.02) == b""
        wire.close()
    finally:
        os.close(own)
        os.close(other)


def test_rights_are_explained():
    text = _why("/dev/ttyUSB0", 9600, PermissionError(errno.EACCES, "Permission denied"))
    assert "dialout" in text


@pytest.mark.parametrize(
    ("port", "options", "text"),
    [
        ("", {}, "--port must be one of /dev/ttyUSB0"),
        ("usb:1", {}, "--port must be one of .*not 'usb:1'"),
        ("/dev/ttyUSB0", {"options": {"rows": 2}}, "must be sim with --rows, not '/dev/ttyUSB0'"),
        ("/dev/ttyUSB0", {"baud": 0}, "--baud must be from 1 to 12000000, not 0"),
        ("uio:0,1,2", {"baud": 9600}, "--port must be a serial port with --baud"),
        ("mem:1,2", {}, "--port must be mem:ENGINE,FIFO_AC,FIFO_B"),
        ("mem:0x1000,0x2000,0x3001", {}, "multiples of 4096"),
        ("mem:a,b,c", {}, "not 'mem:a,b,c'"),
    ],
)
def test_port_wrong(port, options, text):
    with pytest.raises(ValueError, match=text):
        open_port(port, **options)


def test_no_such_simulated_board():
    with pytest.raises(LineError, match=r"does not start: --board must be one of .*, not 'x'"):
        open_port("sim:x")


def test_uio_that_is_not_there():
    with pytest.raises(LineError, match=r"/dev/uio77 cannot be mapped .*modprobe"):
        open_port("uio:77,78,79")
