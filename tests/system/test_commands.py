#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Every command of sluicectl against a live pair of processes: exit statuses and JSON shapes as the
interface promises them, errors included."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess

import lab

DONE, NO, USAGE, INVALID, UNREACHABLE, REFUSED, TIMEOUT = range(7)
RULES = r'''SecRequestBodyAccess On
SecRule ARGS "@contains evil-marker" \
  "id:1001,phase:2,deny,status:403,msg:'marker',severity:'CRITICAL',tag:'test'"
'''
BROKEN = 'SecRule ARGS "@rx (" "id:1,phase:2,deny"\nSecRule NOWHERE "@rx x" "id:2,phase:2,deny"\n'
UNKNOWN_EVENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

# Shapes: a type, a list of one shape, keys that must be there, or any(...) of several.
NUMBER, TEXT, TRUTH = (int, float), str, bool
OBJECT, LIST = dict, list


class either(tuple):  # pylint: disable=invalid-name
    """One of several shapes."""


NULLABLE = either((int, None))
DIAGNOSTIC = {"file": TEXT, "line": int, "column": int, "message": TEXT}
PUSH = {"generation": NULLABLE, "state": TEXT, "errors": [DIAGNOSTIC], "warnings": [DIAGNOSTIC],
        "compile_ms": int, "publish_ms": int, "exit": int}
ERROR = {"error": TEXT, "exit": int}
SIDE = {"device": TEXT, "up": TRUTH}
STATUS = {"daemon": {"version": TEXT, "pid": int}, "mode": TEXT, "bypass": TRUTH,
          "dataplane": {"state": TEXT, "pid": NULLABLE, "workers": [
              {"lcore": int, "rx_packets": int, "requests": int, "drops": int, "stalled": TRUTH}]},
          "links": [{"name": TEXT, "inside": SIDE, "outside": SIDE}],
          "generation": {"live": NULLABLE, "staged": NULLABLE},
          "records": {"written": int, "lost": int},
          "rates": {"requests_per_s": NUMBER, "rx_packets_per_s": NUMBER, "rx_bits_per_s": NUMBER,
                    "drops_per_s": NUMBER},
          "services": [{"name": TEXT, "mode": TEXT, "mode_switch": either((TEXT, None))}]}
VERDICT = {"verdict": TEXT, "status": int, "reason": TEXT, "meaning": TEXT, "phase": int, "scores": {"inbound": int},
           "bytes": {"inspected": int, "total": int}, "exact": TRUTH, "limits": LIST,
           "method": TEXT, "uri": TEXT, "generation": int,
           "rules": [{"id": int, "phase": int, "msg": TEXT, "severity": TEXT, "tags": LIST,
                      "target": TEXT, "value": TEXT, "score": int}]}
COUNTERS = {"dataplane": {"state": TEXT, "pid": int}, "workers": [{"lcore": int, "drops": OBJECT, "ports": LIST, "scans": int}],
            "requests": [{"service": TEXT, "verdict": TEXT, "reason": TEXT, "count": int}]}
ROW = {"key": TEXT, "count": int, "blocked": int}
TOP = {"requests": int, "blocked": int, "rate": NUMBER, "clients": [ROW], "routes": [ROW],
       "services": [ROW], "rules": [ROW], "reasons": [ROW]}
EVENT = {"timestamp": TEXT, "event_type": TEXT, "sluice": OBJECT}
ALERT = {**EVENT, "src_ip": TEXT, "src_port": int, "dest_ip": TEXT, "dest_port": int, "proto": TEXT,
         "http": {"hostname": TEXT, "url": TEXT, "http_method": TEXT},
         "alert": {"action": TEXT, "signature_id": int, "signature": TEXT, "severity": int,
                   "rules": [{"id": int, "phase": int, "target": TEXT}]},
         "sluice": {"event_id": TEXT, "verdict": TEXT, "reason": TEXT, "generation": int}}
