# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""Shadow generations, rollback, switches and signed bundles through the wire."""

import json
import socket
import struct

import lab as laboratory
from lab import Lab, check, figure, main, wait_for

GOOD = 'SecRule ARGS "@contains evil-marker" "id:1001,phase:2,deny,status:403,msg:\'marker\'"\n'
WIDER = GOOD + 'SecRule ARGS:name "@rx \'" "id:1002,phase:2,deny,status:403,msg:\'quote\'"\n'


def shadow_shows_what_would_differ():
    """A staged ruleset that would block an honest route is seen before promotion, with the request."""
    with Lab("shadow", rules=GOOD) as lab:
        lab.push()
        lab.write_rules(WIDER)
        answer = lab.ctl_json("stage")
        check(answer["state"] == "staged", f"stage: {answer}")
        check(lab.curl("/index.html?name=O'Brien")[0] == 200, "the staged rules blocked")
        check(lab.curl("/index.html?name=Smith")[0] == 200, "an honest request was blocked")
        check(lab.curl("/index.html?name=evil-marker")[0] == 403, "the live rules do not block")

        def differences():
            found = lab.ctl_json("generations").get("differences", {})
            return found if found.get("differ") else None
        found = wait_for(differences, 5, "the differences")
        check(found["differ"] == 1 and found["stricter"] == 1, f"differences: {found}")
        check("O'Brien" in str(found) or "O%27Brien" in str(found), f"no request shown: {found}")
        check("1002" in str(found), f"no rule shown: {found}")
        shown = lab.ctl("generations").stdout
        check("Brien" in shown and "1 differ (1 stricter, 0 weaker)" in shown, f"for people: {shown}")
        check("live pass (none), staged block (rules)" in shown and "10.77.0.1  GET" in shown,
              f"both verdicts, for people: {shown}")
        shown = lab.ctl("events", "--type", "alert").stdout
        check("staged 2: block (rules) [\"1002\"]" in shown, f"the staged verdict of an event: {shown}")
        lab.stop(lab.daemon)
        check(lab.curl("/index.html?name=D'Arcy")[0] == 200, "the staged rules blocked")
        lab.start_daemon()
        found = wait_for(lambda: (lab.ctl_json("generations").get("differences") or {}).get("differ") == 2
                         and lab.ctl_json("generations")["differences"], 5, "differences over a restart")
        check(found["judged"] == 4 and len(found["requests"]) == 2, f"over a restart: {found}")
        promoted = lab.ctl_json("promote")
        check(promoted["state"] == "live" and promoted["compile_ms"] == 0, f"promote: {promoted}")
        check(lab.curl("/index.html?name=O'Brien")[0] == 403, "the promoted rules do not block")
        back = lab.ctl_json("rollback")
        check(back["state"] == "live", f"rollback: {back}")
        check(lab.curl("/index.html?name=O'Brien")[0] == 200, "rollback did not bring the rules back")
        seen = [worker["generations_seen"] for worker in lab.ctl_json("counters")["workers"]]
        check(seen == [3, 3], f"a push, a promotion and a rollback were seen as {seen} changes")


def shadow_shows_what_would_get_through():
    """CP8: rules that switch others off are seen before promotion by what they would let pass."""
    with Lab("weaker", rules=WIDER, extra="events: { http_records: off }\n") as lab:
        lab.push()
        lab.write_rules('SecRule REQUEST_URI "@beginsWith /free" "id:9,phase:1,pass,nolog,ctl:ruleEngine=Off"\n'
                        + WIDER + "SecRuleRemoveById 1002\n")
        lab.ctl_json("stage")
        for target in ("/?name=O'Brien", "/free?name=evil-marker", "/?name=evil-marker"):
            check(lab.curl(target)[0] == 403, f"{target}: the live rules do not block")
        found = wait_for(lambda: (lab.ctl_json("generations").get("differences") or {}).get("differ", 0) >= 2
                         and lab.ctl_json("generations")["differences"], 5, "the differences")
        check((found["judged"], found["differ"], found["weaker"], found["stricter"]) == (3, 2, 2, 0),
              f"differences: {found}")


def bad_push_changes_nothing():
    with Lab("badpush", rules=GOOD) as lab:
        lab.push()
        live = lab.ctl_json("status")["generation"]["live"]
        lab.write_rules('SecRule ARGS "@rx (" "id:1,deny"\nSecRule NOWHERE "x" "id:2,deny"\n')
        done = lab.ctl("--json", "push", check=False)
        check(done.returncode == 3, f"exit {done.returncode}")
        check(done.stdout.count('"line"') >= 2, f"not all errors at once: {done.stdout}")
        check(lab.ctl_json("status")["generation"]["live"] == live, "the generation changed")
        check(lab.curl("/?a=evil-marker")[0] == 403, "no longer blocking")
        check(lab.curl("/")[0] == 200, "no longer forwarding")


