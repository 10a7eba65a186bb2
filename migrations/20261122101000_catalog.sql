-- The catalogue: who organizes, what is on, what can be bought, who works at the door, and the keys
-- under which an organizer's gates trust it all.

-- The database's clock, the one that `issued_at` and a manifest's `as_of` are read from. A test moves
-- it with `alter database … set app.clock_offset = '…'`; nobody else sets it.
create function db_clock() returns timestamptz language sql volatile parallel restricted as $$
  select clock_timestamp() + coalesce(nullif(current_setting('app.clock_offset', true), '')::interval, interval '0')
$$;

-- Organizers -----------------------------------------------------------------------------------

create table organizers (
  organizer_id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  legal_name text check (length(legal_name) <= 200),
  description text not null default '' check (length(description) <= 10000),
  contact_email text not null check (length(contact_email) <= 254),
  website text check (length(website) <= 500),
  address text check (length(address) <= 1000), -- as printed on receipts
  country text check (country ~ '^[A-Z]{2}$'),
  tax_id text check (length(tax_id) <= 64),
  status text not null default 'draft' check (status in ('draft', 'submitted', 'approved', 'rejected')),
  status_reason text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
call tenant_table('organizers');
call admin_may('organizers', writes => true);

-- Private keys of organizers, sealed under the master key (server/src/keys.rs). `sealed` is null for
-- a root key that was exported and is kept offline.
create table organizer_keys (
  organizer_id uuid not null references organizers (organizer_id),
  key_id uuid not null,
  purpose text not null check (purpose in ('root', 'manifest', 'online', 'ticket')),
  event_id uuid, -- of a ticket key: the only event whose codes it signs
  kid bytea not null check (length(kid) = 4),
  public_key bytea not null check (length(public_key) = 32),
  sealed bytea,
  status text not null default 'active' check (status in ('active', 'verify_only', 'compromised')),
  created_at timestamptz not null,
  primary key (organizer_id, key_id),
  unique (organizer_id, public_key),
  check ((purpose = 'ticket') = (event_id is not null))
);
create index organizer_keys_event on organizer_keys (organizer_id, event_id);
call tenant_table('organizer_keys');

-- Signed trust roots, exactly as signed.
create table trust_roots (
  organizer_id uuid not null references organizers (organizer_id),
  version integer not null check (version >= 1),
  document bytea not null,
  succession bytea, -- COSE_Sign1 by the root key before; null for version 1 alone
  created_at timestamptz not null,
  primary key (organizer_id, version),
  check ((version = 1) = (succession is null))
);
call tenant_table('trust_roots', append_only => true);

-- What is on -----------------------------------------------------------------------------------

create table categories (
  category_id text primary key check (category_id ~ '^[a-z][a-z0-9-]{1,39}$'),
  name text not null,
  position smallint not null
);
insert into categories (category_id, name, position) values
  ('music', 'Music', 1), ('festival', 'Festivals', 2), ('nightlife', 'Nightlife', 3), ('theatre', 'Theatre', 4),
  ('comedy', 'Comedy', 5), ('film', 'Film', 6), ('art', 'Art & exhibitions', 7), ('sports', 'Sports', 8),
  ('conference', 'Conferences', 9), ('workshop', 'Workshops & classes', 10), ('food', 'Food & drink', 11),
  ('family', 'Family', 12), ('community', 'Community', 13), ('other', 'Other', 99);
call platform_table('categories', 'true', 'false');
revoke insert, update, delete on categories from hvflvspot_app, hvflvspot_worker;

create table events (
  organizer_id uuid not null references organizers (organizer_id),
  event_id uuid not null,
  slug text not null check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) between 3 and 80),
  title text not null check (length(title) between 1 and 200),
  description text not null default '' check (length(description) <= 20000),
  category_id text not null references categories (category_id),
  venue_name text not null default '' check (length(venue_name) <= 200),
  venue_address text not null default '' check (length(venue_address) <= 500),
  city text not null default '' check (length(city) <= 120),
  country text check (country ~ '^[A-Z]{2}$'),
  latitude double precision check (latitude between -90 and 90),
  longitude double precision check (longitude between -180 and 180),
  time_zone text not null, -- IANA name, checked when written
  admission_at timestamptz,
  starts_at timestamptz not null,
  ends_at timestamptz,
  status text not null default 'draft' check (status in ('draft', 'published', 'canceled')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  hold_secs integer not null default 900 check (hold_secs between 60 and 86400),
  extension_secs integer not null default 900 check (extension_secs between 0 and 86400),
  max_per_booking integer not null default 20 check (max_per_booking between 1 and 1000),
  refundable_until timestamptz, -- until then attendees refund by themselves; null = never
  -- Rises with every change that a sale depends on (prices, windows, limits, status). A sale names the
  -- version whose prices it was computed from, so that servers may keep them in memory.
  sale_version bigint not null default 1,
  next_type_no integer not null default 1 check (next_type_no between 1 and 65536),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  published_at timestamptz,
  primary key (organizer_id, event_id),
  unique (organizer_id, slug),
  check (latitude is null = (longitude is null)),
  check (admission_at is null or admission_at <= coalesce(ends_at, starts_at)),
  check (ends_at is null or starts_at < ends_at)
);
create index events_starts on events (organizer_id, starts_at, event_id);
call tenant_table('events');

