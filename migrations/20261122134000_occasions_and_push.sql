-- What is told of without a request, in the reader's language, and browsers that are told too.

alter table waiting_list add column language text not null default 'en' check (language in ('en', 'de', 'es', 'fr'));

-- What was noticed already: a subject gives rise to a notice of a kind once, whoever looks how often.
create table noticed (
  organizer_id uuid not null,
  subject_id uuid not null, -- a booking, an event, an incident …
  kind text not null check (length(kind) <= 60),
  at timestamptz not null,
  primary key (organizer_id, subject_id, kind)
);
call tenant_table('noticed');

-- Copies -----------------------------------------------------------------------------------------
-- A notice to an account is a mail, which the worker copies to the account's other channels. A copy is a row with tries
-- of its own; its `recipient` is a subscription's id.
alter table outbox
  add column copy_of uuid, -- the notice
  add column to_copy boolean not null default false; -- the copies are still to be made
create unique index outbox_once on outbox (copy_of, channel, recipient) where copy_of is not null;
create index outbox_to_copy on outbox (created_at) where to_copy;

-- Whom else a notice reaches ----------------------------------------------------------------------
-- Browsers that asked for notices (RFC 8030). Where they are reached and by which keys is sealed under the master key.
create table push_subscriptions (
  subscription_id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  endpoint_hash bytea not null unique check (length(endpoint_hash) = 32), -- SHA-256
  sealed bytea not null, -- endpoint, public key, shared secret: JSON
  label text not null default '' check (length(label) <= 200),
  created_at timestamptz not null,
  last_sent_at timestamptz
);
create index push_subscriptions_user on push_subscriptions (user_id);
call platform_table('push_subscriptions',
  'nullif(current_setting(''app.org'', true), '''') is null
   and user_id = nullif(current_setting(''app.user'', true), '''')::uuid');

-- The key by which push services know us (RFC 8292).
alter table signing_keys drop constraint signing_keys_purpose_check;
alter table signing_keys add constraint signing_keys_purpose_check check (purpose in ('access_token', 'vapid'));
