//! Accounts beyond the password: mail and its outbox, one-time tokens, tokens of another identity provider.

mod guessing;
mod mails;
mod outbox;
mod second_factor;
mod supabase;
