-- Who may come in, beyond the password: system accounts, invitations, cookies, second factors.

-- Integrations of an organizer. They sign in with a client secret (256 bits of chance, stored as its
-- SHA-256) for a token of 30 days, and may do what their scopes say (server/src/domain/access.rs).
create table system_accounts (
  organizer_id uuid not null,
  account_id uuid not null,
  label text not null check (length(label) between 1 and 200),
  scopes text[] not null check (cardinality(scopes) between 1 and 20),
  secret_hash bytea not null check (length(secret_hash) = 32),
  created_by uuid not null,
  created_at timestamptz not null,
  rotated_at timestamptz,
  last_used_at timestamptz, -- written at most once a minute
  revoked_at timestamptz,
  primary key (organizer_id, account_id)
);
call tenant_table('system_accounts');

create table system_tokens (
  organizer_id uuid not null,
  token_hash bytea not null check (length(token_hash) = 32), -- SHA-256
  account_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (organizer_id, token_hash),
  foreign key (organizer_id, account_id) references system_accounts (organizer_id, account_id) on delete cascade
);
create index system_tokens_account on system_tokens (organizer_id, account_id, created_at);
call tenant_table('system_tokens');

-- Who was asked to become a member. The token is in the mail alone.
create table invitations (
  organizer_id uuid not null,
  invitation_id uuid not null,
  email text not null check (length(email) <= 254),
  role text not null check (role in ('owner', 'manager', 'door')),
  token_hash bytea not null check (length(token_hash) = 32), -- SHA-256
  invited_by uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid,
  withdrawn_at timestamptz,
  primary key (organizer_id, invitation_id),
  unique (organizer_id, token_hash),
  check (accepted_at is null or withdrawn_at is null)
);
call tenant_table('invitations');

-- How strong a sign-in is: aal2 once a second factor was shown.
alter table sessions add column aal text not null default 'aal1' check (aal in ('aal1', 'aal2'));

-- Browsers' sessions: the cookie's text as its SHA-256. A session has one such row, or refresh tokens.
create table cookie_tokens (
  token_hash bytea primary key check (length(token_hash) = 32),
  session_id uuid not null unique references sessions (id) on delete cascade,
  user_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null -- moves on with use
);
call platform_table('cookie_tokens',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');

-- From where an account signed in before: a keyed hash of browser and network, so that a sign-in from
-- elsewhere can be told to the account's owner without keeping addresses.
create table known_clients (
  user_id uuid not null references users (id) on delete cascade,
  fingerprint bytea not null check (length(fingerprint) = 32),
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  primary key (user_id, fingerprint)
);
call platform_table('known_clients',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');

-- Second factors (RFC 6238), sealed under the master key. In force once confirmed.
create table totp (
  user_id uuid primary key references users (id) on delete cascade,
  sealed bytea not null,
  created_at timestamptz not null,
  confirmed_at timestamptz,
  last_step bigint not null default 0 -- a code of this time step or an earlier one is refused
);
call platform_table('totp',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');

-- For the day the phone is lost: each good once.
create table recovery_codes (
  user_id uuid not null references users (id) on delete cascade,
  code_hash bytea not null check (length(code_hash) = 32), -- SHA-256 of 80 bits of chance
  used_at timestamptz,
  primary key (user_id, code_hash)
);
call platform_table('recovery_codes',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');