EXPLAIN = {"event_id": TEXT, "verdict": TEXT, "reason": TEXT, "meaning": TEXT, "generation": int,
           "bytes": OBJECT, "records": [OBJECT], "rules": [{"id": int, "text": TEXT,
                                                            "target": TEXT, "steps": LIST}]}
GENERATIONS = {"live": NULLABLE, "staged": NULLABLE,
               "generations": [{"generation": int, "state": TEXT, "live": TRUTH, "staged": TRUTH,
                                "rules": int, "kind": TEXT, "who": TEXT}]}
CONFIG = {"valid": TRUTH, "errors": [DIAGNOSTIC], "warnings": [DIAGNOSTIC], "rules": int}
BUNDLE = {"name": TEXT, "version": int, "policy": TEXT, "key_id": TEXT, "files": [TEXT],
          "state": TEXT}
COST = {"requests": int, "ns": int, "rules": [{"id": int, "evaluations": int, "matches": int,
                                               "ns": int}]}
RULES_TEST = {"rules": int, "image_bytes": int, "warnings": [DIAGNOSTIC]}
REPORT = {"requests": int, "blocked": int}

ONLINE = (("status",), ("push",), ("stage",), ("unstage",), ("promote",), ("rollback",),
          ("generations",), ("mode", "block"), ("bypass", "off"), ("counters",), ("top", "--once"),
          ("events",), ("explain", UNKNOWN_EVENT), ("report", "--output", "-"))
WRONG_USAGE = ((), ("nonsense",), ("status", "--no-such"), ("mode",), ("mode", "sideways"),
               ("bypass",), ("bypass", "perhaps"), ("explain",), ("events", "--since", "soon"),
               ("events", "--type", "gossip"), ("report", "--since", "soon"), ("config",),
               ("rules",), ("rules", "test"), ("rules", "cost"), ("bundle",), ("bundle", "build"),
               ("bundle", "sign"), ("bundle", "verify"), ("bundle", "install"), ("replay",),
               ("replay", "/none.pcap"), ("rollback", "yesterday"), ("rollback", "-1"), ("rollback", "0"),
               ("counters", "--interval", "x"), ("counters", "--watch", "--interval", "0"),
               ("bundle", "build", "--name", "a", "--version", "-1", "--output", "x", "/etc/hostname"),
               ("bundle", "build", "--name", "a", "--version", "1", "--output", "x"),
               ("bundle", "build", "--name", "A/b", "--version", "1", "--output", "x", "/etc/hostname"),
               ("check", "/dev/null"), ("top", "--count", "0"), ("top", "--count", "-1"), ("top", "--interval", "-2"),
               ("events", "--since", "-5min"), ("events", "--limit", "-1"), ("events", "--rule", "x"),
               ("events", "--client", "10.77.0"), ("events", "--client", "10.0.0.0/33"), ("events", "--reason", "gossip"),
               # A variable of a script that is not set.
               ("mode", "off", "--service", ""), ("mode", "off", "--service="), ("push", ""), ("stage", ""), ("explain", ""))


def differs(value, shape, at="answer"):
    """Where a value is not of a shape; empty: nowhere."""
    if shape is None:
        return "" if value is None else f"{at} is {value!r}, not null"
    if isinstance(shape, either):
        found = [differs(value, one, at) for one in shape]
        return "" if "" in found else found[0]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{at} is {value!r}, not an object"
        for key, of in shape.items():
            if key not in value:
                return f"{at} has no {key}: {value}"
            if found := differs(value[key], of, f"{at}.{key}"):
                return found
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{at} is {value!r}, not a list"
        return next((found for i, entry in enumerate(value)
                     if (found := differs(entry, shape[0], f"{at}[{i}]"))), "")
    right = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return "" if right else f"{at} is {value!r}, not {shape}"


