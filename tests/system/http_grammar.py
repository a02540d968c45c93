# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Request streams grown from a grammar (RFC 9112 as far as every server reads it alike).

Each is a pipeline of one to four requests with what makes parsers differ when a byte of it changes:
bodies that look like requests and chunks, borders of chunks anywhere, names and values in every
spelling that means the same, both versions, both forms of targets, one empty line between requests.
"""

from http_cases import Request

SEGMENTS = [b"x", b"api", b"v1;a=b", b"%20", b"%61pi", b"x%5A%7a9", b"a.b", b"~u", b"a-b_c", b"(1)", b"a,b", b"a:b", b"@"]
QUERIES = [b"", b"", b"?", b"?a=1", b"?%61=%62", b"?a=1&a=2", b"?q=%0d%0a", b"?/../", b"?a=http://b/", b"?x=[1]"]
NAMES = [b"X-A", b"Accept", b"x-content-length", b"Transfer-Encodings", b"X.Dot", b"Keep-Alive", b"TE", b"Trailer",
         b"Via", b"User-Agent", b"Referer", b"Pragma", b"!#$%&'*+-.^_`|~"]
VALUES = [b"", b"v", b"5", b"chunked", b"a, b;q=0.1", b'"quoted, comma"', b"a\tb", b"\xc3\xa9", b"0\\r\\n", b"close",
          b"http://a/?b#c", b":", b"timeout=5, max=2"]
STAYS = [b"keep-alive", b"Keep-Alive", b"keep-alive, TE", b"keep-alive,,"]
PIECES = [b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n", b"\r\n", b"5\r\nhello\r\n", b"a=b&c=d", b"\x00\xff",
          b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"{}", b"\n\n", b"HTTP/1.1 200 OK\r\n\r\n"]
WITH_BODY = ["POST", "POST", "PUT", "PATCH", "DELETE"]


def _spelled(rng, name):
    return rng.choice([name, name.lower(), name.upper()])


def _field(rng, name, value):
    """Blanks around a value mean nothing."""
    return _spelled(rng, name) + b":" + rng.choice([b" ", b" ", b"", b"   "]) + value + rng.choice([b"", b"", b" "])


def _chunks(rng, body):
    out = b""
    while body:
        size = rng.randint(1, len(body))
        digits = b"%x" % size
        out += rng.choice([digits, digits.upper()]) + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return out + b"0\r\n\r\n"


def _request(rng):
    """One request as bytes, and its reading."""
    old = rng.random() < 0.15
    has_body = rng.random() < 0.5
    method = rng.choice(WITH_BODY if has_body else ["GET", "GET", "HEAD", "OPTIONS", "DELETE"])
    target = b"/" + b"/".join(rng.choices(SEGMENTS, k=rng.randint(0, 3))) + rng.choice(QUERIES)
    if rng.random() < 0.15:
        target = rng.choice([b"http://a.example", b"http://a.example:80", b"HTTP://A.example"]) + target
    body = b"".join(rng.choices(PIECES, k=rng.randint(0, 4))) if has_body else b""
    lines = [_field(rng, b"Host", rng.choice([b"a.example", b"A.Example", b"a.example:80"]))]
    if old or rng.random() < 0.3:
        lines.append(_field(rng, b"Connection", rng.choice(STAYS)))
    wire = body
    if has_body and not old and rng.random() < 0.5:
        lines.append(_field(rng, b"Transfer-Encoding", rng.choice([b"chunked", b"Chunked"])))
        wire = _chunks(rng, body)
    elif has_body:
        lines.append(_field(rng, b"Content-Length", b"%d" % len(body)))
    for name in rng.sample(NAMES, rng.randint(0, 4)):
        lines.append(_field(rng, name, rng.choice(VALUES) if name != b"TE" else b"trailers"))
    rng.shuffle(lines)
    head = method.encode() + b" " + target + (b" HTTP/1.0" if old else b" HTTP/1.1")
    return b"\r\n".join([head, *lines, b"", b""]) + wire, Request(method, target, body)


def grown(rng):
    """(stream, its requests)."""
    stream, requests = b"", []
    for _ in range(rng.randint(1, 4)):
        message, request = _request(rng)
        stream += (b"\r\n" if requests and rng.random() < 0.1 else b"") + message
        requests.append(request)
    return stream, requests
