-- Offers: fees of an event, limits per person, promo codes, complimentary tickets, the waiting list, the waiting
-- room, and the cancellation of an event.

alter table events
  add column fee_fixed_minor bigint not null default 0 check (fee_fixed_minor between 0 and 1000000000),
  add column fee_rate_bp integer not null default 0 check (fee_rate_bp between 0 and 10000), -- of the stated price
  add column fee_bearer text not null default 'buyer' check (fee_bearer in ('buyer', 'organizer')),
  add column max_per_person integer check (max_per_person between 1 and 100000),
  add column waiting_list boolean not null default true,
  add column offer_secs integer not null default 14400 check (offer_secs between 600 and 604800),
  add column admit_per_minute integer check (admit_per_minute between 1 and 100000); -- null = no waiting room

alter table ticket_types
  add column max_per_person integer check (max_per_person between 1 and 100000);

-- People wait for it: what becomes free is theirs, and the public sale is closed until nobody waits any more.
alter table quotas add column queued boolean not null default false;

-- Promo and access codes. `uses` and `spent_minor` are never below what live bookings have taken: they rise with a
-- hold, under the row's lock, and what came to nothing is taken off again when the limit is met (store/promo.rs).
create table promo_codes (
  organizer_id uuid not null,
  promo_code_id uuid not null,
  event_id uuid not null,
  code text not null check (length(code) between 2 and 64),
  code_key text not null, -- lower case: how it is looked up
  percent_bp integer check (percent_bp between 1 and 10000),
  amount_minor bigint check (amount_minor between 1 and 1000000000), -- off each ticket
  ticket_type_ids uuid[], -- null = all
  unlocks boolean not null default false, -- hidden types that it is for can be bought with it
  valid_from timestamptz,
  valid_until timestamptz,
  max_uses integer check (max_uses between 1 and 10000000), -- bookings
  max_uses_per_person integer check (max_uses_per_person between 1 and 100000),
  budget_minor bigint check (budget_minor between 1 and 1000000000000), -- all discounts together
  revision bigint not null default 1, -- a hold names the state whose terms it was priced by
  uses bigint not null default 0 check (uses >= 0),
  spent_minor bigint not null default 0 check (spent_minor >= 0),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz,
  primary key (organizer_id, promo_code_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  check (percent_bp is null or amount_minor is null),
  check (valid_from is null or valid_until is null or valid_from < valid_until),
  constraint promo_codes_uses check (max_uses is null or uses <= max_uses),
  constraint promo_codes_budget check (budget_minor is null or spent_minor <= budget_minor)
);
create unique index promo_codes_code on promo_codes (organizer_id, event_id, code_key) where archived_at is null;
call tenant_table('promo_codes');

-- What a booking took beside room, if it took anything: a code, a share of a limit per person, a place in the
-- waiting room. Sales without any of these write nothing here.
create table booking_claims (
  organizer_id uuid not null,
  booking_id uuid not null,
  event_id uuid not null,
  person bytea not null check (length(person) = 32), -- keyed hash of the normalised address: names nobody
  promo_code_id uuid,
  discount_minor bigint not null default 0 check (discount_minor >= 0), -- how much less is paid
  released boolean not null default false, -- the booking came to nothing and its use of the code was given back
  queue_place bigint,
  created_at timestamptz not null,
  primary key (organizer_id, booking_id),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id)
);
create index booking_claims_person on booking_claims (organizer_id, event_id, person);
create index booking_claims_code on booking_claims (organizer_id, promo_code_id, person) where promo_code_id is not null;
create unique index booking_claims_place on booking_claims (organizer_id, event_id, queue_place)
  where queue_place is not null;
call tenant_table('booking_claims');

-- One row per person (or place in the waiting room) and event, only to be locked: whoever counts what a person has
-- counts alone.
create table claim_locks (
  organizer_id uuid not null,
  event_id uuid not null,
  claimant bytea not null check (length(claimant) = 32),
  seen_at timestamptz not null,
  primary key (organizer_id, event_id, claimant)
);
call tenant_table('claim_locks');

-- Tickets given away. The booking is a free one; this says who gave it and why.
create table complimentary (
  organizer_id uuid not null,
  booking_id uuid not null,
  event_id uuid not null,
  ticket_type_id uuid not null,
  quantity integer not null check (quantity between 1 and 1000),
  note text not null default '' check (length(note) <= 500),
  given_by uuid not null,
  created_at timestamptz not null,
  primary key (organizer_id, booking_id),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id)
);
create index complimentary_event on complimentary (organizer_id, event_id, created_at, booking_id);
call tenant_table('complimentary');

-- The waiting list. An entry's id is the id of the booking that its offer will be, so that the secret of the one
-- opens the other.
create table waiting_list (
  organizer_id uuid not null,
  entry_id uuid not null,
  event_id uuid not null,
  line_no bigint not null, -- the order of coming within the event; given under the event's lock
  ticket_type_id uuid not null,
  quota_id uuid not null,
  quantity integer not null check (quantity between 1 and 1000),
  user_id uuid,
  booking_secret_hash bytea check (length(booking_secret_hash) = 32),
  email text not null check (length(email) <= 254),
  person bytea not null check (length(person) = 32),
  status text not null default 'waiting'
    check (status in ('waiting', 'offered', 'taken', 'lapsed', 'left', 'closed')),
  created_at timestamptz not null,
  offered_at timestamptz,
  offer_until timestamptz,
  ended_at timestamptz,
  primary key (organizer_id, entry_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  foreign key (organizer_id, ticket_type_id) references ticket_types (organizer_id, ticket_type_id),
  check (user_id is not null or booking_secret_hash is not null)
);
create unique index waiting_list_once on waiting_list (organizer_id, event_id, ticket_type_id, person)
  where status in ('waiting', 'offered');
create index waiting_list_line on waiting_list (organizer_id, quota_id, line_no) where status = 'waiting';
create index waiting_list_offered on waiting_list (organizer_id, entry_id) where status = 'offered';
create unique index waiting_list_event on waiting_list (organizer_id, event_id, line_no);
call tenant_table('waiting_list');
call user_may_read('waiting_list');
call guest_may_read('waiting_list');

-- The waiting room of a rush: who comes gets the next free moment. One row per event.
create table waiting_rooms (
  organizer_id uuid not null,
  event_id uuid not null,
  arrivals bigint not null default 0,
  next_admission_at timestamptz not null,
  primary key (organizer_id, event_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
call tenant_table('waiting_rooms');

-- The cancellation of an event, worked off by a job.
create table event_cancellations (
  organizer_id uuid not null,
  event_id uuid not null,
  reason text not null default '' check (length(reason) <= 1000),
  requested_at timestamptz not null,
  finished_at timestamptz,
  primary key (organizer_id, event_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
create index event_cancellations_open on event_cancellations (organizer_id) where finished_at is null;
call tenant_table('event_cancellations');

-- One row per booking that was paid or free when its event was canceled, written together with its mail.
create table cancellation_items (
  organizer_id uuid not null,
  booking_id uuid not null,
  event_id uuid not null,
  status text not null default 'open' check (status in ('open', 'refunded', 'free', 'failed')),
  attempts integer not null default 0,
  next_attempt_at timestamptz not null,
  failure text,
  primary key (organizer_id, booking_id),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id)
);
create index cancellation_items_event on cancellation_items (organizer_id, event_id, status);
call tenant_table('cancellation_items');
