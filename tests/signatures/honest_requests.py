#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Generates honest API requests from a seed, as NDJSON {"id","request_b64"} on standard output.

The values are what people and programs send to APIs and what signatures are known to stumble
over: names with apostrophes, prose with the words of SQL and of shells, code, markup, prices,
GraphQL, tokens, Base64, other scripts; the carriers are all those that the parser knows.
"""
import argparse
import base64
import gzip
import hashlib
import hmac
import json
import random
import string
import sys
import urllib.parse
import uuid

from wire import multipart, percent, request, xml_text

FIRST = ["Conor", "Siobhán", "D'Angelo", "Amélie", "Jürgen", "Владимир", "李", "さくら", "محمد", "Zoë",
         "N'Golo", "Ama", "Þór", "José", "Chloe", "T'Challa", "Ji-woo", "Łukasz", "दीपिका", "Noa"]
LAST = ["O'Brien", "O'Neill", "D'Souza", "van 't Hoff", "Müller", "Select", "Union", "Null", "Grant",
        "Drop", "Table", "Ødegård", "Иванов", "王", "田中", "Smith-Jones", "de la Cruz", "M'Bappé", "Or",
        "St. John's", "L'Écuyer", "Ñuñez", "Ó Súilleabháin", "Root", "Hex", "Case", "Like"]
PROSE = [
    "Please select the best option from our list where the price is lower, and order by date.",
    "The European Union select committee will update its report and delete the older one.",
    "Don't drop the table in the hall; insert the coins into the slot and wait for the delay.",
    "It's a rock 'n' roll thing - you either like it or you don't, 'cause that's how it is.",
    "The students' union and the teachers' union voted; 51% were for, 49% against.",
    "I said \"yes\" or \"no\" - and he said 'maybe'. 1 or 2 of them, or 3 = too many.",
    "Can't log in since Monday; error was: \"Invalid credentials\" (see /var/log/app.log).",
    "Use cat food; find more at the shop & ask for Sue; echo chambers are bad; sleep well!",
    "We had 5 guests and 3 = half of them left early; the rest > 1 hour.",
    "The script for the play is <b>bold</b> & the alert (see p. 12) is on the document.",
    "Having 2 or more children, or being like a 'parent' to one, is a condition.",
    "Who am I? Where's the id? The host is down; more info: https://status.example.com/?a=1&b=2",
    "Meeting at 10:30 -- bring the report -- and the #1 ranked idea; see ticket #4711.",
    "Please exec the plan, declare the goods, and grant access to the garden / the shed.",
    "Price drop! Was $19.99; now $14.99 (25% off) *while stocks last* - terms & conditions apply.",
    "My address is 12 King's Road, St. John's, Unit #4; call me on +44 20 7946 0958.",
    "Wait for the delay of '0:30' at most; the benchmark (2023) shows sleep (8 hours) matters.",
    "The union of A and B is a set; select any x in A where x > 0 and x < 5.",
    "Order by phone or by e-mail: sales@example.com; group by colour; limit 2 per customer.",
    "He's the admin's friend, the root of all evil; it's \"null\" and void; true or false?",
    "Réservé aujourd'hui à l'hôtel; l'été n'est pas fini, c'est-à-dire qu'il fait 30°C.",
    "Das Prüfungsergebnis ist 100% korrekt: '=' bedeutet gleich, '<>' ungleich.",
    "これは「テスト」です。価格は¥1,200（税込）です。選択してください。",
    "Заказ №42: доставить до 18:00, подъезд 3; код 1234#; оплата при получении.",
    "هذا نص تجريبي؛ الرجاء الاختيار من القائمة.",
    "ผู้ใช้งานแจ้งว่าเข้าสู่ระบบไม่ได้ 3 ครั้ง",
    "The dogs' bowls and cats' beds are in the garage; ask Mr. O'Shea or Mrs. D'Arcy.",
    "Rule 1: if x = 1 and y = 2 then stop. Rule 2: otherwise, go to step 3 or 4.",
    "AT&T; Marks & Spencer; Johnson & Johnson | P&G | R&D (50/50).",
    "I've tried turning it off and on again; it doesn't work -- what's next?",
    "The function of the heart: pump (blood); eval of patients: document.",
    "5 o'clock; 6 or 7 o'clock; '90s music; 'tis the season; the '80s and the '70s.",
    "Can you delete from my account the card ending 4242? And insert the new one; thanks!",
    "Our CEO's update: set goals = 3; values = trust, care; where we go from here...",
    "a) first; b) second; c) either (a) or (b), not both; d) none.",
    "The char (a fish) and the cast (of a play) convert people; count on it!",
    "Let me know whether 'a' = 'b' is what you meant? I'm not sure it's right.",
    "Temperature < 0 and > -10; humidity >= 40% && wind <= 5 m/s || rain.",
    "We're looking for engineers (m/f/d) with SQL, NoSQL & LDAP skills; PHP or Java a plus.",
    "The database version() function isn't documented; the user manual is at /docs/manual.pdf.",
    "`id` and `name` are required; `type` is optional | use `GET /users/{id}`",
    "Run `npm install` and then `node server.js`; open http://localhost:3000 in a browser.",
    "ping me when it's done; host is ready; type in your name; more later; kill time until 5.",
    "@everyone: stand-up at 9; #general for chat; $5 fee; 100%; ^top^; ~approx~; *stars*",
    "Error: Cannot read property 'id' of undefined (reading 'user') at line 12:5",
]
CODE = [
    "SELECT id, name FROM customers WHERE city = 'Paris' AND age > 30 ORDER BY name LIMIT 10",
    "SELECT o.id, COUNT(*) FROM orders o JOIN items i ON i.order_id = o.id GROUP BY o.id HAVING "
    "COUNT(*) > 3",
    "INSERT INTO products (name, price) VALUES ('Mug', 9.99);",
    "UPDATE users SET email = 'a@b.example' WHERE id = 17",
    "CREATE TABLE notes (id SERIAL PRIMARY KEY, body TEXT NOT NULL);",
    "for (let i = 0; i < items.length; i++) { console.log(items[i].name); }",
    "const total = items.reduce((sum, x) => sum + x.price * x.qty, 0);",
    "if (a === 'x' || b === 'y') { return `Hello ${user.name}`; }",
    "function add(a, b) { return a + b; }\nmodule.exports = { add };",
    "def greet(name):\n    \"\"\"Say hello.\"\"\"\n    return f\"Hello {name}!\"\n",
    "if name == 'admin' and role != 'user':\n    print(\"ok\")\n",
    "import os\nfrom pathlib import Path\nroot = Path(os.environ['HOME']) / 'data'\n",
    "class A:\n    def __init__(self, x):\n        self.x = x\n    def __repr__(self):\n        return 'A'",
    "public static void main(String[] args) { System.out.println(\"hi\"); }",
    "java.lang.NullPointerException: Cannot invoke \"String.length()\"\n\tat com.example.App.run("
    "App.java:42)\n\tat java.base/java.lang.Thread.run(Thread.java:833)",
    "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    "
    "raise ValueError('x')\nValueError: x",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 42); return 0; }",
    "fn main() { let v: Vec<i32> = vec![1, 2, 3]; println!(\"{:?}\", v); }",
    "<div class=\"card\"><h2>Title</h2><p>Text &amp; more</p></div>",
    "<button onClick={handleClick} disabled={!ready}>Save</button>",
    "body { margin: 0; background: url('img/bg.png') no-repeat; } a:hover { color: #f00; }",
    "FROM node:20-alpine\nWORKDIR /app\nCOPY . .\nRUN npm ci\nCMD [\"node\", \"server.js\"]",
    "version: '3'\nservices:\n  web:\n    image: nginx:1.25\n    ports:\n      - \"80:80\"\n",
    "git commit -m \"Fix #12: don't crash\" && git push origin main",
    "curl -H 'Accept: application/json' https://api.example.com/v1/users?id=7",
    "^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}$",
    "(?P<year>\\d{4})-(?P<month>\\d{2})|(\\w+)\\s*=\\s*\"([^\"]*)\"",
    "{{#each items}}<li>{{name}} - {{price}}</li>{{/each}}",
    "Hello {{first_name}}, your order ${order.id} ships on {{date | format}}.",
    "{% if user.active %}Hi {{ user.name }}{% else %}Bye{% endif %}",
    "E = mc^2; \\frac{a}{b} + \\sqrt{x} \\leq \\sum_{i=0}^{n} x_i",
    "=SUM(A1:A10)*1.2", "=IF(B2>10,\"high\",\"low\")", "0 */6 * * 1-5", "*/15 9-17 * * mon-fri",
    "std::vector<int> v{1, 2}; std::sort(v.begin(), v.end()); parent::method();",
    "import { a } from '../lib/util'; import b from '../../shared/b.js';",
    "try { await save(); } catch (e) { alert('Save failed: ' + e.message); }",
    "export PATH=$PATH:/usr/local/bin; echo $HOME",
    "[alice@host ~]$ ls -la\ntotal 8\ndrwxr-xr-x 2 alice alice 4096 Jan  1 00:00 .",
    "db.users.find({ age: { $gte: 18 } }).sort({ name: 1 })",
    "df = df[(df['a'] > 1) & (df['b'] < 5) | (df['c'] == 'x')]",
    "x = y if y or z else None  # don't ask",
    "<?xml version=\"1.0\"?><note><to>Tove</to><body>Don't forget me!</body></note>",
    "WHERE status IN ('open', 'closed') AND created_at BETWEEN '2024-01-01' AND '2024-12-31'",
    "print('a' or 'b'); x = \"it's\" and 'that\"s'",
    "#!/usr/bin/env bash\nset -euo pipefail\nfor f in *.txt; do wc -l \"$f\"; done",
]
MARKDOWN = [
    "# Title\n\nSome *emphasis* and **strong** text with `code` and a [link](https://example.com).\n",
    "| id | name | price |\n|----|------|-------|\n| 1 | Mug | $9.99 |\n| 2 | Cap | $12 |\n",
    "```sql\nSELECT * FROM t WHERE a = 1;\n```\n\nand\n\n```js\nlet x = a < b ? 1 : 2;\n```\n",
    "> quote's quote\n\n- item 1\n- item 2\n  - [ ] todo\n  - [x] done\n\n---\n",
    "![logo](../assets/logo.png) and <img src=\"https://cdn.example.com/a.png\" alt=\"it's a logo\">",
    "1. Run `ls`\n2. Run `cat README.md`\n3. `rm` the old file | keep the new one\n",
    "Footnote[^1]; H~2~O; x^2^; :smile: ~~gone~~ <br/> &nbsp; &copy; 2024",
    "<p>Rich <strong>text</strong> with <a href=\"https://example.com/?a=1&amp;b=2\">a link</a></p>",
    "<table style=\"width:100%\"><tr><td>1</td><td>O'Brien</td></tr></table>",
    "<ul><li>select</li><li>union</li></ul><h1 class='x'>It's here</h1>",
]
GRAPHQL = [
    "query { user(id: \"42\") { name email orders(first: 10) { edges { node { id total } } } } }",
    "mutation Add($in: ItemInput!) { addItem(input: $in) { id name price } }",
    "query Search($q: String = \"O'Brien\") { search(text: $q, where: {price: {_gt: 5}}) { id } }",
    "fragment F on User { id ...on Admin { role } } query Q { me { ...F } }",
    "subscription { orderUpdated(filter: {status: OPEN, total_gte: 10.5}) { id } }",
    "{ __typename products(orderBy: PRICE_DESC, limit: 5) { name @include(if: $full) } }",
]
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "curl/8.5.0", "python-requests/2.32.3", "okhttp/4.12.0", "Go-http-client/1.1",
    "PostmanRuntime/7.39.0", "axios/1.7.2", "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/X)",
    "Apache-HttpClient/4.5.14 (Java/17.0.9)", "kube-probe/1.29", "Prometheus/2.53.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Stripe/1.0 (+https://stripe.com/docs/webhooks)", "GitHub-Hookshot/f1a2b3c",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "MyApp/3.2.1 (build 417; O'Reilly)",
]
LANGUAGES = ["en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "ja", "fr-CH, fr;q=0.9, *;q=0.5"]
RESOURCES = ["users", "orders", "items", "products/search", "payments", "files", "events",
             "select", "union/members", "tables", "groups", "admin/users", "metadata", "scripts"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.own = False  # the target is the client itself

    def pick(self, values):
        return self.random.choice(values)

    def chance(self, share):
        return self.random.random() < share

    def data(self, size):
        return self.random.randbytes(size)

    def uuid(self):
        return str(uuid.UUID(bytes=self.data(16), version=4))

    def name(self):
        return f'{self.pick(FIRST)} {self.pick(LAST)}'

    def token(self):
        head = {'alg': self.pick(['HS256', 'RS256', 'ES256']), 'typ': 'JWT', 'kid': self.uuid()}
        claims = {'sub': self.uuid(), 'name': self.name(), 'iat': 1700000000, 'admin': False,
                  'scope': 'read:orders write:orders', 'iss': 'https://id.example.com/'}
        parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip('=')
                 for p in (head, claims)]
        signature = hmac.new(self.data(16), '.'.join(parts).encode(), hashlib.sha256).digest()
        return '.'.join(parts + [base64.urlsafe_b64encode(signature).decode().rstrip('=')])

    def base64(self):
        content = self.pick([
            lambda: self.data(self.random.randint(6, 300)),
            lambda: self.pick(PROSE).encode(),
            lambda: json.dumps({'page': 2, 'after': self.uuid(), 'sort': "name's"}).encode(),
            lambda: b'\x89PNG\r\n\x1a\n' + self.data(120),
            lambda: gzip.compress(self.pick(PROSE).encode(), mtime=0),
            lambda: self.pick(CODE).encode(),
        ])()
        encode = self.pick([base64.b64encode, base64.urlsafe_b64encode])
        text = encode(content).decode()
        return text.rstrip('=') if self.chance(0.3) else text

    def url(self):
        return self.pick([
            f'https://example.com/p/{self.uuid()}?utm_source=a&utm_medium=b',
            "https://shop.example.co.uk/o'brien/select?from=home&where=uk",
            f'https://hooks.example.net/services/T{self.random.randint(1, 99999)}/B/x',
            'https://sub.domain.example.org:8443/a/b;c=1/d?x=%5B1%2C2%5D#frag',
            'http://192.0.2.33:8080/status', 'https://10.example.com/127/0/0/1',
            'https://cdn.example.com/images/../images/logo.svg?v=1.2.3',
            'mailto:jane.doe@example.com?subject=Hi%20there', 'ftp://ftp.example.com/pub/a.zip',
            'https://user-content.example.com/localhost-guide.html', 'http://localhostess.example/',
            'myapp://open/item/42', 'https://xn--mnchen-3ya.example/stra%C3%9Fe',
            'https://169.example.com/254/169/254', 'https://www.example.com/metadata/latest.json',
        ])

    def scalar_text(self):
        r = self.random
        return self.pick([
            lambda: self.name(), lambda: self.name(), lambda: self.pick(PROSE),
            lambda: self.pick(PROSE), lambda: ' '.join(r.sample(PROSE, 2)),
            lambda: self.pick(CODE), lambda: self.pick(CODE), lambda: self.pick(MARKDOWN),
            lambda: self.pick(MARKDOWN) + '\n' + self.pick(PROSE), lambda: self.pick(GRAPHQL),
            self.uuid, self.base64, self.base64, self.token, self.url, self.url,
            lambda: f'{r.randint(0, 9999)}.{r.randint(0, 99):02d}',
            lambda: f'{self.pick("$€£¥₹")}{r.randint(1, 99999):,}.{r.randint(0, 99):02d}',
            lambda: f'{r.randint(1, 99)}% off; was ${r.randint(10, 99)}',
            lambda: f'2024-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}T10:{r.randint(0, 59):02d}:00'
                    '+02:00',
            lambda: f'{r.randint(1, 12)}/{r.randint(1, 28)}/2024',
            lambda: f'+{r.randint(1, 99)} ({r.randint(100, 999)}) {r.randint(100, 999)}-'
                    f'{r.randint(1000, 9999)}',
            lambda: f'{r.uniform(-90, 90):.6f},{r.uniform(-180, 180):.6f}',
            lambda: f"{self.pick(FIRST)}.{r.randint(1, 99)}@o'mail.example.com",
            lambda: ''.join(r.choices(string.printable.strip(), k=r.randint(8, 20))).replace(
                '<', 'l').replace('$', 's').replace("'", 'q').replace('`', 'b').replace('|', 'i')
            .replace(';', ':').replace('"', 'd').replace('(', 'c').replace('&', 'n'),
            lambda: hashlib.sha256(self.data(8)).hexdigest(),
            lambda: '0x' + self.data(r.choice([4, 8, 20])).hex(),
            lambda: '#' + self.data(3).hex(), lambda: f'v{r.randint(0, 9)}.{r.randint(0, 30)}.1-rc.2',
            lambda: f'{r.randint(1, 255)}.{r.randint(0, 255)}.{r.randint(0, 255)}.7',
            lambda: self.pick(['127.0.0.1', '::1', '10.1.2.3', '2001:db8::17', '192.168.0.10/24']),
            lambda: self.pick(['name,-created_at', 'id|name|price', 'asc', 'a;b;c', 'a,b,c', '*', 'all',
                               'price:desc,name:asc', 'user.name', 'items[0].id', '$.store.book[0]',
                               'status:open AND assignee:me', 'name eq \'Milk\' and price lt 2.55',
                               'age>20;name==*son', "title:\"rock 'n' roll\"", '-draft +final',
                               '>=1.2 <2.0', '~1.4 || ^2.0', 'text/html; charset=utf-8',
                               'application/json', 'W/"67ab43"', 'en_GB', 'Europe/Paris', 'admin',
                               'select', 'union', 'null', 'true', 'undefined', 'NaN', 'None',
                               'script', 'root', 'Robert', 'true && false', '50/50', '1-2', '3+4=7',
                               'C:\\Users\\Jane\\Documents\\report.pdf', '/home/jane/report.pdf',
                               '/usr/local/share/app', 'docs/2024/../2023', '\\\\server\\share\\x',
                               '~/notes.txt', 'report (final).docx', 'a/b/c.tar.gz', './build',
                               'image/png', 'data:image/png;base64,iVBORw0KGgo=', ':)', '<3',
                               '-->', '<- back', '¯\\_(ツ)_/¯', '😀👍🏽', 'C++', 'C#', 'R&D', 'A/B',
                               "it's", "'quoted'", '"quoted"', "''", '--', '#', ';', '%', '100%', '&',
                               '|', '?', '!', '()', '[]', '{}', '<>', '$', '`', '^', '~', '@me'])])()

    def string_of_json(self):
        value = self.object(1)
        return json.dumps(value, ensure_ascii=self.chance(0.5))

    def value(self, depth):
        r = self.random
        kind = r.random()
        if depth > 0 and kind < 0.12:
            return self.object(depth - 1)
        if depth > 0 and kind < 0.2:
            return [self.value(depth - 1) for _ in range(r.randint(0, 4))]
        if kind < 0.3:
            return self.pick([True, False, None, 0, 1, -1, r.randint(0, 10**9), r.random() * 1000])
        if depth > 0 and kind < 0.34:
            return self.string_of_json()
        return self.scalar_text()

    def key(self):
        return self.pick([
            'name', 'title', 'description', 'comment', 'q', 'query', 'filter', 'sort', 'fields', 'id',
            'user_id', 'email', 'address', 'tags', 'body', 'content', 'message', 'note', 'code',
            'callback_url', 'url', 'path', 'type', 'status', 'state', 'cursor', 'token', 'data', 'meta',
            'snippet', 'template', 'select', 'from', 'where', 'order', 'group', 'table', 'script',
            'first-name', 'x.y', 'created_at', 'price', 'amount', 'currency', 'lang', 'utm_source',
            'items[]', 'user[name]', 'filter[status]', 'page[size]', '$filter', '$top', '$orderby',
            '@type', '@id', '$schema', '$ref', '$set', '_links', 'proto', 'constructor_name', 'kid'])

    def object(self, depth):
        result = {}
        for _ in range(self.random.randint(1, 6)):
            key = self.key()
            result[key] = self.pick(['Person', 'Product', 'https://schema.org/Offer']) \
                if key in ('@type', '$schema', '$ref') else self.value(depth)
        if self.chance(0.08):
            role = self.pick(['member', 'editor', 'viewer', 'admin', 'administrator'])
            if not self.own:  # nobody names a role of his own
                result['role'] = role
        if self.chance(0.05):
            result['is_admin'] = False
        return result

    def fields(self):
        out = [('User-Agent', self.pick(AGENTS)), ('Accept', self.pick(['*/*', 'application/json'])),
               ('Accept-Encoding', 'gzip, deflate, br')]
        if self.chance(0.6):
            out.append(('Accept-Language', self.pick(LANGUAGES)))
        kind = self.random.random()
        if kind < 0.5:
            out.append(('Authorization', 'Bearer ' + self.token()))
        elif kind < 0.65:
            pair = f"{self.pick(LAST)}:{self.pick(PROSE)[:12]}"
            out.append(('Authorization', 'Basic ' + base64.b64encode(pair.encode()).decode()))
        elif kind < 0.75:
            out.append(('X-Api-Key', self.data(20).hex()))
        if self.chance(0.4):
            out.append(('Cookie', self.cookies()))
        if self.chance(0.3):
            out.append(('Referer', self.pick(['https://app.example.com/orders?tab=1',
                                              'http://localhost:3000/', self.url()])))
        if self.chance(0.3):
            out.append(('Origin', self.pick(['https://app.example.com', 'http://localhost:3000'])))
        if self.chance(0.3):
            out.append(('X-Request-Id', self.uuid()))
            out.append(('traceparent', f'00-{self.data(16).hex()}-{self.data(8).hex()}-01'))
        if self.chance(0.3):
            out.append(('X-Forwarded-For', f'203.0.113.{self.random.randint(1, 254)}, 10.0.0.1'))
        if self.chance(0.2):
            out.append(('If-None-Match', f'W/"{self.data(8).hex()}", "x"'))
        if self.chance(0.2):
            out.append(('sec-ch-ua', '"Chromium";v="126", "Not/A)Brand";v="8", "Google Chrome";v="126"'))
        if self.chance(0.1):
            out.append(('Prefer', 'return=representation; wait=10'))
        return out

    def cookies(self):
        r = self.random
        options = [f'session={self.data(16).hex()}', f'_ga=GA1.2.{r.randint(1, 10**9)}.1700000000',
                   f'jwt={self.token()}', 'theme=dark', f'cart={percent(json.dumps({"i": [1, 2]}))}',
                   f'name={percent(self.name())}', f'csrf={base64.b64encode(self.data(18)).decode()}',
                   'consent={"ads":false,"stats":true}', f'prefs="lang=en&tz=Europe/Paris"',
                   f'last={percent(self.url())}', 'AMCV_1=-408604571|MCIDTS|19900|MCMID|123']
        return '; '.join(r.sample(options, r.randint(1, 5)))

    def query(self):
        pairs = []
        for _ in range(self.random.randint(0, 5)):
            quote = self.pick([percent, lambda t: urllib.parse.quote_plus(t.encode(), safe="'()*,;:@/")])
            pairs.append(percent(self.key()) + '=' + quote(self.scalar_text()[:400]))
        return '&'.join(pairs)

    def target(self):
        path = '/v1/' + self.pick(RESOURCES)
        if self.chance(0.5):
            path += '/' + self.pick([self.uuid, lambda: str(self.random.randint(1, 10**6)),
                                     lambda: percent(self.name()), lambda: 'me',
                                     lambda: percent(self.pick(['report 1.pdf', "o'brien", 'C#'])),
                                     lambda: 'select'])()
        query = self.query()
        return path + ('?' + query if query else '')

    def request(self):
        r = self.random
        kind = r.random()
        target, fields = self.target(), self.fields()
        self.own = target.partition('?')[0] == '/v1/users/me'
        if kind < 0.3:
            return request(self.pick(['GET', 'GET', 'GET', 'HEAD', 'DELETE']), target, fields)
        method = self.pick(['POST', 'POST', 'PUT', 'PATCH'])
        if kind < 0.66:
            body = self.object(3) if self.chance(0.9) else [self.object(2) for _ in range(3)]
            text = json.dumps(body, ensure_ascii=self.chance(0.4), indent=2 if self.chance(0.2) else None)
            return request(method, target, fields, text.encode(), self.pick(
                ['application/json', 'application/json; charset=utf-8', 'application/vnd.api+json',
                 'application/merge-patch+json']))
        if kind < 0.78:
            body = urllib.parse.urlencode([(self.key(), self.scalar_text())
                                           for _ in range(r.randint(1, 6))])
            return request(method, target, fields, body.encode(), 'application/x-www-form-urlencoded')
        if kind < 0.86:
            parts = [(self.key().replace('"', ''), None, None, self.scalar_text())
                     for _ in range(r.randint(1, 3))]
            parts.append(('file', self.pick(["o'brien.pdf", 'report (1).docx', '写真.png', 'a b.csv']),
                          'application/octet-stream', self.data(200)))
            raw = multipart(parts, target)
            return raw
        if kind < 0.91:
            text = ''.join(f'<{tag}>{xml_text(self.printable())}</{tag}>'
                           for tag in r.sample(['name', 'note', 'price', 'url', 'code'], 3))
            return request(method, target, fields,
                           f'<?xml version="1.0" encoding="UTF-8"?><order id="7">{text}</order>'
                           .encode(), 'application/xml')
        if kind < 0.96:
            body = {'query': self.pick(GRAPHQL), 'variables': {'q': self.scalar_text(), 'first': 10}}
            return request('POST', '/graphql', fields, json.dumps(body).encode(), 'application/json')
        if kind < 0.98:
            return request(method, target, fields, self.pick(PROSE).encode(), 'text/plain')
        return request(method, target, fields, self.data(400), 'application/octet-stream')

    def printable(self):
        return ''.join(c for c in self.scalar_text() if c >= ' ')


def requests(count, seed):
    maker = Maker(seed)
    return {f'honest-{seed}-{n}': maker.request() for n in range(count)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=10000)
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    for key, raw in requests(options.count, options.seed).items():
        sys.stdout.write(json.dumps({'id': key, 'request_b64': base64.b64encode(raw).decode()}) + '\n')


if __name__ == '__main__':
    main()