-- The counters of a capacity. One guarded statement takes from it; the check is the second lock.
create table quotas (
  organizer_id uuid not null,
  quota_id uuid not null,
  event_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  capacity integer not null,
  held integer not null default 0,
  sold integer not null default 0,
  created_at timestamptz not null,
  primary key (organizer_id, quota_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  constraint quotas_capacity check (held >= 0 and sold >= 0 and held + sold <= capacity)
) with (fillfactor = 50); -- hot rows: leaves room for updates on the same page
create index quotas_event on quotas (organizer_id, event_id);
call tenant_table('quotas');

-- True if `n` more fit. The guard of every statement that takes capacity.
create function quota_fits(held integer, sold integer, n bigint, capacity integer) returns boolean
language sql immutable parallel safe as $$ select held + sold + n <= capacity $$;

create table ticket_types (
  organizer_id uuid not null,
  ticket_type_id uuid not null,
  event_id uuid not null,
  number integer not null check (number between 1 and 65535), -- within the event, as in the code; never used twice
  quota_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  description text not null default '' check (length(description) <= 2000),
  price_minor bigint not null check (price_minor between 0 and 1000000000),
  fee_minor bigint not null default 0 check (fee_minor between 0 and 1000000000),
  tax_rate_bp integer not null default 0 check (tax_rate_bp between 0 and 10000),
  tax_inclusive boolean not null default true,
  sales_from timestamptz,
  sales_until timestamptz,
  valid_from timestamptz, -- null = from the start
  valid_until timestamptz, -- null = the end of the event
  grace_secs integer not null default 86400 check (grace_secs between 0 and 31536000),
  max_per_booking integer not null default 10 check (max_per_booking between 1 and 1000),
  attention text check (length(attention) <= 300), -- shown at each scan of this type
  hidden boolean not null default false, -- not on sale to the public
  position integer not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz, -- gone from sale for good; its tickets stay
  primary key (organizer_id, ticket_type_id),
  unique (organizer_id, event_id, number),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  foreign key (organizer_id, quota_id) references quotas (organizer_id, quota_id),
  check (sales_from is null or sales_until is null or sales_from < sales_until),
  check (valid_from is null or valid_until is null or valid_from < valid_until)
);
call tenant_table('ticket_types');

create table checkin_lists (
  organizer_id uuid not null,
  list_id uuid not null,
  event_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  attendance boolean not null default false, -- the event's totals use it alone
  type_numbers integer[], -- null = every type, also later ones; empty = none
  multiple_entry boolean not null default false,
  reentry_after_exit boolean not null default false,
  rule jsonb, -- typed rule of shared::admission::rule; null = no condition
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz,
  primary key (organizer_id, list_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  check (not (attendance and archived_at is not null))
);
create unique index checkin_lists_attendance on checkin_lists (organizer_id, event_id) where attendance;
create index checkin_lists_event on checkin_lists (organizer_id, event_id);
call tenant_table('checkin_lists');

-- Places.
create table gates (
  organizer_id uuid not null,
  gate_id uuid not null,
  event_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  created_at timestamptz not null,
  archived_at timestamptz,
  primary key (organizer_id, gate_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
create index gates_event on gates (organizer_id, event_id);
call tenant_table('gates');

-- Door staff, who sign with a PIN at the gate.
create table stewards (
  organizer_id uuid not null,
  steward_id uuid not null,
  event_id uuid not null,
  label text not null check (length(label) between 1 and 100),
  supervisor boolean not null default false,
  pin_hash text not null, -- argon2id, PHC string
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz,
  primary key (organizer_id, steward_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
create index stewards_event on stewards (organizer_id, event_id);
call tenant_table('stewards');

-- What gates must learn -------------------------------------------------------------------------

-- Rises by one per transaction that changes tickets or configuration of the event, in its LAST statement.
create table change_counters (
  organizer_id uuid not null,
  event_id uuid not null,
  change_seq bigint not null default 0 check (change_seq >= 0),
  primary key (organizer_id, event_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
) with (fillfactor = 50);
call tenant_table('change_counters');

-- One row per such transaction: the ticket rows (20 bytes each, shared::manifest::rows) as they stand
-- after it; empty where only configuration changed.
create table manifest_changes (
  organizer_id uuid not null,
  event_id uuid not null,
  change_seq bigint not null,
  rows bytea not null check (length(rows) % 20 = 0),
  primary key (organizer_id, event_id, change_seq),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
call tenant_table('manifest_changes', append_only => true);

-- Public search --------------------------------------------------------------------------------

-- Published events only, written in the transaction that changes the event. Everybody may read all of
-- it, by a policy that the planner drops, so that its indexes serve full text and trigrams.
create table event_search (
  organizer_id uuid not null,
  event_id uuid not null,
  slug text not null,
  title text not null,
  summary text not null,
  category_id text not null,
  organizer_name text not null,
  venue_name text not null,
  city text not null,
  country text,
  latitude double precision,
  longitude double precision,
  time_zone text not null,
  starts_at timestamptz not null,
  ends_at timestamptz,
  currency text not null,
  price_from_minor bigint, -- price + fee + tax of the cheapest public type; null = nothing on sale
  document tsvector not null,
  updated_at timestamptz not null,
  primary key (organizer_id, event_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
create index event_search_starts on event_search (starts_at, event_id);
create index event_search_category on event_search (category_id, starts_at, event_id);
create index event_search_document on event_search using gin (document);
create index event_search_title on event_search using gin (title gin_trgm_ops);
call tenant_table('event_search');
call public_may_read('event_search');
