-- Mail on its way, the secrets that mails carry, and accounts that another identity provider vouches for.

-- The outbox ----------------------------------------------------------------------------------
-- A row is written in the transaction of its cause and is delivered, or dead, in the end.
-- Enqueued under any context; read by the organizer that it belongs to and by administrators; worked off
-- by the worker alone.
create table outbox (
  id uuid primary key,
  channel text not null check (channel in ('email', 'push', 'sms')),
  kind text not null check (kind ~ '^[a-z_]+(\.[a-z_]+)+$' and length(kind) <= 60),
  recipient text not null check (length(recipient) between 1 and 320),
  organizer_id uuid,
  language text not null check (length(language) between 2 and 35),
  facts jsonb not null default '{}' check (jsonb_typeof(facts) = 'object'),
  sealed_facts bytea, -- what nobody but the recipient may know: a JSON object under the master key; gone once sent, and with an account's mail that is given up
  status text not null default 'queued' check (status in ('queued', 'sent', 'delivered', 'failed', 'dead')),
  attempts integer not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null,
  leased_until timestamptz,
  last_error text check (length(last_error) <= 500),
  created_at timestamptz not null,
  expires_at timestamptz, -- not worth sending afterwards
  sent_at timestamptz,
  constraint outbox_sent check ((status in ('sent', 'delivered')) = (sent_at is not null)),
  constraint outbox_over check (status not in ('sent', 'delivered') or sealed_facts is null)
);
create index outbox_due on outbox (next_attempt_at, id) where status in ('queued', 'failed');
create index outbox_over on outbox (created_at) where status in ('sent', 'delivered', 'dead');
create index outbox_organizer on outbox (organizer_id, created_at) where organizer_id is not null;
call platform_table('outbox',
  'nullif(current_setting(''app.admin'', true), '''')::boolean
   or organizer_id = nullif(current_setting(''app.org'', true), '''')::uuid',
  'organizer_id is null or nullif(current_setting(''app.org'', true), '''') is null
   or organizer_id = nullif(current_setting(''app.org'', true), '''')::uuid');
revoke update, delete on outbox from hvflvspot_app;

-- One-time tokens -----------------------------------------------------------------------------
-- Links and codes that prove who reads the mails of an address, and codes of a sign-in on its way (PKCE).
-- One for each account and purpose: the next takes the place of the last. Used once: using deletes.
create table one_time_tokens (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  purpose text not null check (purpose in ('signup', 'magiclink', 'recovery', 'email_change', 'reauthentication', 'pkce')),
  email citext not null check (length(email) <= 254), -- where the mail went
  token_hash bytea not null unique check (length(token_hash) = 32), -- SHA-256 of the link's token
  code_hash bytea check (length(code_hash) = 32), -- HMAC of the row's id and the six digits
  tries smallint not null default 0 check (tries between 0 and 5),
  code_challenge text check (length(code_challenge) between 43 and 128),
  challenge_method text check (challenge_method in ('s256', 'plain')),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  unique (user_id, purpose),
  check ((code_challenge is null) = (challenge_method is null))
);
create index one_time_tokens_email on one_time_tokens (email, purpose);
create index one_time_tokens_expires on one_time_tokens (expires_at);
call platform_table('one_time_tokens',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');

-- How the session began, for the claim `amr` of its tokens.
alter table sessions add column method text not null default 'password'
  check (method in ('password', 'otp', 'recovery'));

-- Accounts of other identity providers ----------------------------------------------------------
-- Whom (iss, sub) of a foreign token means here.
create table user_identities (
  issuer text not null check (length(issuer) between 1 and 300),
  subject text not null check (length(subject) between 1 and 255),
  user_id uuid not null references users (id) on delete cascade,
  created_at timestamptz not null,
  synchronised_at timestamptz not null,
  primary key (issuer, subject)
);
create index user_identities_user on user_identities (user_id);
call platform_table('user_identities',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');
