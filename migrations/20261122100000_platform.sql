-- The ground of the database: the context that every policy reads, the procedures that put a table
-- under row level security, and the platform tables, which belong to no organizer.
--
-- Runs as hvflvspot_owner. The roles are made before by server/src/store/roles.sql.

create extension if not exists citext;
create extension if not exists pg_trgm;
create extension if not exists unaccent;

-- The ONE way to say who is asking. Called alone, first in the transaction, never in a savepoint.
-- It sets every value, also the absent ones, so that nothing of an earlier caller can remain.
-- After the transaction a local setting is '' and not null: hence the nullif in every policy.
create function ctx(org uuid, user_id uuid, booking_secret_hash bytea, admin boolean)
returns void language plpgsql volatile as $$
begin
  perform set_config('app.org', coalesce(org::text, ''), true);
  perform set_config('app.user', coalesce(user_id::text, ''), true);
  perform set_config('app.secret', coalesce(encode(booking_secret_hash, 'hex'), ''), true);
  perform set_config('app.admin', case when admin then 'true' else '' end, true);
end
$$;

-- What was put under row level security, and how. The catalogue tests read it.
create table table_registry (
  table_name text primary key,
  kind text not null check (kind in ('tenant', 'platform')),
  append_only boolean not null
);

-- Internal: what every table gets. The owner's policy lets backfills and dumps work under FORCE.
create procedure secure_table(name text, kind text, append_only boolean, app_using text, app_check text, worker_rule text)
language plpgsql as $$
declare
  verbs text := case when append_only then 'select, insert' else 'select, insert, update, delete' end;
begin
  execute format('alter table public.%I enable row level security', name);
  execute format('alter table public.%I force row level security', name);
  execute format('create policy owner_all on public.%I to hvflvspot_owner using (true) with check (true)', name);
  execute format('create policy app_rule on public.%I to hvflvspot_app using (%s) with check (%s)', name, app_using, app_check);
  execute format('create policy worker_rule on public.%I to hvflvspot_worker using (%s) with check (%s)', name, worker_rule, worker_rule);
  execute format('revoke all on public.%I from public, hvflvspot_app, hvflvspot_worker', name);
  execute format('grant %s on public.%I to hvflvspot_app, hvflvspot_worker', verbs, name);
  insert into public.table_registry values (name, kind, append_only)
    on conflict (table_name) do update set kind = excluded.kind, append_only = excluded.append_only;
end
$$;

-- A table of an organizer's rows: seen and written only under ctx(org, …) of that organizer.
-- Refuses a table whose keys do not start with organizer_id.
-- append_only: neither app nor worker may update or delete.
create procedure tenant_table(name text, append_only boolean default false)
language plpgsql as $$
declare
  mine constant text := 'organizer_id = nullif(current_setting(''app.org'', true), '''')::uuid';
  loose text;
begin
  select string_agg(i.indexrelid::regclass::text, ', ') into loose
    from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
   where i.indrelid = format('public.%I', name)::regclass and i.indisunique and a.attname <> 'organizer_id';
  if loose is not null then
    raise exception 'unique indexes of % must start with organizer_id: %', name, loose;
  end if;
  call secure_table(name, 'tenant', append_only, mine, mine, mine);
end
$$;

-- A table that belongs to no organizer. `app_using` and `app_check` are the deliberate rule for the
-- app role; the worker role sees all of it.
create procedure platform_table(name text, app_using text, app_check text default null, append_only boolean default false)
language plpgsql as $$
begin
  call secure_table(name, 'platform', append_only, app_using, coalesce(app_check, app_using), 'true');
end
$$;

-- Further readers of a tenant table, each by a column that stands on the row itself.
-- The user (attendee or member): the rows whose `column_name` is the user of the context.
create procedure user_may_read(name text, column_name text default 'user_id')
language plpgsql as $$
begin
  execute format('create policy user_read on public.%I for select to hvflvspot_app using (%I = nullif(current_setting(''app.user'', true), '''')::uuid)', name, column_name);
end
$$;

-- The guest: the rows whose `column_name` is the hash of the secret of the context.
create procedure guest_may_read(name text, column_name text default 'booking_secret_hash')
language plpgsql as $$
begin
  execute format('create policy guest_read on public.%I for select to hvflvspot_app using (%I = decode(nullif(current_setting(''app.secret'', true), ''''), ''hex''))', name, column_name);
end
$$;

-- The platform's admin: all rows, to read only or (`writes`) to change too.
create procedure admin_may(name text, writes boolean default false)
language plpgsql as $$
begin
  execute format('create policy admin_rule on public.%I for %s to hvflvspot_app using (nullif(current_setting(''app.admin'', true), '''')::boolean)',
    name, case when writes then 'all' else 'select' end);
end
$$;

-- Everybody: rows that are public by `rule` (published events, categories).
create procedure public_may_read(name text, rule text default 'true')
language plpgsql as $$
begin
  execute format('create policy public_read on public.%I for select to hvflvspot_app using (%s)', name, rule);
end
$$;

-- The registry itself: read by all, written by migrations only.
call platform_table('table_registry', 'true', 'false', append_only => true);
revoke insert on table_registry from hvflvspot_app, hvflvspot_worker;