def expect(it, words, exit_status, shape=None, lines=False):
    """Runs a command for people and for programs; both say the exit status. With a shape: the JSON
    of the second, one document, or with `lines` one in each line. Returns what it was."""
    # What changes something runs once, for programs.
    changing = words and words[0] in ("push", "stage", "unstage", "promote", "rollback", "bundle")
    if not changing:
        done = it.ctl(*words, check=False)
        lab.check(done.returncode == exit_status,
                  f"{words}: status {done.returncode}, not {exit_status}\n{done.stdout}{done.stderr}")
        lab.check(exit_status in (DONE, NO) or done.stderr.strip(), f"{words} fails and says nothing")
    done = it.ctl("--json", *words, check=False)
    lab.check(done.returncode == exit_status, f"--json {words}: status {done.returncode}, not "
                                              f"{exit_status}\n{done.stdout}{done.stderr}")
    if shape is None:
        return done.stdout
    try:
        answer = [json.loads(line) for line in done.stdout.splitlines()] if lines \
            else json.loads(done.stdout)
    except ValueError:
        raise lab.Failure(f"{words}: no JSON: {done.stdout[:500]!r}")
    found = differs(answer, [shape] if lines else shape)
    lab.check(not found, f"{words}: {found}")
    return answer


def wrong_usage_and_no_daemon():
    with lab.Lab("usage", daemon=False, dataplane=False, nginx=False) as it:
        for words in WRONG_USAGE:
            expect(it, words, USAGE)
        expect(it, ("check", "--rules", it.home / "rules.conf", "/none.http"), USAGE)
        for words in (("controlplane/ctl/sluicectl", "status"), ("controlplane/api/sluiced",),
                      ("dataplane/worker/sluice-dataplane-guarded",)):
            for name in ("../x", "..", "", "a b", "x" * 33):
                done = subprocess.run([lab.BUILD / words[0], "--config", it.config, "--instance", name, *words[1:]],
                                      text=True, capture_output=True, timeout=20, check=False)
                lab.check(done.returncode == USAGE and "an instance is named by" in done.stderr,
                          f"{words[0]} takes the instance {name!r}: {done.returncode}, {done.stderr}")
        for words in ONLINE:
            answer = expect(it, words, UNREACHABLE, ERROR)
            lab.check(answer["exit"] == UNREACHABLE, f"{words}: {answer}")
        good = it.config.read_text()
        it.config.write_text(good + "wrokers: {}\n")
        answer = expect(it, ("config", "test"), INVALID, CONFIG)
        first = answer["errors"][0]
        lab.check("workers" in first["message"] and first["file"] == str(it.config)
                  and first["line"] == good.count("\n") + 1, f"{first}")
        expect(it, ("status",), INVALID, ERROR)


