-- Which events are in the sample: told here alone.
create function event_sampled(event_id uuid)
returns boolean language sql immutable parallel safe as $$ select get_byte(uuid_send(event_id), 15) % 8 = 0 $$;
alter table event_words_sample
  drop constraint event_words_sample_event_id_check,
  add constraint event_words_sample_event_id_check check (event_sampled(event_id));