def switches_work_at_once_and_stay():
    with Lab("switch", rules=GOOD) as lab:
        lab.push()
        attack = "/?a=evil-marker"
        def becomes(status, what):
            wait_for(lambda: lab.curl(attack)[0] == status, 3, what)
        becomes(403, "blocking")
        lab.ctl("mode", "monitor")
        becomes(200, "monitor forwards")
        event = wait_for(lambda: [e for e in lab.events("alert")
                                  if e["sluice"]["verdict"] == "monitor"], 5, "the event")
        check(event[-1]["alert"]["signature_id"] == 1001, "the event does not name the rule")
        lab.ctl("mode", "block", "--service", "web")
        lab.ctl("mode", "block")
        becomes(403, "blocking again")
        lab.ctl("mode", "off", "--service", "web")
        becomes(200, "off for the service")
        check(modes(lab) == ("block", "off"), f"status names other modes: {modes(lab)}")
        check("off for web (switch)" in lab.ctl("status").stdout, "status hides a switch")
        lab.stop(lab.daemon)
        lab.stop(lab.dataplane)
        lab.start_dataplane()
        becomes(200, "the switch outlives a restart of both")
        lab.start_daemon()
        lab.ctl("mode", "block", "--service", "web")
        becomes(403, "blocking after the restart")
        lab.ctl("bypass", "on")
        becomes(200, "bypass forwards")
        lab.ctl("bypass", "off")
        becomes(403, "bypass ended")
        # A switch stands in the policy's place, in both directions.
        lab.ctl("mode", "policy", "--service", "web")
        lab.ctl("mode", "policy")
        lab.write_policy(laboratory.POLICY.replace("mode: block", "mode: monitor"))
        lab.push()
        becomes(200, "monitor by the policy")
        check(modes(lab) == ("monitor", "monitor"), f"status names other modes: {modes(lab)}")
        lab.ctl("mode", "block")
        becomes(403, "blocking by the switch")
        check(modes(lab) == ("block", "block"), f"status names other modes: {modes(lab)}")


def modes(lab):
    """The mode of all and that of the service, as status has them."""
    status = lab.ctl_json("status")
    return status["mode"], status["services"][0]["mode"]


def resets_hold_no_generation():
    """More pushes than there are slots, each while a request is under way that its client then
    resets: none is refused for want of a slot."""
    slots = 8  # abi::kGenerationSlots
    part = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na=flower"
    with Lab("resets", rules=GOOD) as lab:
        lab.push()

        def transactions():
            return sum(worker["transactions"] for worker in lab.ctl_json("counters")["workers"])
        for n in range(slots + 4):
            connection = lab.socket("client", socket.AF_INET, socket.SOCK_STREAM)
            connection.settimeout(10)
            connection.connect((laboratory.SERVER4, 80))
            connection.sendall(part)
            wait_for(transactions, 5, "the request is under way")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            done = lab.ctl("--json", "push", check=False)
            check(done.returncode == 0, f"push {n}: exit {done.returncode}: {done.stdout}")
            wait_for(lambda: not transactions(), 5, "the reset request is given back")
        check(lab.curl("/?a=evil-marker")[0] == 403, "no longer blocking")
        check(lab.curl("/")[0] == 200, "no longer forwarding")


