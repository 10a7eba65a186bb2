-- Selling: bookings, tickets, money, and what makes repeating a request harmless.
-- Locks are always taken in this order: bookings, quotas (by id), change_counters.

create table bookings (
  organizer_id uuid not null,
  booking_id uuid not null,
  event_id uuid not null,
  user_id uuid, -- null: a guest
  booking_secret_hash bytea check (length(booking_secret_hash) = 32), -- SHA-256 of the guest's secret
  email text check (length(email) <= 254),
  status text not null check (status in ('held', 'paid', 'partially_refunded', 'refunded', 'expired', 'canceled')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  price_minor bigint not null check (price_minor >= 0), -- net of tax
  fee_minor bigint not null check (fee_minor >= 0),
  tax_minor bigint not null check (tax_minor >= 0),
  total_minor bigint not null,
  refunded_minor bigint not null default 0, -- pending and completed refunds: reserved before the provider is asked
  held_until timestamptz not null,
  extended_at timestamptz, -- a hold is extended once
  payment_until timestamptz, -- a payment is in flight, and the hold waits for it until then at most
  created_at timestamptz not null,
  paid_at timestamptz,
  closed_at timestamptz, -- expired, canceled or wholly refunded
  primary key (organizer_id, booking_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  check (user_id is not null or booking_secret_hash is not null),
  constraint bookings_total check (total_minor = price_minor + fee_minor + tax_minor),
  constraint bookings_refunds check (refunded_minor between 0 and total_minor),
  check ((status in ('paid', 'partially_refunded', 'refunded')) <= (paid_at is not null))
) with (fillfactor = 80);
create index bookings_event on bookings (organizer_id, event_id, created_at);
create index bookings_user on bookings (organizer_id, user_id, created_at) where user_id is not null;
create index bookings_secret on bookings (organizer_id, booking_secret_hash) where booking_secret_hash is not null;
create index bookings_held on bookings (organizer_id, held_until) where status = 'held';
call tenant_table('bookings');
call user_may_read('bookings');
call guest_may_read('bookings');

create table booking_lines (
  organizer_id uuid not null,
  booking_id uuid not null,
  line smallint not null,
  ticket_type_id uuid not null,
  quota_id uuid not null, -- as when it was taken: a type may move to another quota later
  quantity integer not null check (quantity > 0),
  unit_price_minor bigint not null, -- net of tax, of one ticket
  unit_fee_minor bigint not null,
  unit_tax_minor bigint not null,
  -- As they were at the sale, for its receipt: a type may be renamed, and taxed and priced otherwise, later.
  name text not null,
  tax_rate_bp integer not null check (tax_rate_bp between 0 and 10000),
  list_price_minor bigint not null, -- net of tax, of one ticket without its promo code
  list_fee_minor bigint not null,
  primary key (organizer_id, booking_id, line),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id),
  foreign key (organizer_id, ticket_type_id) references ticket_types (organizer_id, ticket_type_id)
);
create index booking_lines_type on booking_lines (organizer_id, ticket_type_id);
call tenant_table('booking_lines');

create table tickets (
  organizer_id uuid not null,
  ticket_id uuid not null,
  event_id uuid not null,
  booking_id uuid not null,
  ticket_type_id uuid not null,
  type_no integer not null,
  user_id uuid, -- whose it is: the buyer's, later the one's it was transferred to
  booking_secret_hash bytea,
  attendee_name text check (length(attendee_name) <= 200),
  state text not null default 'valid' check (state in ('valid', 'blocked', 'refunded', 'canceled', 'withdrawn')),
  block_reason text check ((block_reason is null) = (state <> 'blocked')), -- 'refund': one is in flight; 'organizer'
  -- What the code of the current generation says: its text is made from these when asked for.
  generation smallint not null default 0 check (generation between 0 and 15),
  kid bytea not null check (length(kid) = 4),
  issued_at timestamptz not null, -- database clock, whole seconds
  not_before timestamptz, -- null = 0, from the start
  expires_at timestamptz not null,
  primary key (organizer_id, ticket_id),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id),
  check (issued_at = date_trunc('second', issued_at) and expires_at = date_trunc('second', expires_at)),
  check (not_before is null or (not_before < expires_at and not_before = date_trunc('second', not_before)))
);
create index tickets_booking on tickets (organizer_id, booking_id);
create index tickets_event on tickets (organizer_id, event_id, ticket_type_id);
create index tickets_user on tickets (organizer_id, user_id) where user_id is not null;
call tenant_table('tickets');
call user_may_read('tickets');
call guest_may_read('tickets');

