-- Which events an account has looked at: for its own recommendations and for nobody else. A row per event, counted
-- once an hour at most; gone with the account, half a year after the last look, or as soon as the account turns
-- recommendations off.
create table event_views (
  user_id uuid not null,
  event_id uuid not null,
  organizer_id uuid not null,
  views integer not null default 1,
  last_at timestamptz not null,
  primary key (user_id, event_id)
);
create index event_views_last on event_views (last_at);
call platform_table('event_views',
  'nullif(current_setting(''app.org'', true), '''') is null
   and user_id = nullif(current_setting(''app.user'', true), '''')::uuid');
