//! Accounts beyond the password: mail and its outbox, one-time tokens, tokens of another identity provider.

mod mails;
mod outbox;
mod supabase;
