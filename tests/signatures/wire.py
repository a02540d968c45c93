# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Builds raw requests that carry one value in one encoding, and asks an offline engine about many.

An encoding names the place of the value and what was done to it, for instance "query",
"query-double", "json-unicode", "json-nested", "base64", "header:Referer", "name-json".
"""
import base64
import json
import shlex
import subprocess
import urllib.parse

HOST = 'api.example.com'
AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'


def octets(text):
    """Vectors write a byte above 0x7f that is not UTF-8 as a lone surrogate (\\udc80..\\udcff)."""
    return text.encode('utf-8', 'surrogateescape')


def percent(text):
    return urllib.parse.quote_from_bytes(octets(text), safe='')


def percent_all(text):
    return ''.join(f'%{b:02x}' for b in octets(text))


def request(method='GET', target='/v1/items', fields=(), body=b'', content_type=None, agent=AGENT):
    lines = [f'{method} {target} HTTP/1.1'.encode('latin-1', 'surrogateescape'),
             f'Host: {HOST}'.encode()]
    names = {name.lower() for name, _ in fields}
    if agent and 'user-agent' not in names:
        lines.append(f'User-Agent: {agent}'.encode())
    if 'accept' not in names:
        lines.append(b'Accept: application/json')
    for name, value in fields:
        lines.append(octets(name) + b': ' + octets(value))
    if content_type:
        lines.append(b'Content-Type: ' + content_type.encode())
    if body or method in ('POST', 'PUT', 'PATCH'):
        lines.append(b'Content-Length: ' + str(len(body)).encode())
    return b'\r\n'.join(lines) + b'\r\n\r\n' + body


def post_json(text, method='POST', target='/v1/items', fields=()):
    return request(method, target, fields, octets(text), 'application/json')


def post_form(text, target='/v1/items'):
    return request('POST', target, (), octets(text), 'application/x-www-form-urlencoded')


def multipart(parts, target='/v1/upload'):
    """parts: (name, filename or None, content type or None, content)"""
    mark, out = b'----sluice7d29c1', b''
    for name, filename, content_type, content in parts:
        out += b'--' + mark + b'\r\nContent-Disposition: form-data; name="' + octets(name) + b'"'
        if filename is not None:
            out += b'; filename="' + octets(filename) + b'"'
        if content_type:
            out += b'\r\nContent-Type: ' + content_type.encode()
        out += b'\r\n\r\n' + (content if isinstance(content, bytes) else octets(content)) + b'\r\n'
    out += b'--' + mark + b'--\r\n'
    return request('POST', target, (), out, 'multipart/form-data; boundary=' + mark.decode())


def xml_text(text):
    return (text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
            .replace('"', '&quot;'))


def unicode_escapes(text):
    return ''.join(f'\\u{ord(c):04x}' for c in text)


def base64_text(text):
    return base64.b64encode(octets(text)).decode()


def base64_url(text):
    return base64.urlsafe_b64encode(octets(text)).decode().rstrip('=')


def json_string(text):
    return json.dumps(text, ensure_ascii=False)


def wrap(encoding, value, name='value'):
    """The raw request that carries the value."""
    kind, _, argument = encoding.partition(':')
    if kind == 'header':
        return request(fields=[(argument, value)])
    if kind == 'raw':
        return request('POST', '/v1/items', (), octets(value), argument or 'text/plain')
    if kind == 'part':  # the content of an uploaded file of this type
        return multipart([('file', 'upload.bin', argument, value)])
    if kind == 'named':  # the value under a given argument name
        return request(target=f'/v1/items?{percent(argument)}={percent(value)}')
    if kind == 'named-json':
        return post_json(json.dumps({argument: value}))
    if kind == 'json-bare':  # argument is the name, the value is JSON itself
        return post_json('{%s:%s}' % (json_string(argument), value))
    if kind == 'json-at':  # the value is a body of JSON, sent to this path
        return post_json(value, target=argument)
    if kind == 'method':
        return request(method=value)
    table = {
        'query': lambda: request(target=f'/v1/items?{name}={percent(value)}'),
        'query-plus': lambda: request(
            target=f'/v1/items?{name}=' + urllib.parse.quote_plus(octets(value), safe="'()*;")),
        'query-full': lambda: request(target=f'/v1/items?{name}={percent_all(value)}'),
        'query-double': lambda: request(target=f'/v1/items?{name}={percent(percent_all(value))}'),
        'query-raw': lambda: request(target=f'/v1/items?{name}={value}'),
        'form': lambda: post_form(f'{name}={percent(value)}'),
        'form-double': lambda: post_form(f'{name}={percent(percent(value))}'),
        'json': lambda: post_json('{%s:%s}' % (json_string(name), json_string(value))),
        'json-unicode': lambda: post_json('{"%s":"%s"}' % (name, unicode_escapes(value))),
        'json-deep': lambda: post_json(json.dumps({'order': {'items': [{'id': 7, name: value}]}})),
        'json-nested': lambda: post_json(json.dumps({'payload': json.dumps({name: value})})),
        'json-nested-unicode': lambda: post_json(
            json.dumps({'payload': '{"%s":"%s"}' % (name, unicode_escapes(value))})),
        'json-raw': lambda: post_json(value),
        'json-percent': lambda: post_json(json.dumps({name: percent_all(value)})),
        'base64': lambda: post_json(json.dumps({name: base64_text(value)})),
        'base64-query': lambda: request(target=f'/v1/items?{name}={percent(base64_text(value))}'),
        'base64-cookie': lambda: request(fields=[('Cookie', f'state={base64_text(value)}')]),
        'base64-path': lambda: request(target=f'/v1/items/{percent(base64_text(value).rstrip("="))}'),
        'base64url-query': lambda: request(target=f'/v1/items?{name}={base64_url(value)}'),
        'base64url-json': lambda: post_json(json.dumps({name: base64_url(value)})),
        'base64url-cookie': lambda: request(fields=[('Cookie', f'state={base64_url(value)}')]),
        'basic': lambda: request(fields=[('Authorization', 'Basic ' + base64_text(value))]),
        'basic-lower': lambda: request(
            fields=[('authorization', 'basic ' + base64_text(value))]),
        'basic-spaces': lambda: request(
            fields=[('Authorization', 'Basic  ' + base64_text(value) + ' ')]),
        'xml': lambda: request('POST', '/v1/items', (), octets(
            f'<?xml version="1.0"?><order><note>{xml_text(value)}</note></order>'),
            'application/xml'),
        'xml-later': lambda: request('POST', '/v1/items', (), octets(
            f'<?xml version="1.0"?>\n<order>\n <id>A-7</id>\n <note>{xml_text(value)}</note>\n'
            ' <items><item>2</item></items>\n</order>'), 'text/xml'),
        'xml-cdata': lambda: request('POST', '/v1/items', (), octets(
            f'<order>first<note><![CDATA[{value}]]></note><item>2</item></order>'),
            'application/soap+xml'),
        'xml-attribute': lambda: request('POST', '/v1/items', (), octets(
            f'<order note="{xml_text(value)}"/>'), 'text/xml'),
        'xml-raw': lambda: request('POST', '/v1/items', (), octets(value), 'application/xml'),
        'multipart': lambda: multipart([(name, None, None, value)]),
        'filename': lambda: multipart([('file', value, 'application/octet-stream', b'x')]),
        'cookie': lambda: request(fields=[('Cookie', f'theme=dark; {name}={value}')]),
        'cookie-percent': lambda: request(fields=[('Cookie', f'{name}={percent(value)}')]),
        'path': lambda: request(target=f'/v1/items/{percent(value)}'),
        'path-double': lambda: request(target=f'/v1/items/{percent(percent_all(value))}'),
        'target': lambda: request(target=value),
        'target-query': lambda: request(target=value + '?page=2'),
        'target-post': lambda: post_json('{"a":1}', target=value),
        'filename-image': lambda: multipart([('photo', value, 'image/png', b'\x89PNG')]),
        'filename-second': lambda: multipart([('note', None, None, 'x'), ('f', value, None, b'x')]),
        'name-header-lower': lambda: request(fields=[(value.lower(), '1')]),
        'name-header-upper': lambda: request(fields=[(value.upper(), '1')]),
        'method-query': lambda: request(method=value, target='/v1/items?page=2'),
        'method-body': lambda: post_json('{"a":1}', method=value),
        'name': lambda: request(target=f'/v1/items?{percent(value)}=1'),
        'name-raw': lambda: request(target=f'/v1/items?{value}=1'),
        'name-form': lambda: post_form(f'{percent(value)}=1'),
        'name-double': lambda: request(target=f'/v1/items?{percent(percent_all(value))}=1'),
        'name-json': lambda: post_json('{%s:"1"}' % json_string(value)),
        'name-header': lambda: request(fields=[(value, '1')]),
        'html': lambda: post_json(
            json.dumps({name: ''.join(f'&#{ord(c)};' for c in value)})),
    }
    return table[kind]()


def ask(command, requests):
    """requests: {id: raw}; answers {id: (verdict, set of rule ids)}"""
    feed = ''.join(json.dumps({'id': key, 'request_b64': base64.b64encode(raw).decode()}) + '\n'
                   for key, raw in requests.items())
    argv = shlex.split(command) if isinstance(command, str) else command
    run = subprocess.run(argv, input=feed.encode(), stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise SystemExit(f'{command}: exit status {run.returncode}')
    answers = {}
    for line in run.stdout.splitlines():
        answer = json.loads(line)
        answers[answer['id']] = (answer['verdict'], {rule['id'] for rule in answer['rules']})
    missing = set(requests) - set(answers)
    if missing:
        raise SystemExit(f'no answer to {sorted(missing)[:3]}')
    return answers
