-- Every eighth row of event_words once more, by a byte of its event's identifier that is left to chance: where very many
-- events have the words of a query, these say about how many they are, and finding them visits an eighth of the pages.
create table event_words_sample (
  organizer_id uuid not null,
  event_id uuid not null check (get_byte(uuid_send(event_id), 15) < 32),
  words tsvector not null,
  primary key (organizer_id, event_id),
  foreign key (organizer_id, event_id) references event_search (organizer_id, event_id) on delete cascade
);
insert into event_words_sample
select organizer_id, event_id, words from event_words where get_byte(uuid_send(event_id), 15) < 32;
create index event_words_sample_words on event_words_sample using gin (words) with (fastupdate = off);
call tenant_table('event_words_sample');
call public_may_read('event_words_sample');
