"""Organizers' webhooks end to end. Called by scripts/third/webhooks: BINARY FOLDER.

A server, a receiver of its own process that verifies by another's library, a server that is killed while it delivers.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

binary, folder = sys.argv[1], pathlib.Path(sys.argv[2])
here = pathlib.Path(__file__).parent
checks = 0
processes = []


def expect(what, got, wanted):
    global checks
    checks += 1
    if got != wanted:
        sys.exit(f"webhooks: {what}: {got!r} instead of {wanted!r}")


def wait(what, look, seconds=120):
    global checks
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            checks += 1
            return
        time.sleep(0.1)
    sys.exit(f"webhooks: {what} does not happen")


def start(command, **more):
    # Whatever becomes of us, it ends with us.
    command = ["setpriv", "--pdeathsig", "TERM", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
    processes.append(process)
    return process


def serve():
    with open(folder / "server.log", "a", encoding="utf-8") as log:
        process = start([binary, "serve", "--dev"], stderr=log, env={**os.environ, "HVFLVSPOT_OUTSIDE_EXCEPTIONS": receiver})
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        sys.exit(f"webhooks: the server did not start: {(folder / 'server.log').read_text()}")
    return process, line.removeprefix("listening on ").strip()


def call(method, path, body=None, token=None, base=None, headers=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request((base or url) + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            status, text = reply.status, reply.read()
    except urllib.error.HTTPError as e:
        status, text = e.code, e.read()
    return status, json.loads(text) if text.strip()[:1] in (b"{", b"[") else {}


def lines(name):
    try:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]
    except FileNotFoundError:
        return []


def paid():
    told = [c["payload"] for c in lines("calls")]
    return [of["data"]["booking_id"] for of in told if of["type"] == "booking.paid" and of["data"]]


def buy():
    status, booking = call("POST", "/tickets/purchase", {
        "event_id": event, "email": "guest@webhooks.example", "items": [{"ticket_type_id": kind, "quantity": 1}],
        "payment": {"method": "simulated", "token": "tok_always_succeeds"},
    })
    expect("a purchase", (status, booking.get("status")), (201, "paid"))
    return booking["booking_id"]


def believe(secret):
    (folder / "secret").write_text(secret)


def forge(secret, stamp, body, told=None):
    """A call that is not ours: what the receiver answers."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"msg_forged.{stamp}.".encode() + body
    tag = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return call("POST", "/in", told or body, base=receiver, headers={
        "webhook-id": "msg_forged", "webhook-timestamp": str(stamp), "webhook-signature": f"v1,{tag}",
    })[0]


try:
    process = start([sys.executable, str(here / "webhook_receiver.py"), str(folder)])
    receiver = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    server, url = serve()

    status, session = call("POST", "/auth/v1/signup", {"email": "owner@webhooks.example", "password": "correct horse battery"})
    expect("signing up", status, 200)
    owner = session["access_token"]
    status, _ = call("PUT", "/organizer/profile", {"name": "Webhooks", "contact_email": "office@webhooks.example"}, owner)
    expect("the profile", status, 201)
    starts = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=9)
    status, made = call("POST", "/organizer/events/create", {
        "title": "Told evening", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
        "starts_at": starts.isoformat(),
    }, owner)
    expect("the event", status, 201)
    event = made["event_id"]
    status, made = call("POST", f"/organizer/events/{event}/ticket-types", {
        "name": "Standing", "capacity": 50, "price": {"amount_minor": 2500, "currency": "EUR"},
        "tax": {"rate_bp": 700, "inclusive": True},
    }, owner)
    expect("the ticket type", status, 201)
    kind = made["ticket_type_id"]
    expect("publishing", call("POST", f"/organizer/events/{event}/publish", {}, owner)[0], 200)
    status, hook = call("POST", "/organizer/webhooks", {"url": f"{receiver}/in"}, owner)
    expect("the webhook", status, 201)
    path, first = f"/organizer/webhooks/{hook['endpoint_id']}", hook["secret"]
    believe(first)

    booking = buy()
    wait("the booking's arrival", lambda: paid() == [booking])
    call_of_it = lines("calls")[0]
    expect("the id of frame and header", call_of_it["payload"]["id"], call_of_it["id"])
    expect("ping", call("POST", f"{path}/ping", {}, owner)[0], 202)
    wait("the ping", lambda: lines("calls")[-1]["payload"]["type"] == "endpoint.ping")

    # The receiver believes nobody else: so what it believed was signed.
    now, body = int(time.time()), b'{"type":"booking.paid","data":{}}'
    expect("our own signature by hand", forge(first, now, body), 204)
    expect("another secret", forge("whsec_" + base64.b64encode(b"x" * 32).decode(), now, body), 401)
    expect("an altered body", forge(first, now, body, told=body + b" "), 401)
    expect("an old call", forge(first, now - 600, body), 401)
    expect("a call of tomorrow", forge(first, now + 600, body), 401)

    # While the secret is changed both are good.
    status, hook = call("POST", f"{path}/rotate", {"overlap_hours": 1}, owner)
    expect("rotating", status, 200)
    before = len(paid())
    buy()
    wait("a call that the old secret verifies", lambda: len(paid()) == before + 1)
    believe(hook["secret"])
    buy()
    wait("a call that the new secret verifies", lambda: len(paid()) == before + 2)
    expect("nothing of ours was refused", [r["id"] for r in lines("refused")], ["msg_forged"] * 4)

    # Killed with deliveries on their way, and others not begun.
    (folder / "hold").touch()
    bookings = [buy() for _ in range(8)]
    wait("deliveries on their way", lambda: len(set(paid()) & set(bookings)) >= 2)
    server.send_signal(signal.SIGKILL)
    server.wait()
    (folder / "hold").unlink()
    server, url = serve()
    wait("all that was sold before the kill", lambda: set(bookings) <= set(paid()))
    status, session = call("POST", "/auth/v1/token?grant_type=password", {"email": "owner@webhooks.example", "password": "correct horse battery"})
    owner = session["access_token"]

    def all_delivered():
        items = call("GET", f"{path}/deliveries?limit=200", token=owner)[1]["items"]
        return all(item["status"] == "delivered" for item in items) and len(items) == 3 + 8 + 1

    wait("the log to say so", all_delivered)
    ids = {}
    for c in lines("calls"):
        if c["payload"]["type"] == "booking.paid" and c["payload"]["data"]:
            ids.setdefault(c["payload"]["data"]["booking_id"], set()).add(c["id"])
    expect("one id for each booking, however often it came", {len(of) for of in ids.values()}, {1})
    status, replayed = call("POST", f"{path}/replay", {"from": "2020-01-01T00:00:00Z", "all": True}, owner)
    expect("replaying everything", (status, replayed.get("queued")), (202, 12))
    known = len(lines("calls"))
    wait("the replay", lambda: len(lines("calls")) >= known + 12)
    expect("no new ids", len({c["id"] for c in lines("calls")}), 12 + 1)
    expect("nothing of ours was refused", len(lines("refused")), 4)
    print(f"webhooks: {checks} checks hold: signatures by standardwebhooks, rotation, a killed server, replays")
finally:
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait()
