-- Search: who plays and in which language, the folded forms of names and places, and the words that a mistyped
-- one is compared with. What is folded (accents off, lower case, words alone) is made by server/src/domain/search.

alter table events
  add column artists text[] not null default '{}' check (cardinality(artists) <= 50),
  add column language text check (language ~ '^[a-z]{2}$'); -- ISO 639-1, of title and description; null = unknown

-- Great-circle distance; the mean radius of the earth is 6,371 km.
create function distance_km(lat1 double precision, lon1 double precision, lat2 double precision, lon2 double precision)
returns double precision language sql immutable parallel safe as $$
  select 12742 * asin(least(1, sqrt(
    power(sin(radians(lat2 - lat1) / 2), 2)
      + cos(radians(lat1)) * cos(radians(lat2)) * power(sin(radians(lon2 - lon1) / 2), 2))))
$$;

drop index event_search_starts, event_search_category, event_search_document, event_search_title;
alter table event_search
  add column artists text[] not null default '{}',
  add column language text,
  add column name_key text not null default '', -- title and artists, folded, a space at either end
  add column place_key text not null default '', -- venue and city, likewise
  add column city_key text not null default '', -- the city alone, without these spaces
  add column named tsvector not null default '', -- of title and artists: what a hit in them is worth more by
  add column over_at timestamptz not null generated always as (coalesce(ends_at, starts_at)) stored,
  add column available boolean not null default false, -- something can be bought; the job `search` keeps it true
  add column popularity integer not null default 0, -- in steps (domain/search): few writes, the same order
  add column form smallint not null default 0; -- by which rules the row was folded; the job `search` rewrites old ones

-- Lookups must not wade through a list of what was inserted lately: no fastupdate.
create index event_search_document on event_search using gin (document) with (fastupdate = off);
create index event_search_named on event_search using gin (named) with (fastupdate = off);
create index event_search_place_key on event_search using gin (place_key gin_trgm_ops) with (fastupdate = off);
create index event_search_starts on event_search (starts_at, event_id);
create index event_search_category on event_search (category_id, starts_at, event_id);
create index event_search_city on event_search (city_key, starts_at, event_id);
create index event_search_price on event_search (currency, price_from_minor, starts_at, event_id);
create index event_search_popularity on event_search ((-popularity), starts_at, event_id);
create index event_search_place on event_search (latitude, longitude);
create index event_search_longest on event_search ((over_at - starts_at));
create index event_search_over on event_search (organizer_id, over_at);

-- The words of all names and places that were ever published: typos are put right by them. A word's number says
-- what was known when a list was begun, so that its later pages read the query alike.
create table search_words (
  word text collate "C" primary key check (length(word) between 1 and 60),
  word_no bigint generated always as identity unique
);
create index search_words_trigrams on search_words using gin (word gin_trgm_ops) with (fastupdate = off);
call platform_table('search_words', 'true', append_only => true);
