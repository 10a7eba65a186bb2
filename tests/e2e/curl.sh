#!/bin/bash
# The whole way with curl alone: sign up, put an event on sale, buy as a guest, look at the QR, check in, count.
# Usage: curl.sh http://127.0.0.1:3000   (a server with --dev). Needs bash, curl and sed. Prints what it does.
set -euo pipefail
url=$1

# The first string or number under a name in a JSON answer; enough for answers that one knows.
field() { sed -nE "s/.*\"$1\" *: *\"?([^\",}]+)\"?.*/\1/p" <<<"$2" | head -1; }
say() { printf '%s\n' "$*"; }
call() { # METHOD PATH [BODY] [curl flags…]
  local method=$1 path=$2 body=${3:-}; shift 2; [ $# -eq 0 ] || shift
  local answer
  if [ -n "$body" ]; then set -- "$@" -H 'content-type: application/json' --data "$body"; fi
  answer=$(curl --silent --show-error --fail-with-body -X "$method" "$@" "$url$path" | tr -d '\n') \
    || { say "$method $path: $answer" >&2; exit 1; }
  printf '%s' "$answer"
}

document=$(call GET /openapi.json)
for path in /tickets/purchase /organizer/events/create /tickets/validate; do
  grep -q "\"$path\"" <<<"$document" || { say "the document lacks $path"; exit 1; }
done

email="curl-$$-$RANDOM@demo.example"
session=$(call POST /auth/v1/signup "{\"email\":\"$email\",\"password\":\"a-password-for-curl\"}")
me="authorization: Bearer $(field access_token "$session")"
say "signed up as $email"
call PUT /organizer/profile "{\"name\":\"Curl\",\"contact_email\":\"$email\"}" -H "$me" >/dev/null

starts=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ); ends=$(date -u -d '+5 hours' +%Y-%m-%dT%H:%M:%SZ)
event=$(call POST /organizer/events/create "{\"title\":\"By curl\",\"category_id\":\"music\",\"time_zone\":\"Europe/Madrid\",
  \"currency\":\"EUR\",\"starts_at\":\"$starts\",\"ends_at\":\"$ends\",\"venue_name\":\"Sala\",\"city\":\"Madrid\"}" -H "$me")
event=$(field event_id "$event")
type=$(call POST "/organizer/events/$event/ticket-types" \
  '{"name":"Entry","price":{"amount_minor":1000,"currency":"EUR"},"capacity":10}' -H "$me")
type=$(field ticket_type_id "$type")
list=$(call POST "/organizer/events/$event/lists" \
  '{"name":"Door","attendance":true,"multiple_entry":false,"reentry_after_exit":false}' -H "$me")
list=$(field list_id "$list")
call POST "/organizer/events/$event/publish" '{}' -H "$me" >/dev/null
say "event $event is on sale"

order="{\"event_id\":\"$event\",\"email\":\"guest@demo.example\",\"items\":[{\"ticket_type_id\":\"$type\",\"quantity\":1}],
  \"payment\":{\"method\":\"simulated\",\"token\":\"tok_always_succeeds\"}}"
booking=$(call POST /tickets/purchase "$order" -H "idempotency-key: $(cat /proc/sys/kernel/random/uuid)")
secret=$(field booking_secret "$booking"); ticket=$(field ticket_id "$booking")
# A code may hold any character of base45, a comma never.
code=$(sed -nE 's/.*"code" *: *"(HV1:[^"]+)".*/\1/p' <<<"$booking")
say "bought ticket $ticket: ${code:0:40}…"
curl --silent --fail -H "booking-secret: $secret" "$url/tickets/$ticket/qr.svg" | grep -q '<svg' || { say "no QR"; exit 1; }

check="{\"code\":\"$code\",\"event_id\":\"$event\",\"check_in\":{\"list_id\":\"$list\"}}"
first=$(field outcome "$(call POST /tickets/validate "$check" -H "$me")")
second=$(field outcome "$(call POST /tickets/validate "$check" -H "$me")")
say "checked in: $first, and again: $second"
[ "$first" = ok ] && [ "$second" = already_admitted ]
stats=$(call GET "/organizer/events/$event/stats" '' -H "$me")
[ "$(field admitted "$stats")" = 1 ] || { say "the statistics say: $stats"; exit 1; }
say "the statistics count one admission"
