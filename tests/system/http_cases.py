#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Request streams and what the one strict reading of each is.

Hand-made from RFC 9112 and the evasion catalogue; ids begin with the catalogue's row. Every case is a
byte stream as a client sends it on one connection. `requests` are the complete requests that a strict
reader sees before it stops; `reason` is why it stops, or None where it reads to the end.

Run as a program it prints all cases as JSON (`hex` for bytes), for the offline runner
(tests/unit/http/corpus_test.cc). The wire test imports `CASES`.
"""

import json
import sys
from dataclasses import dataclass, field

H = b"Host: a.example\r\n"


@dataclass(frozen=True)
class Request:
    method: str
    target: bytes
    body: bytes = b""


@dataclass(frozen=True)
class Case:
    id: str
    stream: bytes
    requests: list = field(default_factory=list)
    reason: str | None = None
    complete: bool = True  # False: the stream ends inside a message, no offence


CASES = []
PROBE = b"GET /probe HTTP/1.1\r\n" + H + b"\r\n"
PROBED = Request("GET", b"/probe")


def ok(case_id, stream, *requests):
    """Accepted, and the pipelined request behind it too."""
    CASES.append(Case(case_id, stream + PROBE, [*requests, PROBED]))


def bad(case_id, reason, stream, *requests):
    """Refused for `reason`; nothing after it is a request."""
    CASES.append(Case(case_id, stream + PROBE, list(requests), reason))


def line(text):
    return text + b"\r\n" + H + b"\r\n"


def fields(*lines, start=b"GET /x HTTP/1.1", host=True):
    return start + b"\r\n" + (H if host else b"") + b"".join(f + b"\r\n" for f in lines) + b"\r\n"


def post(*lines, body=b"", version=b"1.1"):
    return fields(*lines, start=b"POST /x HTTP/" + version) + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body=body)


GET = Request("GET", b"/x")
POST5 = Request("POST", b"/x", b"hello")
POST0 = Request("POST", b"/x")

# -- what every server reads alike ---------------------------------------------------------------
ok("RFC-get", fields(), GET)
ok("RFC-get-1.0-keep-alive",
   fields(b"Connection: keep-alive", start=b"GET /x HTTP/1.0"), GET)
ok("RFC-get-1.0-without-host",
   fields(b"Connection: keep-alive", start=b"GET /x HTTP/1.0", host=False), GET)
ok("RFC-length", post(b"Content-Length: 5", body=b"hello"), POST5)
ok("RFC-length-zero", post(b"Content-Length: 0"), POST0)
ok("RFC-chunked", chunked(b"5\r\nhello\r\n0\r\n\r\n"), POST5)
ok("RFC-chunked-pieces", chunked(b"1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n"), POST5)
ok("RFC-chunked-empty", chunked(b"0\r\n\r\n"), POST0)
ok("RFC-chunked-case", post(b"transfer-encoding: CHUNKED", body=b"A\r\n0123456789\r\n0\r\n\r\n"),
   Request("POST", b"/x", b"0123456789"))
ok("RFC-body-like-framing", chunked(b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
   Request("POST", b"/x", b"\r\n0\r\n\r\n"))
ok("RFC-empty-value", fields(b"X-Empty:", b"X-Blank:   "), GET)
ok("RFC-no-blank-after-colon", fields(b"X-A:b"), GET)
ok("RFC-tabs-in-value", fields(b"X-A:\ta\tb\t"), GET)
ok("RFC-utf8-in-value", fields("X-A: gr\u00fc\u00df".encode()), GET)
ok("RFC-options-asterisk", line(b"OPTIONS * HTTP/1.1"), Request("OPTIONS", b"*"))
for method in ("HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "REPORT", "PURGE"):
    ok(f"RFC-method-{method}", line(method.encode() + b" /x HTTP/1.1"), Request(method, b"/x"))
ok("RFC-many-fields", fields(*[b"X-%d: v" % i for i in range(90)]), GET)

# -- HF: framing ---------------------------------------------------------------------------------
bad("HF1-cl-then-te", "http_cl_and_te",
    post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
bad("HF1-te-then-cl", "http_cl_and_te",
    post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"))
bad("HF1-cl-zero", "http_cl_and_te",
    post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
for name, value in {
        "xchunked": b"xchunked", "identity": b"identity", "gzip": b"gzip", "trailing-comma": b"chunked,",
        "leading-comma": b", chunked", "identity-chunked": b"identity, chunked",
        "gzip-chunked": b"gzip, chunked", "unknown-chunked": b"x, chunked",
        "chunked-chunked": b"chunked, chunked", "quoted": b'"chunked"', "parameter": b"chunked;q=1",
        "tab-before": b"\tchunked", "tab-after": b"chunked\t", "nbsp": b"\xc2\xa0chunked",
        "nbsp-after": b"chunked\xa0", "cow": b"cow", "sp-inside": b"chun ked"}.items():
    bad(f"HF2-{name}", "http_te",
        post(b"Transfer-Encoding: " + value, body=b"5\r\nhello\r\n0\r\n\r\n"))
bad("HF2-vertical-tab", "http_header_value",
    post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"))
bad("HF2-twice", "http_te",
    post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
bad("HF2-twice-identity", "http_te",
    post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
bad("HF2-sp-before-colon", "http_header_name",
    post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"))
bad("HF2-fold", "http_obs_fold", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"))
bad("HF2-fold-after", "http_obs_fold",
    post(b"Transfer-Encoding: chunked\r\n , identity", body=b"0\r\n\r\n"))
bad("HF2-underscore", "http_header_name", post(b"Transfer_Encoding: chunked", body=b"0\r\n\r\n"))
bad("HF3-equal", "http_cl_dup", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"))
bad("HF3-different", "http_cl_dup",
    post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"))
bad("HF3-list", "http_cl_dup", post(b"Content-Length: 5, 5", body=b"hello"))
bad("HF3-empty-then-number", "http_cl_dup",
    post(b"Content-Length:", b"Content-Length: 5", body=b"hello"))
for name, value in {
        "plus": b"+5", "minus": b"-5", "hex": b"0x5", "underscore": b"0_5", "leading-zero": b"05",
        "float": b"5.0", "exponent": b"5e0", "inner-blank": b"1 5", "letters": b"five",
        "overflow": b"18446744073709551621", "twenty-digits": b"10000000000000000000",
        "tab-before": b"\t5", "tab-after": b"5\t", "nbsp": b"\xa05", "nel": b"5\xc2\x85",
        "zeros": b"00", "quoted": b'"5"', "parameter": b"5;q=1"}.items():
    bad(f"HF4-{name}", "http_cl_bad", post(b"Content-Length: " + value, body=b"hello"))
bad("HF4-trailing-comma", "http_cl_dup", post(b"Content-Length: 5,", body=b"hello"))
bad("HF4-fold", "http_obs_fold", post(b"Content-Length:\r\n 5", body=b"hello"))
bad("HF4-nul", "http_nul", post(b"Content-Length: 5\x00", body=b"hello"))
bad("HF4-sp-before-colon", "http_header_name", post(b"Content-Length : 5", body=b"hello"))
ok("HF4-blanks", post(b"Content-Length:   5  ", body=b"hello"), POST5)
bad("HF3-cases", "http_cl_dup", post(b"Content-Length: 5", b"content-length: 5", body=b"hello"))
bad("HF3-list-blanks", "http_cl_dup", post(b"Content-Length: 5 , 5", body=b"hello"))
bad("HF3-with-zero", "http_cl_dup", post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"))
bad("HF1-mixed-case", "http_cl_and_te",
    post(b"content-LENGTH: 5", b"TRANSFER-encoding: Chunked", body=b"0\r\n\r\n"))
bad("HF1-connection-names-cl", "http_cl_and_te",
    post(b"Connection: Content-Length", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
bad("HF5-empty-cl", "http_cl_bad", post(b"Content-Length:"))
bad("HF5-empty-te", "http_te", post(b"Transfer-Encoding:"))
bad("HF5-empty-te-and-cl", "http_cl_and_te",
    post(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"))
bad("HF6-te-on-1.0", "http_te_10",
    post(b"Connection: keep-alive", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n",
         version=b"1.0"))
for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
    ok(f"HF7-body-{method.decode()}",
       fields(b"Content-Length: 34", start=method + b" /x HTTP/1.1")
       + b"GET /hidden HTTP/1.1\r\nHost: b\r\n\r\n\n"[:34],
       Request(method.decode(), b"/x", b"GET /hidden HTTP/1.1\r\nHost: b\r\n\r\n\n"[:34]))
ok("HF7-chunked-get",
   fields(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", Request("GET", b"/x", b"hello"))
ok("HF10-expect", post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"), POST5)
for name, value in {"prefix": b"y 100-continue", "other": b"x", "list": b"100-continue, x",
                    "case": b"100-Continue", "empty": b""}.items():
    bad(f"HF10-{name}", "http_expect",
        post(b"Expect: " + value, b"Content-Length: 5", body=b"hello"))
bad("HF10-twice", "http_expect",
    post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"))
bad("HF10-get", "http_expect", fields(b"Expect: 100-continue"))
bad("HF10-1.0", "http_expect",
    post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello", version=b"1.0"))
bad("HF11-all", "http_bare_lf", b"GET /x HTTP/1.1\nHost: a\n\n")
bad("HF11-after-line", "http_bare_lf", b"GET /x HTTP/1.1\n" + H + b"\r\n")
bad("HF11-after-field", "http_bare_lf", b"GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n")
bad("HF11-empty-line", "http_bare_lf", b"GET /x HTTP/1.1\r\n" + H + b"\n")
bad("HF11-chunk-size", "http_bare_lf", chunked(b"5\nhello\r\n0\r\n\r\n"))
bad("HF11-last-chunk", "http_bare_lf", chunked(b"5\r\nhello\r\n0\n\r\n"))
bad("HF11-final", "http_bare_lf", chunked(b"5\r\nhello\r\n0\r\n\n"))
bad("HF12-in-value", "http_bare_cr", fields(b"X-A: a\rX-Hidden: b"))
bad("HF12-cr-cr-lf", "http_bare_cr", b"GET /x HTTP/1.1\r\r\n" + H + b"\r\n")
bad("HF12-cr-cr-lf-end", "http_bare_cr", b"GET /x HTTP/1.1\r\n" + H + b"\r\r\n")
bad("HF12-between-fields", "http_bare_cr", b"GET /x HTTP/1.1\r\nHost: a\rX: y\r\n\r\n")
bad("HF12-after-empty-value", "http_bare_cr", fields(b"X-A:\rX-Hidden: b"))
bad("HF12-head-end-cr-x", "http_bare_cr", b"GET /x HTTP/1.1\r\n" + H + b"\rX")
bad("HF12-chunk-size", "http_bare_cr", chunked(b"5\rhello\r\n0\r\n\r\n"))
bad("HF12-chunk-size-junk", "http_bare_cr", chunked(b"5\r\rhello\r\n0\r\n\r\n"))
ok("HF13-between-messages", fields() + b"\r\n", GET)
bad("HF13-first", "http_leading_crlf", b"\r\n" + fields())
bad("HF13-four", "http_leading_crlf", fields() + b"\r\n" * 4, GET)
bad("HF13-two", "http_leading_crlf", fields() + b"\r\n" * 2, GET)
bad("HF13-lf", "http_leading_crlf", fields() + b"\n", GET)
bad("HF13-lf-first", "http_leading_crlf", b"\n\n\n" + fields())
bad("HF13-cr", "http_leading_crlf", fields() + b"\r", GET)
ok("HF13-after-chunked", chunked(b"5\r\nhello\r\n0\r\n\r\n") + b"\r\n", POST5)
bad("HF13-after-chunked-cr", "http_leading_crlf", chunked(b"5\r\nhello\r\n0\r\n\r\n") + b"\r", POST5)
bad("HF13-after-body", "http_leading_crlf",
    post(b"Content-Length: 5", body=b"hello\r\n\r\n"), POST5)
for name, ext in {"name": b";x", "value": b";x=y", "quoted": b';x="y"', "empty": b";",
                  "sp-before": b" ;x", "lf": b";x\n", "cr": b";\rx", "nul": b";\x00",
                  "escape": b';x="\\""', "long": b";" + b"a" * 65536}.items():
    bad(f"HF14-{name}", "http_chunk_size" if name == "sp-before" else "http_chunk_ext",
        chunked(b"5" + ext + b"\r\nhello\r\n0\r\n\r\n"))
for name, size in {"sp-before": b" 5", "sp-after": b"5 ", "tab-after": b"5\t", "0x": b"0x5",
                   "plus": b"+5", "minus": b"-5", "underscore": b"5_", "unicode": b"\xef\xbc\x95",
                   "leading-zero": b"05", "zeros": b"0000000000000000000000005",
                   "overflow-64": b"10000000000000005", "overflow-32": b"100000005",
                   "empty": b"", "letters": b"xyz", "comma": b"5,5"}.items():
    bad(f"HF15-{name}", "http_chunk_size", chunked(size + b"\r\nhello\r\n0\r\n\r\n"))
bad("HF16-lf", "http_chunk_data", chunked(b"5\r\nhello\n0\r\n\r\n"))
bad("HF16-xx", "http_chunk_data", chunked(b"5\r\nhelloXX0\r\n\r\n"))
bad("HF16-none", "http_chunk_data", chunked(b"5\r\nhello0\r\n\r\n"))
bad("HF16-cr-x", "http_chunk_data", chunked(b"5\r\nhello\rX0\r\n\r\n"))
bad("HF16-size-short", "http_chunk_data", chunked(b"4\r\nhello\r\n0\r\n\r\n"))
bad("HF17-zeros", "http_chunk_size", chunked(b"5\r\nhello\r\n000\r\n\r\n"))
bad("HF17-extension", "http_chunk_ext", chunked(b"5\r\nhello\r\n0;x\r\n\r\n"))
bad("HF17-lf-lf", "http_bare_lf", chunked(b"5\r\nhello\r\n0\n\n"))
bad("HF17-extra-crlf-before", "http_chunk_size", chunked(b"5\r\nhello\r\n\r\n0\r\n\r\n"))
bad("HF17-junk", "http_trailer", chunked(b"5\r\nhello\r\n0\r\nXX"))
bad("HF17-cr-junk", "http_bare_cr", chunked(b"5\r\nhello\r\n0\r\n\rX"))
for name, trailer in {"ordinary": b"X-T: v", "cl": b"Content-Length: 5", "host": b"Host: b",
                      "te": b"Transfer-Encoding: chunked", "authorization": b"Authorization: x",
                      "folded": b" folded", "spaced": b"X-T : v",
                      "close": b"Connection: close"}.items():
    bad(f"HF18-{name}", "http_trailer", chunked(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"))
bad("HF19-simple", "http_no_version", b"GET /x\r\n")
bad("HF19-lf", "http_bare_lf", b"GET /x\n")
bad("HF19-with-fields", "http_no_version", b"GET /x\r\n" + H + b"\r\n")
for name, version in {"0.9": b"HTTP/0.9", "1.2": b"HTTP/1.2", "2.0": b"HTTP/2.0",
                      "3.1": b"HTTP/3.1", "1.01": b"HTTP/1.01", "lower": b"http/1.1",
                      "rtsp": b"RTSP/1.0", "ice": b"ICE/1.0", "bare": b"HTTP/1", "dot": b"HTTP/1.",
                      "major": b"HTTP/11.1", "word": b"x"}.items():
    bad(f"HF20-{name}", "http_version", line(b"GET /x " + version))
CASES.append(Case("HF21-preface",
                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", [],
                  "http_h2_preface"))
bad("HF22-h2c", "http_upgrade",
    fields(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"))
bad("HF22-h2c-without-connection", "http_upgrade", fields(b"Upgrade: h2c"))
bad("HF22-tls", "http_upgrade", fields(b"Connection: Upgrade", b"Upgrade: TLS/1.0"))
bad("HF23-websocket-not-allowed", "http_upgrade",
    fields(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
bad("HF25-connect", "http_connect", line(b"CONNECT a.example:443 HTTP/1.1"))
bad("HF25-connect-cl", "http_connect",
    fields(b"Content-Length: 5", start=b"CONNECT a.example:443 HTTP/1.1") + b"hello")
bad("HF25-connect-path", "http_connect", line(b"CONNECT / HTTP/1.1"))
ok("HF26-pipeline", fields() + post(b"Content-Length: 5", body=b"hello") + fields(),
   GET, POST5, GET)
bad("HF26-second-is-bad", "http_cl_and_te",
    fields() + post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), GET)
for name, value in {"case": b"Close", "first": b"close, keep-alive", "empty-elements": b", close ,",
                    "with-te": b"TE, close", "no-blank": b"close"}.items():
    bad(f"HF27-close-{name}", "http_after_close", fields(b"Connection:" + value), GET)
for name, value in {"quoted": b'"close"', "parameter": b"close;x", "inner": b"clo se", "longer": b"closed",
                    "semicolon": b"keep-alive; close"}.items():
    bad(f"HF27-not-close-{name}", "http_connection", fields(b"Connection: " + value))
for name, value in {"te": b"Keep-Alive, TE", "case": b"KEEP-ALIVE", "empty-elements": b",keep-alive,,"}.items():
    ok(f"HF27-1.0-keep-alive-{name}", fields(b"Connection: " + value, start=b"GET /x HTTP/1.0"), GET)
bad("HF27-1.0-both", "http_after_close",
    fields(b"Connection: keep-alive", b"Connection: close", start=b"GET /x HTTP/1.0"), GET)
bad("HF27-1.0-proxy-keep-alive", "http_after_close",
    fields(b"Proxy-Connection: keep-alive", start=b"GET /x HTTP/1.0"), GET)
ok("HF27-proxy-close", fields(b"Proxy-Connection: close"), GET)
ok("HF27-keep-alive-max", fields(b"Connection: keep-alive", b"Keep-Alive: timeout=1, max=1"), GET)
ok("HF22-upgrade-option-alone", fields(b"Connection: upgrade"), GET)
ok("HF22-insecure-requests", fields(b"Upgrade-Insecure-Requests: 1"), GET)
ok("HF6-length-on-1.0", post(b"Connection: keep-alive", b"Content-Length: 5", body=b"hello", version=b"1.0"), POST5)
bad("HF6-body-on-1.0-without-length", "http_not_http",
    post(b"Connection: keep-alive", body=b"\x00\x01", version=b"1.0"), POST0)
ok("HF10-expect-chunked", post(b"Expect: 100-continue", b"Transfer-Encoding: chunked",
                               body=b"5\r\nhello\r\n0\r\n\r\n"), POST5)
bad("HF10-chunked-1.0", "http_te_10",
    post(b"Expect: 100-continue", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"1.0"))
bad("HF27-close", "http_after_close", fields(b"Connection: close"), GET)
bad("HF27-close-tab", "http_after_close", fields(b"Connection: close\t"), GET)
bad("HF27-close-and-keep-alive", "http_after_close", fields(b"Connection: keep-alive, close"), GET)
bad("HF27-two-fields", "http_after_close",
    fields(b"Connection: close", b"Connection: keep-alive"), GET)
bad("HF27-1.0", "http_after_close", fields(start=b"GET /x HTTP/1.0"), GET)
CASES.append(Case("HF27-close-alone", fields(b"Connection: close"), [GET]))
CASES.append(Case("HF32-incomplete-head", fields()[:-1], [], complete=False))
CASES.append(Case("HF32-incomplete-body", post(b"Content-Length: 6", body=b"hello"), [],
                  complete=False))

# -- HH: request line and fields -----------------------------------------------------------------
bad("HH1-sp-before-method", "http_request_line", line(b" GET /x HTTP/1.1"))
bad("HH1-tab", "http_request_line", line(b"GET\t/x\tHTTP/1.1"))
bad("HH1-tab-first", "http_request_line", line(b"\tGET /x HTTP/1.1"))
bad("HH1-two-sp-target", "http_request_line", line(b"GET  /x HTTP/1.1"))
bad("HH1-two-sp-version", "http_request_line", line(b"GET /x  HTTP/1.1"))
bad("HH1-vt", "http_request_line", line(b"GET\x0b/x HTTP/1.1"))
bad("HH1-sp-after-version", "http_request_line", line(b"GET /x HTTP/1.1 "))
bad("HH1-sp-in-target", "http_request_line", line(b"GET /x y HTTP/1.1"))
bad("HH1-no-target", "http_request_line", line(b"GET HTTP/1.1"[:3]))
bad("HH2-lower", "http_method", line(b"get /x HTTP/1.1"))
bad("HH2-unknown", "http_method", line(b"FOO /x HTTP/1.1"))
bad("HH2-rtsp", "http_method", line(b"DESCRIBE /x HTTP/1.1"))
bad("HH2-source", "http_method", line(b"SOURCE /x HTTP/1.1"))
bad("HH2-long", "http_method", line(b"GETGETGETGETGETGET /x HTTP/1.1"))
ok("HH3-same-host", line(b"GET http://a.example/x HTTP/1.1"),
   Request("GET", b"http://a.example/x"))
ok("HH3-same-host-port", line(b"GET http://A.example:80/x HTTP/1.1"),
   Request("GET", b"http://A.example:80/x"))
ok("HH3-no-slash", line(b"GET http://a.example HTTP/1.1"), Request("GET", b"http://a.example"))
ok("HH3-scheme-case", line(b"GET HTTP://a.example/x HTTP/1.1"), Request("GET", b"HTTP://a.example/x"))
ok("HH3-double-slash", line(b"GET //b.example/x HTTP/1.1"), Request("GET", b"//b.example/x"))
ok("HH3-options", line(b"OPTIONS http://a.example/ HTTP/1.1"), Request("OPTIONS", b"http://a.example/"))
bad("HH3-trailing-dot", "http_host_conflict", line(b"GET http://a.example./x HTTP/1.1"))
bad("HH3-other-host", "http_host_conflict", line(b"GET http://b.example/x HTTP/1.1"))
bad("HH3-other-port", "http_host_conflict", line(b"GET http://a.example:81/x HTTP/1.1"))
bad("HH3-userinfo", "http_host_conflict", line(b"GET http://u@a.example/x HTTP/1.1"))
bad("HH3-userinfo-host", "http_host_conflict", line(b"GET http://a.example@b/x HTTP/1.1"))
bad("HH3-ftp", "http_host_conflict", line(b"GET ftp://a.example/x HTTP/1.1"))
bad("HH3-no-path", "http_host_conflict", line(b"GET http://a.example?x HTTP/1.1"))
bad("HH3-empty-authority", "http_host_conflict", line(b"GET http:///x HTTP/1.1"))
for name, host in {"slash": b"a/b", "sp": b"a b", "at": b"u@a", "comma": b"a,b", "empty": b"",
                   "port-letters": b"a:80x", "port-empty": b"a:", "port-large": b"a:65536",
                   "two-colons": b"a:80:80", "high": b"\xe4", "bracket": b"[::1",
                   "bracket-junk": b"[::1]x", "bracket-name": b"[a.example]", "hash": b"a#b",
                   "question": b"a?b", "percent": b"a%2eb", "quote": b'"a"',
                   "backslash": b"a\\b"}.items():
    bad(f"HH4-{name}", "http_host", fields(b"Host: " + host, host=False))
for name, host in {"port": b"a:8080", "ipv4": b"10.0.0.1:80", "ipv6": b"[fd00::1]",
                   "ipv6-port": b"[fd00::1]:80", "underscore": b"a_b", "case": b"A.Example"}.items():
    ok(f"HH4-good-{name}", fields(b"Host: " + host, host=False), GET)
bad("HH4-missing", "http_host", fields(host=False))
bad("HH4-two-equal", "http_host", fields(H.strip()))
bad("HH4-two-different", "http_host", fields(b"Host: b"))
bad("HH4-two-1.0", "http_host",
    fields(b"Connection: keep-alive", b"Host: b", start=b"GET /x HTTP/1.0"))
bad("HH6-sp", "http_header_name", fields(b"X-A : b"))
bad("HH6-tab", "http_header_name", fields(b"X-A\t: b"))
bad("HH6-nbsp", "http_header_name", fields(b"X-A\xa0: b"))
bad("HH6-inside", "http_header_name", fields(b"X A: b"))
bad("HH6-paren", "http_header_name", fields(b"X(A): b"))
bad("HH6-high", "http_header_name", fields(b"X-\xe4: b"))
bad("HH6-nul", "http_nul", fields(b"X-\x00A: b"))
bad("HH7-no-colon-first", "http_header_name", b"GET /x HTTP/1.1\r\nnocolon\r\n" + H + b"\r\n")
bad("HH7-no-colon-last", "http_header_name", fields(b"nocolon"))
for name in (b"Content-Length", b"Transfer-Encoding", b"Host", b"Expect", b"Upgrade"):
    bad(f"HH7-no-colon-{name.decode()}", "http_header_name", post(name, body=b"hello"))
bad("HH7-empty-name-first", "http_header_name", b"GET /x HTTP/1.1\r\n: x\r\n" + H + b"\r\n")
bad("HH7-empty-name-last", "http_header_name", fields(b": x"))
bad("HH8-ordinary", "http_obs_fold", fields(b"X-A: a\r\n b"))
bad("HH8-tab", "http_obs_fold", fields(b"X-A: a\r\n\tb"))
bad("HH8-first-line", "http_obs_fold", b"GET /x HTTP/1.1\r\n " + H + b"\r\n")
bad("HH8-connection", "http_obs_fold", fields(b"Connection:\r\n close"))
bad("HH8-blank-line", "http_obs_fold", fields(b"X-A: a\r\n "))
bad("HH9-nul", "http_nul", fields(b"X-A: a\x00' or 1=1"))
bad("HH9-nul-host", "http_nul", fields(b"Host: a\x00b", host=False))
bad("HH9-nul-target", "http_nul", line(b"GET /x\x00 HTTP/1.1"))
for byte in (0x01, 0x08, 0x0b, 0x0c, 0x1f, 0x7f):
    bad(f"HH9-value-{byte:02x}", "http_header_value", fields(b"X-A: a%cb" % byte))
    bad(f"HH9-target-{byte:02x}", "http_request_line", line(b"GET /x%c HTTP/1.1" % byte))
bad("HH10-connection", "http_connection", fields(b"Connection: \xa0close"))
bad("HH10-content-type", "http_header_value", post(b"Content-Type: text/plain\xa0"))
bad("HH10-upgrade", "http_header_value", fields(b"Upgrade: \xa0websocket"))
for name in (b"Content_Length", b"X_Forwarded_For", b"content_type", b"Host_"):
    if name == b"Host_":
        ok("HH11-other", fields(b"X_Custom_Name: 5"), GET)
    else:
        bad(f"HH11-{name.decode()}", "http_header_name", post(name + b": 5", body=b"hello"))
for name, value in {"cl": b"Content-Length", "te": b"Transfer-Encoding", "xff": b"X-Forwarded-For",
                    "list": b"close, X-Auth"}.items():
    bad(f"HH12-{name}", "http_connection", fields(b"Connection: " + value))
ok("HH12-good-te", fields(b"Connection: keep-alive, TE", b"TE: trailers"), GET)
bad("HH13-101-fields", "http_headers_too_large", fields(*[b"X-%d: v" % i for i in range(101)]))
bad("HH13-10000-fields", "http_headers_too_large", fields(*[b"a:b"] * 10000))
bad("HH13-large-value", "http_headers_too_large", fields(b"X-A: " + b"a" * 70000))
bad("HH13-large-head", "http_headers_too_large",
    fields(*[b"X-%d: " % i + b"a" * 8000 for i in range(9)]))
bad("HH13-large-target", "http_request_line", line(b"GET /" + b"a" * 131072 + b" HTTP/1.1"))
for name in (b"Content-Type", b"Content-Encoding", b"Authorization", b"Content-Disposition"):
    bad(f"HH14-{name.decode()}", "http_header_dup", post(name + b": a", name + b": b"))
ok("HH14-cookie", fields(b"Cookie: a=1", b"Cookie: b=2"), GET)
ok("HH20-high-bytes", line("GET /gr\u00fc\u00df?x=\u20ac HTTP/1.1".encode()),
   Request("GET", "/gr\u00fc\u00df?x=\u20ac".encode()))
ok("HH20-reserved", line(b"GET /[a]{b}|^?x=<\">\\` HTTP/1.1"),
   Request("GET", b"/[a]{b}|^?x=<\">\\`"))
ok("HH17-broken-percent", line(b"GET /%zz%4 HTTP/1.1"), Request("GET", b"/%zz%4"))
ok("HH19-fragment", line(b"GET /x#/../admin HTTP/1.1"), Request("GET", b"/x#/../admin"))
bad("HH21-relative", "http_target", line(b"GET x HTTP/1.1"))
bad("HH21-question", "http_target", line(b"GET ?x HTTP/1.1"))
bad("HH21-authority", "http_target", line(b"GET b:80 HTTP/1.1"))

# -- not HTTP ------------------------------------------------------------------------------------
CASES.append(Case("OP13-client-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [],
                  "tls_uninspected"))
CASES.append(Case("OP13-ssh", b"SSH-2.0-OpenSSH_9.2\r\n", [], "http_not_http"))
CASES.append(Case("OP13-smtp", b"EHLO a.example\r\n", [], "http_not_http"))
CASES.append(Case("NOT-binary", b"\x00\x01\x02\x03\r\n\r\n", [], "http_not_http"))
CASES.append(Case("NOT-high", b"\x80\x2e\x01\x03\x01", [], "http_not_http"))


def main():
    json.dump([{
        "id": c.id, "hex": c.stream.hex(), "reason": c.reason or "none", "complete": c.complete,
        "requests": [{"method": r.method, "target": r.target.hex(), "body": r.body.hex()}
                     for r in c.requests],
    } for c in CASES], sys.stdout)
    assert len({c.id for c in CASES}) == len(CASES), "case ids must be distinct"


if __name__ == "__main__":
    main()