def slow_requests_keep_no_push_out():
    """Requests without an end hold every slot: a push ends the oldest of them, and no other."""
    part = b"PUT /upload/part HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na=flower"
    with Lab("pins", rules=GOOD) as lab:
        policy = lab.home / "policy.yaml"
        policy.write_text(policy.read_text() + "inspect: { pin_max_s: 1h, body_timeout_ms: 1h }\n")
        lab.push()
        connections, slots, slowest = [], 8, 0  # abi::kGenerationSlots
        for n in range(slots + 2):
            connection = lab.socket("client", socket.AF_INET, socket.SOCK_STREAM)
            connection.settimeout(10)
            connection.connect((laboratory.SERVER4, 80))
            connection.sendall(part)
            connections.append(connection)
            wait_for(lambda: sum(worker["transactions"] for worker in lab.ctl_json("counters")["workers"])
                     >= min(len(connections), slots), 5, "the request is under way")
            done = lab.ctl("--json", "push", check=False)
            check(done.returncode == 0, f"push {n}: exit {done.returncode}: {done.stdout}{done.stderr}")
            slowest = max(slowest, json.loads(done.stdout)["publish_ms"])
        figure("slowest push while every slot is held", slowest, "ms")
        check(lab.curl("/?a=evil-marker")[0] == 403, "no longer blocking")
        ended = slots + 2 - (slots - 1)  # the live generation has a slot too
        for n, connection in enumerate(connections):
            if n < ended:
                answer = connection.recv(200)
                check(b" 408 " in answer, f"request {n} was answered {answer}")
                continue
            connection.sendall(b"x" * (100 - len(b"a=flower")))
            answer = connection.recv(200)
            check(b" 201 " in answer or b" 204 " in answer, f"request {n} was answered {answer}")
        check(any(e["sluice"]["reason"] == "http_slow" for e in lab.events("alert")), "no record of it")


def bundles_are_signed_and_newer():
    with Lab("bundle", rules=GOOD) as lab:
        home = lab.home
        lab.write_rules(GOOD + "IncludeOptional ${STATE}/bundles/*/current/*.conf\n")
        lab.push()
        keys = home / "keys"
        keys.mkdir()
        for name in ("ours", "theirs"):
            lab.client("openssl", "genpkey", "-algorithm", "ed25519", "-out", home / f"{name}.pem")
        lab.client("openssl", "pkey", "-in", home / "ours.pem", "-pubout", "-out",
                   keys / "ours.pub.pem")
        (home / "update.conf").write_text(WIDER.replace("1001", "2001").replace("1002", "2002"))
        bundle = home / "update.bundle"

        def build(version, key):
            lab.ctl("bundle", "build", "--name", "test", "--version", version, "--output", bundle,
                    home / "update.conf")
            if key:
                lab.ctl("bundle", "sign", "--key", home / f"{key}.pem", bundle)

        def install(*words):
            return lab.ctl("bundle", "install", *words, bundle, check=False)
        build(2, None)
        check(install().returncode != 0, "an unsigned bundle was installed")
        build(2, "theirs")
        check(install().returncode != 0, "a bundle of a wrong key was installed")
        build(2, "ours")
        check(lab.ctl("bundle", "verify", "--key", keys, bundle).returncode == 0, "verify")
        whole = bundle.read_bytes()
        for damage, data in (("cut short", whole[:-40]),
                             ("altered", whole.replace(b"marker", b"harmer"))):
            bundle.write_bytes(data)
            check(install().returncode != 0, f"a bundle {damage} was installed")
        bundle.write_bytes(whole)
        done = install()
        check(done.returncode == 0, f"a good bundle was refused: {done.stdout}{done.stderr}")
        check(lab.curl("/?name=O'Brien")[0] == 403, "the bundle's rules do not block")
        build(1, "ours")
        check(install().returncode != 0, "an older bundle was installed")
        check(install("--force").returncode == 0, "--force did not install an older one")
        (home / "update.conf").write_text(WIDER.replace("1001", "2001").replace("1002", "2002")
                                          .replace("evil-marker", "pushed-marker"))
        build(3, "ours")
        pushed = lab.ctl_json("push", bundle)
        check(pushed["state"] == "live", f"a bundle is not pushed in one step: {pushed}")
        check(lab.curl("/?q=pushed-marker")[0] == 403, "the pushed bundle's rules do not block")
        # By itself it compiles, or it would not be built; beside the rules that are there it does not.
        (home / "update.conf").write_text(GOOD)
        build(3, "ours")
        broken = install("--force")
        check(broken.returncode == 3 and "update.conf:1:" in broken.stderr,
              f"rules that do not compile: {broken.stdout}{broken.stderr}")
        lab.push()  # reads what is installed again
        check(lab.curl("/?q=pushed-marker")[0] == 403, "a forced bundle that does not compile stayed")
        lab.write_rules(GOOD)
        unread = install("--force")
        check(unread.returncode == 3 and "rules.include" in unread.stderr,
              f"rules that no policy includes are said to be live: {unread.stdout}{unread.stderr}")
        figure("bundle", len(whole), "bytes")


if __name__ == "__main__":
    main(shadow_shows_what_would_differ, shadow_shows_what_would_get_through, bad_push_changes_nothing,
         switches_work_at_once_and_stay,
         resets_hold_no_generation, slow_requests_keep_no_push_out, bundles_are_signed_and_newer)
