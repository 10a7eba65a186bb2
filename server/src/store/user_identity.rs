//! Accounts whom another identity provider vouches for: (issuer, subject) → account.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The account that a foreign token means.
pub async fn user_of(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select user_id from user_identities where issuer = $1 and subject = $2",
        issuer,
        subject,
    )
    .fetch_optional(conn)
    .await
}

/// Ties an identity to an account. False if somebody did so at the same time.
pub async fn tie(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into user_identities (issuer, subject, user_id, created_at, synchronised_at)
         values ($1, $2, $3, $4, $4)
         on conflict (issuer, subject) do nothing",
        issuer,
        subject,
        user_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes address and name over from the provider; `None` leaves them. The address counts as confirmed if the
/// provider confirms addresses. A taken one violates `users_email`.
pub async fn synchronise(
    conn: &mut PgConnection,
    user_id: Uuid,
    email: Option<&str>,
    confirmed: bool,
    name: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with seen as (
           update user_identities set synchronised_at = $5 where user_id = $1
         )
         update users
            set email = coalesce($2::text::citext, email),
                email_confirmed_at = case when $2::text is null or email = $2::text::citext
                                          then coalesce(email_confirmed_at, case when $3 then $5::timestamptz end)
                                          when $3 then $5 end,
                user_metadata = case when $4::text is null then user_metadata
                                     else user_metadata || jsonb_build_object('name', $4::text) end,
                last_sign_in_at = $5, updated_at = $5
          where id = $1",
        user_id,
        email,
        confirmed,
        name,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
