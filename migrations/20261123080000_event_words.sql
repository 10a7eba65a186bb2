-- The words of event_search once more, without their places, in rows as small as can be: to count how many events have
-- a word, each of them is visited, and that takes as long as there are pages to turn.
create table event_words (
  organizer_id uuid not null,
  event_id uuid not null,
  words tsvector not null, -- of event_search.document: enough for all queries but those with phrases
  primary key (organizer_id, event_id),
  foreign key (organizer_id, event_id) references event_search (organizer_id, event_id) on delete cascade
);
insert into event_words select organizer_id, event_id, strip(document) from event_search;
create index event_words_words on event_words using gin (words) with (fastupdate = off);
call tenant_table('event_words');
call public_may_read('event_words');
