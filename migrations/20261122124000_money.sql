-- Of a canceled event: nothing of it is held any more. It stands on the row that every hold locks and looks at as it is
-- then, so that a hold that began before the event was canceled does not come after its end.
alter table quotas add column closed boolean not null default false;
update quotas q set closed = true from events e
 where e.organizer_id = q.organizer_id and e.event_id = q.event_id and e.status = 'canceled';

-- Whose keys they are, as the provider told; null: it has not.
alter table payment_accounts add column provider_account text check (length(provider_account) <= 255);

-- Events of providers are forgotten after a while: they are no part of the books.
grant delete on payment_events to hvflvspot_worker;
update table_registry set append_only = false where table_name = 'payment_events';