def good_answers():
    with lab.Lab("answers", rules=RULES) as it:
        home = it.home
        (home / "good.http").write_bytes(b"GET /?q=1 HTTP/1.1\r\nHost: web\r\n\r\n")
        (home / "bad.http").write_bytes(b"GET /?q=evil-marker HTTP/1.1\r\nHost: web\r\n\r\n")
        (home / "batch").write_text('{"id":"a","request_b64":"R0VUIC8gSFRUUC8xLjENCkhvc3Q6IHdlYg0KDQo="}\n')
        (home / "keys").mkdir()
        it.client("openssl", "genpkey", "-algorithm", "ed25519", "-out", home / "key.pem")
        it.client("openssl", "pkey", "-in", home / "key.pem", "-pubout", "-out",
                  home / "keys/key.pub.pem")
        expect(it, ("status",), DONE, STATUS)
        expect(it, ("config", "test"), DONE, CONFIG)
        expect(it, ("promote",), NO, PUSH)
        expect(it, ("unstage",), NO, PUSH)
        expect(it, ("rollback", 77), NO, PUSH)
        first = expect(it, ("push",), DONE, PUSH)
        lab.check(first["state"] == "live" and first["generation"] == 1 and first["errors"] == [],
                  f"{first}")
        expect(it, ("rollback",), NO, PUSH)
        staged = expect(it, ("stage",), DONE, PUSH)
        lab.check(staged["state"] == "staged", f"{staged}")
        lab.check(expect(it, ("status",), DONE, STATUS)["generation"]["staged"] == 2, "not staged")
        expect(it, ("generations",), DONE, {**GENERATIONS, "differences": OBJECT})
        expect(it, ("unstage",), DONE, PUSH)
        expect(it, ("stage",), DONE, PUSH)
        lab.check(expect(it, ("promote",), DONE, PUSH)["state"] == "live", "not promoted")
        lab.check(expect(it, ("rollback",), DONE, PUSH)["generation"] == 1, "not rolled back")
        expect(it, ("generations",), DONE, GENERATIONS)
        status, body = it.curl("/?q=evil-marker")
        lab.check(status == 403 and it.curl("/index.html")[0] == 200, "the pair does not work")
        event = json.loads(body)["event_id"]
        lab.wait_for(lambda: len(it.events("http")) >= 2 and it.events("alert"), 5, "the records")
        expect(it, ("events",), DONE, EVENT, lines=True)
        expect(it, ("events", "--type", "alert"), DONE, ALERT, lines=True)
        expect(it, ("explain", event), DONE, EXPLAIN)
        expect(it, ("explain", UNKNOWN_EVENT), NO, ERROR)
        expect(it, ("counters",), DONE, COUNTERS)
        expect(it, ("counters", "--cycles"), DONE,
               {"workers": [{"cycles": {"idle": int, "rules": int, "transmit": int}}]})
        expect(it, ("top", "--once"), DONE, TOP)
        expect(it, ("report", "--since", "1h", "--output", home / "report.html"), DONE, REPORT)
        for mode in ("off", "monitor", "block", "policy"):
            expect(it, ("mode", mode), DONE, {"mode": TEXT, "service": TEXT})
        expect(it, ("mode", "policy", "--service", "web"), DONE, {"mode": TEXT, "service": TEXT})
        expect(it, ("mode", "off", "--service", "wep"), NO, ERROR)
        for switch in ("on", "off"):
            lab.check(expect(it, ("bypass", switch), DONE, {"bypass": TRUTH})["bypass"]
                      == (switch == "on"), "bypass")
        rules = ("--rules", home / "rules.conf")
        lab.check(expect(it, ("check", *rules, home / "good.http"), DONE, VERDICT)["verdict"]
                  == "pass", "check of a good request")
        bad = expect(it, ("check", *rules, home / "bad.http"), NO, VERDICT)
        lab.check((bad["verdict"], bad["status"], bad["rules"][0]["id"]) == ("block", 403, 1001),
                  f"{bad}")
        expect(it, ("check", *rules, "--batch", home / "batch"), DONE, {"id": TEXT, **VERDICT},
               lines=True)
        (home / "batch").write_text("no JSON\n")
        expect(it, ("check", *rules, "--batch", home / "batch"), NO, {"error": TEXT}, lines=True)
        expect(it, ("rules", "test", home / "rules.conf"), DONE, RULES_TEST)
        expect(it, ("rules", "test", home / "rules.conf", "--request", home / "bad.http"), DONE,
               {**RULES_TEST, "request": VERDICT})
        (home / "lines").write_text(
            '{"id":"a","request_b64":"R0VUIC8gSFRUUC8xLjENCkhvc3Q6IHdlYg0KDQo="}\n')
        expect(it, ("rules", "cost", *rules, home / "lines"), DONE, COST)
        captured(it, rules)
        bundles(it)
        it.kill(it.dataplane)
        state = expect(it, ("counters",), DONE, COUNTERS)["dataplane"]["state"]
        lab.check(state == "stopped" and "the dataplane is stopped" in it.ctl("counters").stdout,
                  "the last counts of a dead dataplane pass for those of one that runs")


