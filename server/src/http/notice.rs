//! Notices to an account's owner: of what happened to the account, whoever did it.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::edge;
use crate::app::App;
use crate::store::outbox::{self, NewMail};
use crate::store::users;

/// Puts a notice into the outbox, in the caller's transaction. After `expires_at` it is not worth sending.
pub(super) async fn send(
    app: &App,
    conn: &mut PgConnection,
    (kind, facts): (&str, &Value),
    to: &str,
    expires_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let language = users::language_of(conn, to).await?.unwrap_or_else(edge::language);
    let letter = NewMail {
        id: app.rng.uuid(&*app.clock),
        kind,
        recipient: to,
        organizer_id: None,
        language: language.as_str(),
        facts,
        sealed_facts: None,
        expires_at,
    };
    outbox::enqueue(conn, &letter, now).await
}
