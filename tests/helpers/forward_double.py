"""A minimal receiver of the Fluent Forward protocol, apart from lexilog's own code: msgpack and sockets alone.

Usage: forward_double.py PORT FILE [MODE]

Each record is appended to FILE as a line of JSON, and is on disk before its message is acknowledged.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
import time
from typing import Any, NamedTuple

import msgpack


class Received(NamedTuple):
    """A record as it came: time is an integer, a float or a msgpack extension."""

    tag: str
    time: Any
    metadata: Any
    record: dict[str, Any]


class ForwardDouble(socketserver.ThreadingTCPServer):
    """Takes messages of all four modes and acknowledges them, as Fluent Bit and Fluentd do.

    It does not: check users and passwords, take heartbeats over UDP, or look at anything but shape.

    Args:
        port: 0 for any.
        path: where records go as lines of JSON; None for nowhere but `received`.
        mode: ``refuse`` closes instead of acknowledging, ``deaf`` does neither, ``wrong`` acknowledges another chunk,
            ``late`` acknowledges a while after and then again, ``once`` closes after each message, ``slow`` takes a
            moment, ``noise`` answers with bytes that are no msgpack, ``fake`` lets everybody in and proves nothing. It
            may be changed at any time.
        shared_key: for the handshake; None for none.
        keepalive: what the handshake says of it.
        tls: to encrypt with; None for plain text.

    Attributes:
        peers: the client's certificate of each message, in DER; None where it shows none.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        port: int = 0,
        path: str | None = None,
        mode: str = "",
        shared_key: str | None = None,
        keepalive: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.mode = mode
        self.shared_key = shared_key
        self.keepalive = keepalive
        self.tls = tls
        self.peers: list[bytes | None] = []
        self.received: list[Received] = []
        self.options: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.connections = 0
        self.lock = threading.Lock()
        self._file = open(path, "a", encoding="utf-8") if path else None  # noqa: PTH123, SIM115
        self._sockets: set[socket.socket] = set()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> ForwardDouble:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.hang_up()
        self.server_close()
        if self._file:
            self._file.close()

    def get_request(self) -> Any:
        connection, address = super().get_request()
        if self.tls is not None:
            # The handshake is made with the first bytes, in the thread of the connection.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.connections += 1
            self._sockets.add(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Close every connection."""
        with self.lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def store(self, records: list[Received]) -> None:
        with self.lock:
            self.received += records
            if self._file:
                self._file.write("".join(json.dumps(item.record) + "\n" for item in records))
                self._file.flush()
                os.fsync(self._file.fileno())


class _Handler(socketserver.BaseRequestHandler):
    server: ForwardDouble

    def handle(self) -> None:
        self.unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", strict_map_key=False)
        try:
            if self.server.shared_key is not None and not self.shake_hands(self.server.shared_key):
                return
            while isinstance(message := self.next_message(), list):
                if not self.take(message):
                    return
        except OSError:
            return

    def next_message(self) -> Any:
        while True:
            start = self.unpacker.tell()
            try:
                message = self.unpacker.unpack()
            except msgpack.OutOfData:
                data = self.request.recv(1 << 16)
                if not data:
                    return None
                self.unpacker.feed(data)
            else:
                self.server.sizes.append(self.unpacker.tell() - start)
                return message

    def send(self, message: Any) -> None:
        self.request.sendall(msgpack.packb(message, unicode_errors="surrogateescape"))

    def shake_hands(self, key: str) -> bool:
        # Raw bytes as a str: Fluent Bit's own server does that.
        nonce = b"\xff\xfe nonce \x00\x80 01".decode("utf-8", "surrogateescape")
        self.send(["HELO", {"nonce": nonce, "auth": "salt", "keepalive": self.server.keepalive}])
        ping = self.next_message()
        if ping is None:
            return False
        _, hostname, salt, proof, user, password = ping
        assert (user, len(password)) == ("", 0)
        if proof != self.digest(salt, hostname, nonce, key) and self.server.mode != "fake":
            self.send(["PONG", False, "shared_key mismatch", "", ""])
            return False
        self.send(["PONG", True, "", "double", self.digest(salt, "double", nonce, key)])
        return True

    @staticmethod
    def digest(*parts: str) -> str:
        return hashlib.sha512("".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    def take(self, message: list[Any]) -> bool:
        tag, second, *rest = message
        if isinstance(second, str | bytes):
            options = rest[0] if rest else {}
            data = second.encode("utf-8", "surrogateescape") if isinstance(second, str) else second
            if options.get("compressed") == "gzip":
                data = gzip.decompress(data)
            unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", strict_map_key=False)
            unpacker.feed(data)
            entries = list(unpacker)
        elif isinstance(second, list):
            options, entries = (rest[0] if rest else {}), second
        else:
            options, entries = (rest[1] if len(rest) > 1 else {}), [[second, rest[0]]]
        records = []
        for header, record in entries:
            when, metadata = header if isinstance(header, list) else (header, None)
            records.append(Received(tag, when, metadata, record))
        return self.answer(options, records)

    def answer(self, options: dict[str, Any], records: list[Received]) -> bool:
        mode, chunk = self.server.mode, options.get("chunk")
        if mode == "refuse":
            return False
        if mode == "slow":
            time.sleep(0.2)
        self.server.options.append(options)
        self.server.peers.append(self.request.getpeercert(True) if self.server.tls else None)
        self.server.store(records)
        if mode == "noise":
            self.request.sendall(b"\xc1\xc1")
        elif mode == "wrong":
            self.send({"ack": "another"})
        elif chunk is not None and mode != "deaf":
            if mode == "late":
                time.sleep(0.3)
            self.send({"ack": chunk})
            if mode == "late":
                self.send({"ack": chunk})
        return mode != "once"


def main(port: str, path: str, mode: str = "") -> None:
    with ForwardDouble(int(port), path, mode):
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
