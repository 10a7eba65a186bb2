"""Runs schemathesis once for each role, with ids that exist. Arguments: the server's address, examples, seed."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

URL, EXAMPLES, SEED = sys.argv[1], sys.argv[2], sys.argv[3]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Their bodies are signed CBOR, which chance never makes; they stay in the document and get requests without one.
CBOR = ["gate_upload_log", "gate_enroll"]
# These end the caller's own session or account: tried last of all.
LAST = re.compile(r"logout|sign_out|end_session|delete_(account|me|user|session)|revoke_(all|session)|erase")
# It waits for news on purpose.
SLOW = re.compile(r"gate_wait")


def call(method, path, body=None, token=None, secret=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if secret:
        headers["booking-secret"] = secret
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def sign_in(email, password):
    return call("POST", "/auth/v1/token?grant_type=password", {"email": email, "password": password})["access_token"]


def write_config(path, ids):
    """Ids that exist, for path, query and body alike; every other run chance chooses."""
    lines = [f'"path.{name}" = "{value}"' for name, value in sorted(ids.items())]
    path.write("[parameters]\n" + "\n".join(lines) + "\n")
    path.flush()


def run(role, ids, token, only, examples, phases="examples,coverage,fuzzing",
        checks=f"{CHECKS},negative_data_rejection"):
    if not only:
        return True
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        write_config(config, ids)
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", config.name, "run", f"{URL}/openapi.json",
            "--checks", checks, "--phases", phases, "-n", str(examples), "--seed", SEED, "--workers", "1",
            "--request-timeout", "30", "--no-color", "--warnings", "off", "--generation-database", "none",
            "--suppress-health-check", "all", "--no-shrink", "--continue-on-failure", "--output-truncate", "true",
        ]
        for operation in only:
            command += ["--include-operation-id", operation]
        if token:
            command += ["-H", f"Authorization: Bearer {token}"]
        started = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    cases = re.search(r"([\d,]+) generated", done.stdout)
    took = time.monotonic() - started
    if done.returncode != 0:
        print(done.stdout)
    print(f"schemathesis: {role}: {len(only)} operations, {cases.group(1) if cases else '?'} calls, {took:.0f} s, "
          f"{'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    return done.returncode == 0


def main():
    with urllib.request.urlopen(URL + "/openapi.json") as answer:
        document = json.load(answer)
    operations = [o for item in document["paths"].values() for o in item.values() if "operationId" in o]
    # An answer that never ends has no body to look at.
    endless = {o["operationId"] for o in operations
               if any("text/event-stream" in r.get("content", {}) for r in o["responses"].values())}
    names = [o["operationId"] for o in operations if o["operationId"] not in endless]
    only = os.environ.get("ONLY")
    if only:
        names = [n for n in names if re.search(only, n)]
    usual = [n for n in names if n not in CBOR and not LAST.search(n) and not SLOW.search(n)]
    open_to_all = [o["operationId"] for o in operations if o["operationId"] in usual
                   and (not o["security"] or {} in o["security"])]

    organizer = sign_in("organizer@demo.example", "demo-organizer-2026")
    attendee = sign_in("attendee@demo.example", "demo-attendee-2026")
    admin = sign_in("admin@demo.example", "schemathesis-admin-2026")
    event = call("GET", "/organizer/events", token=organizer)["items"][0]["event_id"]
    detail = call("GET", f"/organizer/events/{event}", token=organizer)
    ticket_type = detail["ticket_types"][0]["ticket_type_id"]
    purchase = {"event_id": event, "items": [{"ticket_type_id": ticket_type, "quantity": 1}],
                "payment": {"method": "simulated", "token": "tok_always_succeeds"}}
    bought = call("POST", "/tickets/purchase", purchase, token=attendee)
    slot = call("POST", f"/organizer/events/{event}/devices/slots", {"label": "Tried"}, token=organizer)
    profile = call("GET", "/organizer/profile", token=organizer)
    ids = {
        "event_id": event, "ticket_type_id": ticket_type, "slot_id": slot["slot_id"],
        "quota_id": detail["quotas"][0]["quota_id"], "list_id": detail["lists"][0]["list_id"],
        "gate_id": detail["gates"][0]["gate_id"], "steward_id": detail["stewards"][0]["steward_id"],
        "booking_id": bought["booking_id"], "ticket_id": bought["tickets"][0]["ticket_id"],
        "organizer_id": profile["organizer_id"],
    }
    few = max(2, int(EXAMPLES) // 3)
    runs = [
        ("organizer, ids that exist", ids, organizer, usual, EXAMPLES),
        ("attendee, ids that exist", ids, attendee, usual, EXAMPLES, "coverage,fuzzing"),
        ("nobody", {}, None, open_to_all, EXAMPLES),
        ("organizer, ids by chance", {}, organizer, usual, few, "fuzzing"),
        ("administrator", {}, admin, usual, few, "fuzzing"),
    ]
    # Two at a time, as processes: hypothesis and threads do not go together everywhere.
    with ThreadPoolExecutor(2) as pool:
        fine = list(pool.map(lambda of: run(*of), runs))
    last = [n for n in names if LAST.search(n)]
    # Who has no session may end it, too: nothing is wrong with a request there.
    forgiving = [n for n in last if n == "end_session"]
    fine.append(run("attendee, leaving", {}, attendee, [n for n in last if n not in forgiving], 3))
    fine.append(run("attendee, ending what is not there", {}, attendee, forgiving, 3, checks=CHECKS))
    sys.exit(0 if all(fine) else 1)


main()
