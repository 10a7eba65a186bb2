-- A provider's event has its one effect because its row stands. The worker may forget rows (jobs/sweep: after 90 days), but
-- whatever it asks for, none that came within the last 30 days: so long providers repeat events, by themselves or by hand.
create policy worker_keeps_young on payment_events as restrictive for delete to hvflvspot_worker
  using (received_at < now() - interval '30 days');
