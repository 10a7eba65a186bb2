"""Buys, fails, confirms and refunds through localstripe. Called by scripts/third/localstripe: SERVER STRIPE LOG.

localstripe delivers events, signed, of other things than payments: one of those shows that its signature is ours. Of a
payment it tells none, so its own object is told in its place.
"""

import base64
import datetime
import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

server, stripe, log = sys.argv[1:4]
SECRET = "whsec_localstripe"
checks = 0


def call(method, url, body=None, headers=None, form=False):
    data = None
    headers = dict(headers or {})
    if body is not None:
        data = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            status, text = reply.status, reply.read()
    except urllib.error.HTTPError as e:
        status, text = e.code, e.read()
    return status, json.loads(text) if text.strip()[:1] in (b"{", b"[") else {}


def expect(what, got, wanted):
    global checks
    checks += 1
    if got != wanted:
        sys.exit(f"localstripe: {what}: {got!r} instead of {wanted!r}")


def ours(method, path, body=None, token=None, secret=None):
    headers = {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if secret:
        headers["Booking-Secret"] = secret
    return call(method, server + path, body, headers)


def theirs(path, body=None, key="sk_test_localstripe"):
    basic = base64.b64encode(f"{key}:".encode()).decode()
    method = "GET" if body is None else "POST"
    status, reply = call(method, stripe + path, body, {"Authorization": f"Basic {basic}"}, form=True)
    expect(f"{method} {path}", status, 200)
    return reply


def card(number):
    return theirs("/v1/payment_methods", {
        "type": "card", "card[number]": number, "card[exp_month]": 12, "card[exp_year]": 2090, "card[cvc]": "123",
    })["id"]


def tell(endpoint, kind, what):
    """As Stripe would; the answer's status."""
    event = {"id": f"evt_of_{what['id']}", "object": "event", "type": kind, "data": {"object": what}}
    body = json.dumps(event, indent=2).encode()
    stamp = str(int(time.time()))
    tag = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={stamp},v1={tag}"}
    request = urllib.request.Request(endpoint, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as reply:
        return reply.status


def delivered():
    with open(log, encoding="utf-8", errors="replace") as lines:
        return sum('webhook "customer.created" successfully delivered' in line for line in lines)


def wait(what, look, seconds=20):
    global checks
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            checks += 1
            return
        time.sleep(0.1)
    sys.exit(f"localstripe: {what} does not happen")


# An organizer with an event on sale.
status, session = ours("POST", "/auth/v1/signup", {"email": "owner@localstripe.example", "password": "correct horse battery"})
expect("signing up", status, 200)
owner = session["access_token"]
status, _ = ours("PUT", "/organizer/profile", {"name": "Localstripe", "contact_email": "office@localstripe.example"}, owner)
expect("the profile", status, 201)
starts = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=9)
status, event = ours("POST", "/organizer/events/create", {
    "title": "Paid evening", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
    "starts_at": starts.isoformat(), "ends_at": (starts + datetime.timedelta(hours=3)).isoformat(),
}, owner)
expect("the event", status, 201)
event = event["event_id"]
status, kind = ours("POST", f"/organizer/events/{event}/ticket-types", {
    "name": "Standing", "capacity": 20, "price": {"amount_minor": 2500, "currency": "EUR"},
    "fee": {"amount_minor": 150, "currency": "EUR"}, "tax": {"rate_bp": 700, "inclusive": True},
}, owner)
expect("the ticket type", status, 201)
kind = kind["ticket_type_id"]
expect("publishing", ours("POST", f"/organizer/events/{event}/publish", {}, owner)[0], 200)


def buy(method, quantity=1):
    return ours("POST", "/tickets/purchase", {
        "event_id": event, "email": "guest@localstripe.example",
        "items": [{"ticket_type_id": kind, "quantity": quantity}], "payment": {"method": "stripe", "token": method},
    })


def see(booking):
    return ours("GET", f"/bookings/{booking['booking_id']}", secret=booking["booking_secret"])[1]


def intents():
    return theirs("/v1/payment_intents?limit=100")["data"]


def of_booking(booking):
    return [i for i in intents() if i["metadata"].get("booking_id") == booking["booking_id"]]


def through(endpoint):
    status, _ = call("POST", f"{stripe}/_config/webhooks/only", {"url": endpoint, "secret": SECRET})
    expect("the webhook's address", status, 200)
    before = delivered()
    theirs("/v1/customers", {"email": "customer@localstripe.example"})
    wait("the delivery of localstripe's own event", lambda: delivered() > before)

    status, booking = buy(card("4242424242424242"), 2)
    expect("a purchase by card", (status, booking.get("status")), (201, "paid"))
    expect("its payments", [i["status"] for i in of_booking(booking)], ["succeeded"])
    expect("its amount", of_booking(booking)[0]["amount"], 5300)

    status, refused = buy(card("4000000000000341"))
    expect("a refused card", (status, refused.get("code"), refused.get("decline_code")),
           (422, "payment_declined", "card_declined"))
    expect("its payments", [i["status"] for i in of_booking(refused["booking"])], ["canceled"])

    status, _ = buy("pm_that_nobody_made")
    expect("a card that nobody made", status, 422)

    status, secured = buy(card("4000002500003155"))
    expect("3-D Secure", (status, secured["status"], secured["transaction"]["next_action"]["type"]),
           (202, "held", "use_stripe_sdk"))
    action = secured["transaction"]["next_action"]
    intent = action["client_secret"].split("_secret_")[0]
    status, _ = call("POST", f"{stripe}/v1/payment_intents/{intent}/_authenticate", {
        "key": "pk_test_localstripe", "client_secret": action["client_secret"], "success": "true",
    }, form=True)
    expect("confirming at the bank", status, 200)
    paid = theirs(f"/v1/payment_intents/{intent}")
    expect("the event of it", [tell(endpoint, "payment_intent.succeeded", paid) for _ in range(2)], [204, 204])
    # Nobody asks but the event: the job comes after a minute.
    wait("the payment by its event", lambda: see(secured)["status"] == "paid")

    status, failing = buy(card("4000002500003155"))
    action = failing["transaction"]["next_action"]
    intent = action["client_secret"].split("_secret_")[0]
    call("POST", f"{stripe}/v1/payment_intents/{intent}/_authenticate", {
        "key": "pk_test_localstripe", "client_secret": action["client_secret"], "success": "false",
    }, form=True)
    status, reply = ours("POST", "/payment/process", {
        "booking_id": failing["booking_id"], "payment": {"method": "stripe"},
    }, secret=failing["booking_secret"])
    expect("failing at the bank", (status, reply.get("code")), (422, "payment_declined"))
    status, reply = ours("POST", f"/bookings/{failing['booking_id']}/cancel", secret=failing["booking_secret"])
    expect("giving up", (status, reply.get("status")), (200, "canceled"))
    expect("its payments", [i["status"] for i in of_booking(failing)], ["canceled"])

    ticket = booking["tickets"][0]["ticket_id"]
    status, part = ours("POST", "/payment/refund", {
        "booking_id": booking["booking_id"], "items": [{"ticket_id": ticket}], "reason": "one could not come",
    }, owner)
    expect("a refund of one ticket", (status, part.get("status"), part["refunded"]["amount_minor"]),
           (200, "partially_refunded", 2650))
    status, rest = ours("POST", "/payment/refund", {"booking_id": booking["booking_id"]}, owner)
    expect("a refund of the rest", (status, rest.get("status"), rest["refunded"]["amount_minor"]), (200, "refunded", 5300))
    charge = of_booking(booking)[0]["latest_charge"]
    charge = charge if isinstance(charge, str) else charge["id"]
    back = theirs(f"/v1/refunds?charge={charge}")["data"]
    expect("the refunds there", sorted(r["amount"] for r in back), [2650, 2650])


through(f"{server}/payment/webhooks/stripe/default")
status, account = ours("PUT", "/organizer/payment/stripe", {
    "secret_key": "sk_test_organizers_own", "publishable_key": "pk_test_own", "webhook_secrets": ["whsec_localstripe"],
}, owner)
expect("an account of the organizer's own", (status, account.get("configured")), (200, True))
own = account["webhook_url"].split("/payment/", 1)[1]
through(f"{server}/payment/{own}")
print(f"localstripe: {checks} checks of payments, 3-D Secure, webhooks and refunds hold, at the server's account and an organizer's")