def captured(it, rules):
    """replay, of frames of this laboratory."""
    capture = it.home / "outside.pcap"
    tcpdump = it.start("client", "tcpdump", "-i", "cl0", "-U", "-s0", "-w", capture, "tcp",
                       log="tcpdump.log")
    lab.wait_for(lambda: "listening on" in (it.home / "tcpdump.log").read_text(), 5, "tcpdump")
    it.curl("/index.html")
    lab.wait_for(lambda: b"GET /index.html" in capture.read_bytes(), 5, "captured")
    expect(it, ("replay", *rules, capture), DONE, VERDICT, lines=True)
    it.curl("/?q=evil-marker")
    lab.wait_for(lambda: b"urn:sluice:event" in capture.read_bytes(), 5, "captured")
    it.stop(tcpdump)
    answer = expect(it, ("replay", *rules, capture), NO, VERDICT, lines=True)
    lab.check([line["verdict"] for line in answer] == ["pass", "block"], f"{answer}")


def bundles(it):
    home = it.home
    bundle, public = home / "a.bundle", home / "keys/key.pub.pem"
    update = home / "update.conf"
    update.write_text('SecRule ARGS "@streq update" "id:3001,phase:2,deny"\n')
    built = expect(it, ("bundle", "build", "--name", "a", "--version", 2, "--output", bundle,
                        update), DONE, BUNDLE)
    lab.check(built["name"] == "a" and built["version"] == 2, f"{built}")
    expect(it, ("bundle", "verify", "--key", public, bundle), NO, ERROR)
    expect(it, ("bundle", "install", bundle), NO, ERROR)
    expect(it, ("bundle", "sign", "--key", home / "key.pem", bundle), DONE, BUNDLE)
    expect(it, ("bundle", "verify", "--key", public, bundle), DONE, BUNDLE)
    expect(it, ("bundle", "verify", bundle), DONE, BUNDLE)  # by the keys beside the policy
    expect(it, ("bundle", "install", bundle), INVALID, PUSH)  # no policy includes it
    rules = (home / "rules.conf").read_text()
    it.write_rules(f"{rules}IncludeOptional {home}/state/bundles/*/current/*.conf\n")
    expect(it, ("bundle", "install", bundle), DONE, PUSH)
    expect(it, ("bundle", "install", bundle), NO, ERROR)  # not newer
    expect(it, ("bundle", "install", "--force", bundle), DONE, PUSH)
    expect(it, ("push", bundle), NO, ERROR)
    expect(it, ("bundle", "sign", "--key", "/none.pem", bundle), NO, ERROR)
    expect(it, ("bundle", "build", "--name", "a", "--version", 3, "--output", bundle,
                "/none.conf"), INVALID, ERROR)
    update.write_text('SecRule ARGS "@rx (a" "id:3001,phase:2,deny"\n\nSecRul ARGS "@rx a" "id:3002"\n')
    bad = expect(it, ("bundle", "build", "--name", "a", "--version", 3, "--output", bundle, update),
                 INVALID, {"errors": [DIAGNOSTIC]})
    lab.check(sorted(e["line"] for e in bad["errors"]) == [1, 3], f"{bad}")


@contextlib.contextmanager
def pinned(it):
    """Within it, each generation has a blocked request whose reply waits for a response that its client
    does not read: until all slots of the dataplane are taken by what cannot be ended. Gives the answer
    of the push that was one too many."""
    held, answer = [], None
    try:
        while answer is None:
            lab.check(len(held) < 20, "no push was refused")
            peer = it.socket("client")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held.append(peer)
            peer.connect((lab.SERVER4, 80))
            before = sum(w["transactions"] for w in it.ctl_json("counters")["workers"])
            peer.sendall(b"GET /big.bin HTTP/1.1\r\nHost: web\r\n\r\n")
            peer.recv(1)
            peer.sendall(b"GET /?q=evil-marker HTTP/1.1\r\nHost: web\r\n\r\n")
            lab.wait_for(lambda: sum(w["transactions"] for w in it.ctl_json("counters")["workers"])
                         >= before + 2, 5, "two transactions under way")
            done = it.ctl("--json", "push", check=False)
            if done.returncode != DONE:
                lab.check(done.returncode == REFUSED, f"status {done.returncode}: {done.stdout}")
                answer = json.loads(done.stdout)
        yield answer
    finally:
        for peer in held:
            peer.close()


