-- Payment by real gateways: whose account moved the money, what the customer still has to do, why a movement
-- failed, which tickets a refund is for, and the events that a gateway tells.

-- An organizer's own account with a provider. Its secrets are sealed under the master key.
create table payment_accounts (
  organizer_id uuid not null,
  account_id uuid not null, -- names the webhook's address; stays when keys change
  provider text not null check (provider in ('stripe')),
  publishable_key text check (length(publishable_key) <= 255),
  secret_key_sealed bytea, -- null: taken away again
  webhook_secrets_sealed bytea, -- a JSON list
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (organizer_id, account_id),
  unique (organizer_id, provider)
);
call tenant_table('payment_accounts');

alter table transactions
  add column account_id uuid, -- the organizer's own account with the provider; null: the server's
  add column failed_by text check (failed_by in ('decline', 'provider', 'canceled')),
  add column action_sealed bytea, -- what the customer has to do, of a pending payment that waits for it
  -- Of a refund: how its amount is made up.
  add column price_minor bigint,
  add column fee_minor bigint,
  add column tax_minor bigint,
  -- A person should look: what the provider knows is not what stands here.
  add column flag text check (flag in ('contradicted', 'disputed', 'refunded_elsewhere', 'refund_undone')),
  add constraint transactions_failed check ((status = 'failed') = (failed_by is not null)),
  add constraint transactions_parts check (kind = 'payment' or coalesce(amount_minor = price_minor + fee_minor + tax_minor, false));
create index transactions_provider_ref on transactions (organizer_id, provider_ref) where provider_ref is not null;

-- The tickets that a refund is for: blocked while it is in flight, revoked when the money is back.
create table refund_tickets (
  organizer_id uuid not null,
  refund_id uuid not null,
  ticket_id uuid not null,
  primary key (organizer_id, refund_id, ticket_id),
  foreign key (organizer_id, refund_id) references transactions (organizer_id, transaction_id)
);
create index refund_tickets_ticket on refund_tickets (organizer_id, ticket_id);
call tenant_table('refund_tickets');

-- What providers told by webhook: each event once. No bodies: they hold personal data.
create table payment_events (
  organizer_id uuid not null,
  provider text not null,
  event_id text not null check (length(event_id) between 1 and 255),
  account_id uuid not null, -- all zeros: the server's account
  kind text not null check (length(kind) <= 100),
  body_sha256 bytea not null check (length(body_sha256) = 32),
  transaction_id uuid,
  effect text not null check (effect in ('none', 'asked', 'flagged')),
  received_at timestamptz not null,
  primary key (organizer_id, provider, account_id, event_id)
);
create index payment_events_age on payment_events (organizer_id, received_at);
call tenant_table('payment_events', append_only => true);