-- Accounts ------------------------------------------------------------------------------------
-- Rule of the account tables: invisible while an organizer's context is set; in a user's context
-- that user's rows; without any context (sign-in has none yet) all.

create table users (
  id uuid primary key,
  email citext not null unique check (length(email) <= 254),
  password_hash text, -- argon2id, PHC string; null: signs in by other means
  email_confirmed_at timestamptz,
  role text not null default 'user' check (role in ('user', 'organizer', 'admin')),
  user_metadata jsonb not null default '{}' check (jsonb_typeof(user_metadata) = 'object'),
  constraint users_metadata_size check (octet_length(user_metadata::text) <= 4096), -- it stands in every access token
  created_at timestamptz not null,
  updated_at timestamptz not null,
  last_sign_in_at timestamptz
);
call platform_table('users',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or nullif(current_setting(''app.admin'', true), '''')::boolean
        or id = nullif(current_setting(''app.user'', true), '''')::uuid)');

create table sessions (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  created_at timestamptz not null,
  refreshed_at timestamptz not null,
  not_after timestamptz not null,
  revoked_at timestamptz,
  user_agent text check (length(user_agent) <= 400)
);
create index sessions_user on sessions (user_id);
call platform_table('sessions',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');

-- One row a token; a token is used once. Using a used one revokes the session, which is the family.
create table refresh_tokens (
  token_hash bytea primary key check (length(token_hash) = 32), -- SHA-256
  session_id uuid not null references sessions (id) on delete cascade,
  user_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  replaced_by bytea
);
create index refresh_tokens_session on refresh_tokens (session_id);
call platform_table('refresh_tokens',
  'nullif(current_setting(''app.org'', true), '''') is null
   and (nullif(current_setting(''app.user'', true), '''') is null
        or user_id = nullif(current_setting(''app.user'', true), '''')::uuid)');

-- Who tried what lately: the moments within a window, by the hash of what is limited and whom.
-- Losing it costs nothing, hence unlogged: an attempt waits for no disk.
create unlogged table rate_limits (
  key bytea primary key check (length(key) = 32),
  attempts timestamptz[] not null,
  last_at timestamptz not null
);
create index rate_limits_last on rate_limits (last_at);
call platform_table('rate_limits', 'nullif(current_setting(''app.org'', true), '''') is null');

-- Finding the organizer ------------------------------------------------------------------------

-- What resolves to an organizer: kind 'organizer', 'event', 'slug', 'device', 'slot', 'kid' …
-- Read by anybody who already holds the key; written only under the context of the organizer named.
create table directory (
  kind text not null,
  key text not null,
  organizer_id uuid not null,
  event_id uuid,
  primary key (kind, key)
);
create index directory_organizer on directory (organizer_id, kind);
call platform_table('directory', 'true', 'organizer_id = nullif(current_setting(''app.org'', true), '''')::uuid');
-- Visible to all is not changeable by all: an update or delete needs the organizer's own context.
create policy app_update on directory as restrictive for update to hvflvspot_app
  using (organizer_id = nullif(current_setting('app.org', true), '')::uuid);
create policy app_delete on directory as restrictive for delete to hvflvspot_app
  using (organizer_id = nullif(current_setting('app.org', true), '')::uuid);

-- A user's bookings, wherever they are: the list is then read organizer by organizer.
create table user_bookings (
  user_id uuid not null,
  organizer_id uuid not null,
  booking_id uuid not null,
  created_at timestamptz not null,
  primary key (user_id, organizer_id, booking_id)
);
call platform_table('user_bookings',
  'user_id = nullif(current_setting(''app.user'', true), '''')::uuid
   or organizer_id = nullif(current_setting(''app.org'', true), '''')::uuid');

-- The installation -----------------------------------------------------------------------------

-- Which database this is. A restored backup shows another system identifier or another timeline;
-- then the epoch rises by one, and with it every event's manifests start a new lineage.
create table server_identity (
  epoch bigint primary key check (epoch >= 1),
  system_identifier text not null,
  timeline bigint not null,
  seen_at timestamptz not null
);
call platform_table('server_identity', 'true', 'false', append_only => true);
revoke insert on server_identity from hvflvspot_app, hvflvspot_worker;

-- Keys of the platform itself, as the one that signs access tokens. Private halves are sealed under
-- the master key (server/src/keys.rs).
create table signing_keys (
  kid text primary key,
  purpose text not null check (purpose in ('access_token')),
  algorithm text not null check (algorithm in ('ES256')),
  public_key bytea not null,
  private_key_sealed bytea not null,
  created_at timestamptz not null,
  retired_at timestamptz
);
call platform_table('signing_keys', 'nullif(current_setting(''app.org'', true), '''') is null and nullif(current_setting(''app.user'', true), '''') is null');

-- Who may act for an organizer -----------------------------------------------------------------

-- Read under the organizer's context to check a caller, and by each user to list the own memberships.
create table members (
  organizer_id uuid not null,
  user_id uuid not null,
  role text not null check (role in ('owner', 'manager', 'door')),
  created_at timestamptz not null,
  primary key (organizer_id, user_id)
);
create index members_user on members (user_id);
call tenant_table('members');
call user_may_read('members');