-- Movements of money. A row is written before the provider is asked, so that none is ever unknown here.
create table transactions (
  organizer_id uuid not null,
  transaction_id uuid not null, -- the provider's idempotency key is derived from it
  booking_id uuid not null,
  event_id uuid not null,
  user_id uuid,
  booking_secret_hash bytea,
  kind text not null check (kind in ('payment', 'refund')),
  status text not null check (status in ('pending', 'completed', 'failed', 'refunded')),
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  provider text not null,
  provider_token text, -- the provider's own reference to a means of payment; never a card number
  provider_ref text, -- the provider's id of the movement
  refund_of uuid, -- of a refund: the payment
  reason text check (length(reason) <= 500),
  failure_code text,
  attempts integer not null default 1, -- how often the provider was asked
  next_attempt_at timestamptz, -- of a pending one: when the reconcile job asks again
  created_at timestamptz not null,
  completed_at timestamptz,
  primary key (organizer_id, transaction_id),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id),
  check ((kind = 'refund') = (refund_of is not null))
);
-- No double charge: at most one payment of a booking is in flight or done.
create unique index transactions_one_payment on transactions (organizer_id, booking_id)
  where kind = 'payment' and status <> 'failed';
create index transactions_booking on transactions (organizer_id, booking_id);
create index transactions_history on transactions (organizer_id, created_at, transaction_id);
create index transactions_user on transactions (organizer_id, user_id, created_at) where user_id is not null;
create index transactions_pending on transactions (organizer_id, next_attempt_at) where status = 'pending';
call tenant_table('transactions');
call user_may_read('transactions');
call guest_may_read('transactions');

-- Double entry. The rows of an entry are written by one statement that refuses a sum other than zero.
-- Accounts: 'provider:NAME' (money at the provider; positive when we have it), 'sales', 'fees', 'tax'.
create table ledger (
  organizer_id uuid not null,
  entry_id uuid not null, -- the transaction's id
  line smallint not null,
  booking_id uuid not null,
  event_id uuid not null,
  kind text not null check (kind in ('payment', 'refund')),
  account text not null,
  amount_minor bigint not null check (amount_minor <> 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  booked_at timestamptz not null,
  primary key (organizer_id, entry_id, line)
);
create index ledger_booking on ledger (organizer_id, booking_id);
create index ledger_event on ledger (organizer_id, event_id, booked_at);
call tenant_table('ledger', append_only => true);

-- Who did what to what.
create table audit (
  organizer_id uuid not null,
  audit_id uuid not null,
  at timestamptz not null,
  actor_kind text not null check (actor_kind in ('user', 'guest', 'device', 'system', 'job')),
  actor_id uuid,
  action text not null, -- as 'booking.paid'
  object_kind text not null,
  object_id uuid not null,
  request_id text,
  detail jsonb not null default '{}',
  primary key (organizer_id, audit_id)
);
create index audit_object on audit (organizer_id, object_id, at);
call tenant_table('audit', append_only => true);

-- One row per Idempotency-Key in its scope. `resource_id` is the id that the request will give to what
-- it makes; who takes over after a crash gets the same id, finds what was already made, and goes on.
create table idempotency_keys (
  organizer_id uuid not null,
  scope_hash bytea not null check (length(scope_hash) = 32), -- caller, route and key
  body_hash bytea not null check (length(body_hash) = 32),
  resource_id uuid not null,
  leased_until timestamptz, -- null: answered
  status smallint,
  answer_sealed bytea, -- the body, sealed: it may hold a guest's secret
  created_at timestamptz not null,
  primary key (organizer_id, scope_hash),
  check ((leased_until is null) = (status is not null and answer_sealed is not null))
);
create index idempotency_keys_age on idempotency_keys (organizer_id, created_at);
call tenant_table('idempotency_keys');