def errors_of_a_live_pair():
    with lab.Lab("errors", rules=RULES, policy=lab.POLICY + "inspect: {{ reply_wait_ms: 1min }}\n") as it:
        (it.home / "www/big.bin").write_bytes(bytes(4 << 20))
        it.push()

        def untouched():
            lab.check(it.curl("/?q=evil-marker")[0] == 403 and it.curl("/index.html")[0] == 200,
                      "the running state changed")
        it.write_rules(BROKEN)
        for words in (("push",), ("stage",)):
            answer = expect(it, words, INVALID, PUSH)
            lab.check(len(answer["errors"]) >= 2 and answer["state"] == "refused"
                      and answer["generation"] is None, f"{words}: {answer}")
            places = {(error["file"], error["line"]) for error in answer["errors"]}
            lab.check(places == {(str(it.home / "rules.conf"), line) for line in (1, 2)},
                      f"{places}")
        answer = expect(it, ("config", "test"), INVALID, CONFIG)
        lab.check(not answer["valid"] and len(answer["errors"]) >= 2, f"{answer}")
        settings = it.config.read_text()
        it.config.write_text(settings + "nonsense: 1\n")
        answer = expect(it, ("config", "test"), INVALID, CONFIG)
        lab.check([error["file"] for error in answer["errors"]
                   if error["file"] != "/etc/sluice/policy.yaml"] == [str(it.config)]
                  and "nonsense" in answer["errors"][0]["message"]
                  and not any("cannot be read" in error["message"] for error in answer["errors"]),
                  f"a broken sluice.yaml: {answer}")
        it.config.write_text(settings)
        for words in (("check", "--rules", it.home / "rules.conf", "-"),
                      ("rules", "test", it.home / "rules.conf")):
            answer = expect(it, words, INVALID, {"errors": [DIAGNOSTIC]})
            lab.check(len(answer["errors"]) >= 2, f"{words}: {answer}")
        expect(it, ("config", "test", "/none.yaml"), INVALID, CONFIG)
        expect(it, ("push", "/none.yaml"), INVALID, ERROR)
        untouched()
        it.write_rules(RULES)
        with pinned(it) as answer:
            lab.check(not differs(answer, PUSH) and answer["state"] == "refused"
                      and "slot" in answer["message"], f"refused: {answer}")
            untouched()
        live = expect(it, ("status",), DONE, STATUS)["generation"]["live"]
        lab.wait_for(lambda: it.ctl("push", check=False).returncode == DONE, 10, "a free slot again")
        # Nobody answers: the dataplane hangs.
        os.kill(it.dataplane.pid, signal.SIGSTOP)
        try:
            answer = expect(it, ("push",), TIMEOUT, PUSH)
            lab.check(answer["state"] == "timeout", f"{answer}")
            state = expect(it, ("status",), DONE, STATUS)["dataplane"]["state"]
            lab.check(state == "stalled", f"a stopped dataplane is {state}")
        finally:
            os.kill(it.dataplane.pid, signal.SIGCONT)
        # What was announced is taken when it comes back.
        lab.wait_for(lambda: it.ctl_json("status")["generation"]["live"] == answer["generation"], 5,
                     "the announced generation")
        lab.check(answer["generation"] > live, "generations do not grow")
        untouched()
        it.stop(it.dataplane)
        stopped = expect(it, ("status",), DONE, STATUS)
        lab.check(stopped["dataplane"]["state"] == "stopped", f"{stopped}")
        lab.check(expect(it, ("push",), DONE, PUSH)["state"] == "pending", "nobody to take it")
        lab.check(pathlib.Path(it.home / "state").is_dir(), "no state is kept")


if __name__ == "__main__":
    lab.main(wrong_usage_and_no_daemon, good_answers, errors_of_a_live_pair)
