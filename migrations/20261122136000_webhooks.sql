-- Webhooks of organizers: where what happens is told to, and how each attempt went. What is to be told stands in the
-- outbox, as every message does: a row per fact and endpoint, channel 'webhook', recipient the endpoint's id.

create table webhook_endpoints (
  organizer_id uuid not null,
  endpoint_id uuid not null,
  url text not null check (length(url) between 1 and 2000),
  description text not null default '' check (length(description) <= 200),
  types text[] not null default '{}', -- empty: everything
  secrets_sealed bytea not null, -- several while one is being changed: JSON under the master key
  disabled_because text check (disabled_because in ('by_hand', 'failing', 'gone')), -- null: it is told
  failing_since timestamptz, -- nothing has arrived since then
  failures integer not null default 0 check (failures >= 0), -- one after another
  last_success_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (organizer_id, endpoint_id),
  check ((failing_since is null) = (failures = 0))
);
call tenant_table('webhook_endpoints');

create table webhook_attempts (
  organizer_id uuid not null,
  attempt_id uuid not null,
  delivery_id uuid not null, -- the outbox's row
  attempted_at timestamptz not null,
  duration_ms integer not null check (duration_ms >= 0),
  status integer check (status between 100 and 999), -- null: no answer came
  excerpt text check (length(excerpt) <= 1000), -- of the answer's body
  error text check (length(error) <= 500),
  primary key (organizer_id, attempt_id)
);
create index webhook_attempts_delivery on webhook_attempts (organizer_id, delivery_id, attempted_at);
create index webhook_attempts_old on webhook_attempts (organizer_id, attempted_at);
call tenant_table('webhook_attempts');

alter table outbox drop constraint outbox_channel_check;
alter table outbox add constraint outbox_channel_check check (channel in ('email', 'push', 'sms', 'webhook'));
alter table outbox drop constraint outbox_type_check;
alter table outbox add constraint outbox_type_check
  check (type in ('security', 'bookings', 'event_changes', 'reminders', 'waiting_list', 'messages', 'sales', 'webhook')
         and (type = 'webhook') = (channel = 'webhook'));
create index outbox_webhook_due on outbox (recipient, next_attempt_at, id)
  where channel = 'webhook' and status in ('queued', 'failed');
create index outbox_webhook_log on outbox (organizer_id, recipient, created_at, id) where channel = 'webhook';
