-- Notifications: one outbox for every channel, who wants what, and messages that organizers write.

-- The outbox beyond mail -------------------------------------------------------------------------
-- Each channel is delivered by itself, with its own tries.
alter table outbox
  add column type text not null default 'bookings'
    check (type in ('security', 'bookings', 'event_changes', 'reminders', 'waiting_list', 'messages', 'sales')),
  add column user_id uuid, -- whose account, if it is known: its preferences count
  add column event_id uuid,
  add column booking_id uuid, -- what the letter tells of is read when it is sent
  add column subject text check (length(subject) <= 400), -- as it was written, once it was
  add column provider_ref text check (length(provider_ref) <= 255),
  add column delivered_at timestamptz,
  -- refused: the other side said no for good; exhausted: tried too often; expired: good for nothing any more;
  -- switched_off: its recipient does not want it; gone: what it told of is no more.
  add column dead_because text check (dead_because in ('refused', 'exhausted', 'expired', 'switched_off', 'gone')),
  add constraint outbox_dead check ((status = 'dead') = (dead_because is not null)),
  add constraint outbox_delivered check ((status = 'delivered') = (delivered_at is not null));
create index outbox_user on outbox (user_id, created_at, id) where user_id is not null;
create index outbox_given_up on outbox (created_at, id) where status = 'dead';
create index outbox_provider on outbox (provider_ref) where provider_ref is not null;
call user_may_read('outbox');

-- Who wants what ----------------------------------------------------------------------------------
-- A row where an account chose; without one the default of server/src/domain/notification.rs.
create table notification_preferences (
  user_id uuid not null references users (id) on delete cascade,
  type text not null
    check (type in ('security', 'bookings', 'event_changes', 'reminders', 'waiting_list', 'messages', 'sales')),
  channel text not null check (channel in ('email', 'push', 'sms')),
  enabled boolean not null,
  updated_at timestamptz not null,
  primary key (user_id, type, channel)
);
call platform_table('notification_preferences',
  'nullif(current_setting(''app.org'', true), '''') is null
   and user_id = nullif(current_setting(''app.user'', true), '''')::uuid');

-- What organizers wrote ----------------------------------------------------------------------------
create table messages (
  organizer_id uuid not null,
  message_id uuid not null,
  event_id uuid not null,
  kind text not null check (kind in ('message.event', 'message.news')),
  subject text not null check (length(subject) between 1 and 200),
  body text not null check (length(body) between 1 and 5000),
  ticket_type_ids uuid[] not null default '{}', -- empty: all holders
  recipients integer not null check (recipients >= 0),
  sent_by uuid not null,
  created_at timestamptz not null,
  primary key (organizer_id, message_id),
  foreign key (organizer_id, event_id) references events (organizer_id, event_id)
);
create index messages_event on messages (organizer_id, event_id, created_at);
call tenant_table('messages');
-- The language in which somebody is written to -------------------------------------------------------
alter table users add column language text not null default 'en' check (language in ('en', 'de', 'es', 'fr'));
alter table bookings add column language text not null default 'en' check (language in ('en', 'de', 'es', 'fr'));

