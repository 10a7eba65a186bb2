-- What may happen so often within 24 hours: wrong codes, codes in mails, invitations. Unlike `rate_limits` it is logged: a
-- guesser must not gain by a crash. The key is a hash of what is counted and whom, so that a row says nothing of anybody
-- and may be written under every context, with its cause.
create table daily_attempts (
  key bytea primary key check (length(key) = 32),
  attempts timestamptz[] not null,
  last_at timestamptz not null
);
create index daily_attempts_last on daily_attempts (last_at);
call platform_table('daily_attempts', 'true');
