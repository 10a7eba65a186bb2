-- The audit, chained: link N authenticates act N and link N−1 under a key that only the server's master key
-- gives, so that whoever changes, removes or slips in an act with the database alone is found out. Written by a
-- job a little after the acts, which therefore never wait for each other.
create table audit_chain (
  organizer_id uuid not null,
  seq bigint not null check (seq >= 1),
  audit_id uuid not null,
  link bytea not null check (length(link) = 32), -- HMAC-SHA256, server/src/domain/audit_chain.rs
  primary key (organizer_id, seq),
  unique (organizer_id, audit_id)
);
call tenant_table('audit_chain', append_only => true);
