"""Registrations without a service behind them: routes that are held, and sessions that are idle."""

import socket
import struct

from .process import Failure

FLAG_HTTP = 1


def text(value):
    return struct.pack(">q", len(value)) + value


def request(port, path):
    """What a service says that wants a path of a port of 127.0.0.1."""
    head = text(b"127.0.0.1") + struct.pack(">qB", port, FLAG_HTTP)
    return head + text(b"") + text(path.encode())


def read(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise Failure("the control connection ended during a registration")
        data += more
    return data


def register(control, port, path):
    """Registers, waits for `OK`, and returns the session's socket."""
    host, _, number = control.rpartition(":")
    connection = socket.create_connection((host, int(number)), 10)
    connection.sendall(request(port, path))
    status = read(connection, struct.unpack(">q", read(connection, 8))[0])
    if status != b"OK":
        raise Failure(f"a registration was refused: {status.decode(errors='replace')}")
    return connection


def leave_routes(control, port, paths):
    """Registers each path and leaves at once, so that its route is held."""
    for path in paths:
        register(control, port, path).close()
