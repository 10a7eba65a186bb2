-- Series: one thing on several dates. Each date is an event of its own, which knows its series; the row of the series
-- is what is locked while dates are added, so that two who add the same date make it once.
create table event_series (
  organizer_id uuid not null references organizers (organizer_id),
  series_id uuid not null,
  created_at timestamptz not null,
  primary key (organizer_id, series_id)
);
call tenant_table('event_series');

alter table events
  add column series_id uuid,
  add constraint events_series foreign key (organizer_id, series_id) references event_series (organizer_id, series_id);
create index events_of_series on events (organizer_id, series_id, starts_at, event_id) where series_id is not null;

alter table event_search add column series_id uuid;
