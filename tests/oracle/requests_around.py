# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Random requests around the words of a rule set: strings that its own patterns describe, its
phrase files, and honest filler, cut, encoded and put into every place of a request."""
import json
import pathlib
import random
import re
import re._constants as kind
import re._parser as parser
import urllib.parse

FILLER = ("shoes", "O'Brien", "blue jeans", "3.14", "name@example.org", "2026-11-24", "true", "null",
          "a b c", "x=1&y=2", "50% off", "C++", "<3", "select one", "union station", "12345", "",
          "Grüße", "日本", "/index.html", "http://example.org/a?b=c", "{}", "[1,2]", "a;b", "it's")
PATTERN = re.compile(r'"!?@rx ((?:[^"\\]|\\.)*)"')


def sample(tree, rng, depth=0):
    """One string that the parsed pattern describes, more or less."""
    out = []
    for op, argument in tree:
        if op is kind.LITERAL:
            out.append(chr(argument))
        elif op is kind.NOT_LITERAL:
            out.append(chr((argument + 1) % 128))
        elif op is kind.ANY:
            out.append(rng.choice("a1 .-"))
        elif op is kind.IN:
            out.append(one_of(argument, rng))
        elif op is kind.BRANCH:
            out.append(sample(rng.choice(argument[1]), rng, depth + 1))
        elif op is kind.SUBPATTERN:
            out.append(sample(argument[3], rng, depth + 1))
        elif op is kind.ATOMIC_GROUP:
            out.append(sample(argument, rng, depth + 1))
        elif op in (kind.MAX_REPEAT, kind.MIN_REPEAT, kind.POSSESSIVE_REPEAT):
            low, high, inner = argument
            times = min(rng.randint(low, min(low + 2, high)), 20)
            out.append("".join(sample(inner, rng, depth + 1) for _ in range(times)))
    return "".join(out)


def one_of(members, rng):
    """A character of a class."""
    if members and members[0][0] is kind.NEGATE:
        return rng.choice("azAZ09 _-=")
    op, argument = rng.choice(members)
    if op is kind.LITERAL:
        return chr(argument)
    if op is kind.RANGE:
        return chr(rng.randint(argument[0], argument[1]))
    return {kind.CATEGORY_DIGIT: "7", kind.CATEGORY_SPACE: " ", kind.CATEGORY_WORD: "w"}.get(
        argument, "-")


class Words:
    """What the rules of some files look for."""

    def __init__(self, files):
        self.trees, self.phrases = [], []
        for file in map(pathlib.Path, files):
            text = file.read_text(errors="replace")
            if file.suffix == ".data":
                self.phrases += [line for line in text.splitlines()
                                 if line and not line.startswith("#")]
                continue
            for pattern in PATTERN.findall(text.replace("\\\n", "")):
                try:
                    self.trees.append(parser.parse(pattern.replace('\\"', '"'), re.DOTALL))
                except (re.error, OverflowError):
                    continue  # syntax of PCRE that Python does not have

    def draw(self, rng):
        roll = rng.random()
        if roll < 0.45 and self.trees:
            text = sample(rng.choice(self.trees), rng)
        elif roll < 0.6 and self.phrases:
            text = rng.choice(self.phrases)
        else:
            text = rng.choice(FILLER)
        return mangle(text, rng)


def mangle(text, rng):
    """Cuts, repeats and encodes, as attackers and honest clients do."""
    roll = rng.random()
    if roll < 0.1:
        text = text[: rng.randint(0, len(text))]
    elif roll < 0.2:
        text = rng.choice(FILLER) + rng.choice(" '\"`;/") + text
    elif roll < 0.27:
        text = text.swapcase()
    elif roll < 0.32:
        text = "".join(f"%{byte:02x}" if rng.random() < 0.5 else chr(byte)
                       for byte in text.encode("latin-1", "replace"))
    elif roll < 0.36:
        text = "".join(f"&#{ord(c)};" if rng.random() < 0.3 else c for c in text)
    elif roll < 0.4:
        text = "".join(f"\\u{ord(c):04x}" if rng.random() < 0.3 and ord(c) < 65536 else c
                       for c in text)
    elif roll < 0.43:
        text = text.replace(" ", "/**/")
    elif roll < 0.45:
        text = text.replace(" ", "\x00")
    return text[:600]


def quote(text, rng):
    data = text.encode("utf-8", "surrogateescape")
    return urllib.parse.quote_from_bytes(data, safe="" if rng.random() < 0.5 else "'()*;:@/!,")


def field(text):
    """As a field value: no line ends, no NUL, no blanks at its ends."""
    return re.sub(rb"[\x00-\x1f\x7f]", b" ", text.encode("utf-8", "replace")).strip()


def json_value(words, rng, depth=0):
    roll = rng.random()
    if depth < 3 and roll < 0.2:
        return {words.draw(rng)[:30] or "k": json_value(words, rng, depth + 1)
                for _ in range(rng.randint(0, 3))}
    if depth < 3 and roll < 0.3:
        return [json_value(words, rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return words.draw(rng) if roll < 0.9 else rng.choice((1, -2.5, True, None))


def pairs(words, rng):
    return "&".join(
        (quote(words.draw(rng)[:40], rng) if rng.random() < 0.15 else rng.choice(("id", "q", "a.b")))
        + "=" + quote(words.draw(rng), rng) for _ in range(rng.randint(1, 4)))


def body_of(words, rng):
    """A content type and a body."""
    roll = rng.random()
    if roll < 0.4:
        return b"application/x-www-form-urlencoded", pairs(words, rng).encode()
    if roll < 0.7:
        return b"application/json", json.dumps(json_value(words, rng)).encode()
    if roll < 0.8:
        inner = words.draw(rng).replace("&", "&amp;").replace("<", "&lt;")
        inner = re.sub(r"[^\t\n -\ud7ff]", "", inner)
        return b"application/xml", f'<?xml version="1.0"?><a b="c"><d>{inner}</d></a>'.encode()
    if roll < 0.9:
        # Not empty: the reference drops such a part, we keep it.
        name = field(words.draw(rng)[:40]).replace(b'"', b"").replace(b"\\", b"") or b"part"
        return (b"multipart/form-data; boundary=frontier",
                b'--frontier\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n'
                + field(words.draw(rng)) + b"\r\n--frontier--\r\n")
    return b"text/plain", words.draw(rng).encode("utf-8", "replace")


def request(words, rng):
    """One request as bytes: its framing is sound, so that only the rules decide."""
    # A question mark, however encoded, would end the reference's path (CVE-2024-1019).
    path = "/" + "/".join(quote(words.draw(rng)[:60].replace("?", ""), rng) if rng.random() < 0.2 else "api"
                          for _ in range(rng.randint(0, 3)))
    target = path + ("?" + pairs(words, rng) if rng.random() < 0.7 else "")
    headers = [b"Host: shop.example", b"User-Agent: Mozilla/5.0", b"Accept: */*"]
    if rng.random() < 0.2:
        name = rng.choice((b"Referer", b"X-Forwarded-For", b"X-Api", b"Accept-Language", b"Range"))
        headers.append(name + b": " + field(words.draw(rng)))
    if rng.random() < 0.2:
        headers.append(b"Cookie: s=" + field(words.draw(rng).replace(";", "")))
    body = b""
    method = b"GET"
    if rng.random() < 0.5:
        method = b"POST"
        kind_of_body, body = body_of(words, rng)
        headers += [b"Content-Type: " + kind_of_body, b"Content-Length: %d" % len(body)]
    return (method + b" " + target.encode() + b" HTTP/1.1\r\n" + b"\r\n".join(headers)
            + b"\r\n\r\n" + body)


def requests(files, count, seed):
    """`count` requests of a seed, by their number."""
    words, rng = Words(files), random.Random(seed)
    return {number: request(words, rng) for number in range(count)}
