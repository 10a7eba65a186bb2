-- The number that an account is sent text messages at, once a code that went there was typed.
create table phones (
  user_id uuid primary key references users (id) on delete cascade,
  number text not null check (number ~ '^\+[1-9][0-9]{6,14}$'), -- E.164
  verified_at timestamptz,
  stopped_at timestamptz, -- its holder told the provider to send nothing more
  -- The code on its way.
  code_id uuid,
  code_hash bytea check (length(code_hash) = 32),
  code_expires_at timestamptz,
  tries smallint not null default 0,
  created_at timestamptz not null,
  constraint phones_code check (
    (code_id is null) = (code_hash is null) and (code_id is null) = (code_expires_at is null))
);
create index phones_number on phones (number);
call platform_table('phones',
  'nullif(current_setting(''app.org'', true), '''') is null
   and user_id = nullif(current_setting(''app.user'', true), '''')::uuid');
