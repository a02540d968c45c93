# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""An HTTP/1.1 server that reads each request whole before it answers, and logs it.

usage: recorder.py ADDRESS PORT LOG

One JSON line for each complete request: {"method", "target", "fields", "body_sha256",
"body_bytes"}; one {"partial": bytes} for each connection that ended inside a request. Answers 200
with a JSON body that names the target. Reads as lenient servers do: bare LF ends a line.
"""

import hashlib
import json
import socket
import sys
import threading


class Reader:
    """Buffered reading from a socket."""

    def __init__(self, peer):
        self.peer, self.buffer = peer, b""

    def _more(self):
        data = self.peer.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data


def read_request(reader):
    """One whole request, or EOFError."""
    line = reader.line()
    while not line:
        line = reader.line()
    method, _, rest = line.partition(b" ")
    target = rest.rpartition(b" ")[0] or rest
    fields = []
    while True:
        line = reader.line()
        if not line:
            break
        name, _, value = line.partition(b":")
        fields.append((name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")))
    values = dict(fields)
    if values.get("expect", "").lower() == "100-continue":
        reader.peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = b""
    if "chunked" in values.get("transfer-encoding", "").lower():
        while True:
            size = int(reader.line().split(b";")[0].strip() or b"0", 16)
            if size == 0:
                while reader.line():
                    pass
                break
            body += reader.exactly(size)
            reader.line()
    elif values.get("content-length", "").isdigit():
        body = reader.exactly(int(values["content-length"]))
    return {"method": method.decode("latin-1"), "target": target.decode("latin-1"),
            "fields": fields, "body_sha256": hashlib.sha256(body).hexdigest(),
            "body_bytes": len(body)}


def serve(peer, write):
    reader = Reader(peer)
    try:
        while True:
            request = read_request(reader)
            write(request)
            body = json.dumps({"target": request["target"]}).encode()
            if request["method"] == "HEAD":
                body = b""
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
            if dict(request["fields"]).get("connection", "").lower() == "close":
                break
    except (EOFError, OSError, ValueError):
        if reader.buffer:
            write({"partial": len(reader.buffer)})
    finally:
        peer.close()


def main(address, port, log_path):
    lock = threading.Lock()
    with open(log_path, "a", buffering=1) as log, socket.create_server(
            (address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            backlog=512) as server:
        def write(record):
            with lock:
                log.write(json.dumps(record) + "\n")
        while True:
            peer, _ = server.accept()
            threading.Thread(target=serve, args=(peer, write), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
