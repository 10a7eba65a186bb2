-- Tickets in people's hands: handing them on, who attends, receipts, and tickets that others sold.

-- Handing on ------------------------------------------------------------------------------------

-- Of a ticket that was handed on: whom mails about it reach (null: whom the booking names), and since when.
-- `user_id` and `booking_secret_hash` of the row are the new holder's from then on, and its buyer's no more.
alter table tickets add column holder_email text check (length(holder_email) <= 254);
alter table tickets add column transferred_at timestamptz;
create index tickets_handed_on on tickets (organizer_id, booking_secret_hash) where transferred_at is not null;

-- A code that proves who reads the mails of a guest: one for each secret, the next takes the last one's place.
-- Good for a quarter of an hour, for whatever that secret opens.
create table guest_codes (
  organizer_id uuid not null,
  secret_hash bytea not null check (length(secret_hash) = 32),
  code_id uuid not null, -- what the hash is bound to
  email text not null check (length(email) <= 254), -- where it went
  code_hash bytea not null check (length(code_hash) = 32), -- HMAC of code_id and the six digits
  tries smallint not null default 0 check (tries between 0 and 5),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (organizer_id, secret_hash)
);
call tenant_table('guest_codes');

-- Tickets that others sold ------------------------------------------------------------------------

-- One row for each list that was taken in. Its tickets are tickets like all others, on a booking of their own that
-- costs nothing; their ids are made from their barcodes (shared::ticket::foreign).
create table imports (
  organizer_id uuid not null,
  import_id uuid not null,
  event_id uuid not null,
  booking_id uuid not null,
  tickets integer not null check (tickets > 0),
  state text not null default 'done' check (state in ('done', 'undone')),
  created_by uuid not null,
  created_at timestamptz not null,
  undone_by uuid,
  undone_at timestamptz,
  primary key (organizer_id, import_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id),
  check ((state = 'undone') = (undone_at is not null))
);
create index imports_event on imports (organizer_id, event_id, created_at);
call tenant_table('imports');

-- What an imported ticket has beside a ticket's columns. Stays when its import is undone, as its row in the manifest
-- does; taken in again, it is the same ticket.
create table imported_tickets (
  organizer_id uuid not null,
  ticket_id uuid not null,
  event_id uuid not null,
  import_id uuid not null, -- the last one
  barcode_sealed bytea not null, -- under the master key: who reads the database lets nobody in with it
  email text check (length(email) <= 254),
  reference text check (length(reference) <= 100), -- as the seller names the purchase
  undone boolean not null default false, -- was valid when its import was undone: it may be taken in again
  primary key (organizer_id, ticket_id),
  foreign key (organizer_id, ticket_id) references tickets (organizer_id, ticket_id),
  foreign key (organizer_id, import_id) references imports (organizer_id, import_id)
);
create index imported_tickets_event on imported_tickets (organizer_id, event_id);
create index imported_tickets_import on imported_tickets (organizer_id, import_id);
call tenant_table('imported_tickets');

-- Who will come -----------------------------------------------------------------------------------

-- What an organizer asks of everybody who comes, or of those with tickets of one type.
create table questions (
  organizer_id uuid not null,
  question_id uuid not null,
  event_id uuid not null,
  ticket_type_id uuid,
  label text not null check (length(label) between 1 and 200),
  kind text not null check (kind in ('text', 'choice', 'yes_no')),
  choices text[] not null default '{}' check (cardinality(choices) <= 50),
  required boolean not null default false,
  show_at_door boolean not null default false, -- the online answer to a scan has it
  position integer not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz, -- asked no more; what was answered stays
  primary key (organizer_id, question_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id),
  foreign key (organizer_id, ticket_type_id) references ticket_types (organizer_id, ticket_type_id),
  check ((kind = 'choice') = (cardinality(choices) > 0))
);
create index questions_event on questions (organizer_id, event_id);
call tenant_table('questions');

-- Answers by question.
alter table tickets add column answers jsonb not null default '{}' check (jsonb_typeof(answers) = 'object');

-- What a purchase says of who will come, written before the hold and moved to the tickets when they are issued. No
-- foreign key: if nothing is held in the end the rows are swept.
create table booking_attendees (
  organizer_id uuid not null,
  booking_id uuid not null,
  ticket_type_id uuid not null,
  place integer not null check (place >= 0), -- the n-th ticket of its type
  name text check (length(name) <= 200),
  answers jsonb not null check (jsonb_typeof(answers) = 'object'),
  created_at timestamptz not null,
  primary key (organizer_id, booking_id, ticket_type_id, place)
);
create index booking_attendees_age on booking_attendees (organizer_id, created_at);
call tenant_table('booking_attendees');

-- Receipts ----------------------------------------------------------------------------------------

-- Numbers rise by one for each organizer and year, and none is left out: a receipt gets its number when somebody
-- first asks for it, under the lock of the counter.
create table receipt_counters (
  organizer_id uuid not null,
  year integer not null check (year between 2000 and 9999),
  last_number integer not null check (last_number >= 1),
  primary key (organizer_id, year)
);
call tenant_table('receipt_counters');

create table receipts (
  organizer_id uuid not null,
  booking_id uuid not null,
  year integer not null,
  number integer not null,
  issued_at timestamptz not null,
  issuer jsonb not null check (jsonb_typeof(issuer) = 'object'), -- name, address and tax id as they were then
  primary key (organizer_id, booking_id),
  unique (organizer_id, year, number),
  foreign key (organizer_id, booking_id) references bookings (organizer_id, booking_id)
);
call tenant_table('receipts', append_only => true);
