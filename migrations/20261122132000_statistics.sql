-- What exports read page by page.
create index transactions_event on transactions (organizer_id, event_id, created_at, transaction_id);
