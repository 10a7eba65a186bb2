-- Providers of text messages tell later how one fared. undelivered: its provider took it, and said that it did not arrive.
alter table outbox drop constraint outbox_dead_because_check;
alter table outbox add constraint outbox_dead_because_check
  check (dead_because in ('refused', 'exhausted', 'expired', 'switched_off', 'gone', 'undelivered'));
