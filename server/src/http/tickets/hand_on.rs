//! `POST /tickets/{id}/transfer` and `/reissue`: the old code dies at once.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::show::ticket_of;
use crate::app::AppState;
use crate::domain::text::is_email;
use crate::http::auth::Caller;
use crate::http::booking_view::{TicketJson, actor, staff_of, tickets_json};
use crate::http::edge::Client;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, ApiPath, parse_json, require_json};
use crate::http::fields::Wrong;
use crate::http::guest_code::{allow_mail, require_code, require_sound};
use crate::http::once::{Answer, Scope, once, was_begun};
use crate::selling::hand_on::{self, NotReissued, Recipient};
use crate::store::{booking, ticket, users};

/// To whom a ticket goes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "friend@example.org", "name": "A Friend", "code": "012345" }))]
pub(super) struct TransferRequest {
    email: String,
    /// Of who will come.
    name: Option<String>,
    /// Of guests: the code of the mail that POST /bookings/code sent.
    code: Option<String>,
}

/// A ticket that was handed on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransferJson {
    /// Another one than was asked for if that one had had fifteen new codes.
    ticket_id: Uuid,
    /// Codes of lower generations let nobody in.
    generation: i16,
    /// Whose it is now: the link to it is in the mail alone.
    email: String,
    #[serde(with = "time::serde::rfc3339")]
    transferred_at: OffsetDateTime,
}

/// Gives a ticket to somebody else.
///
/// By its holder (guests with the code of a mail), or by managers of its organizer. The old code lets nobody in from
/// this moment on, and the gates learn it with their next manifest. The new holder gets a mail with a link; if an
/// account has proved that address, the ticket stands among its tickets too. Not for tickets that are blocked or
/// revoked, nor for one that has let somebody in.
#[utoipa::path(
    post, path = "/tickets/{ticket_id}/transfer", operation_id = "transfer_ticket", tag = "tickets",
    params(("ticket_id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID")),
    request_body = TransferRequest,
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "Handed on", body = TransferJson),
        (status = 403, description = "`code_required`, `wrong_code`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`, `already_admitted`, `ticket_over`, `imported_ticket`, `event_canceled`", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
pub(super) async fn transfer(
    State(app): State<AppState>,
    caller: Caller,
    client: Client,
    ApiPath(ticket_id): ApiPath<Uuid>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: TransferRequest = parse_json(&body)?;
    let mut wrong = Wrong::default();
    let email = request.email.trim().to_owned();
    if !is_email(&email) {
        wrong.note("email", "invalid", "this is no e-mail address");
    }
    let name = request.name.as_deref().map(|n| wrong.line("name", n, 1, 200));
    wrong.check()?;
    let route = format!("POST /tickets/{ticket_id}/transfer");
    let organizer_id = organizer_of(&app, &caller, &headers, &route, ticket_id).await?;
    let (state, who) = (app.clone(), caller.clone());
    let run = move |turn: crate::http::once::Turn| async move {
        let app = state;
        if turn.again
            && let Some(done) = done_before(&app, organizer_id, ticket_id, &email).await?
        {
            return Answer::json(StatusCode::OK, &done);
        }
        ticket_of(&app, &who, ticket_id).await?;
        require_code(&app, &who, request.code.as_deref()).await?;
        let to = recipient(&app, organizer_id, email, name).await?;
        let counted = allow_mail(&app, "ticket_received", client, &to.email).await?;
        let done = match hand_on::transfer(&app, organizer_id, ticket_id, &to, actor(&who)).await {
            Ok(done) => done,
            Err(e) => {
                // No mail goes out: who would have got it is no nearer to the limit.
                let mut tx = app.db.platform().await?;
                counted.take_back(&mut tx, 0).await?;
                tx.commit().await?;
                return Err(e.into());
            }
        };
        let json = TransferJson {
            ticket_id: done.ticket_id,
            generation: done.generation,
            email: to.email,
            transferred_at: app.clock.now(),
        };
        Answer::json(StatusCode::OK, &json)
    };
    let scope = Scope { organizer_id, line: organizer_id, route: &route };
    once(&app, &caller, &headers, scope, &body, run).await
}

/// For guests: the code of a mail.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "012345" }))]
pub(super) struct ReissueRequest {
    /// Of guests: the code of the mail that POST /bookings/code sent.
    code: Option<String>,
}

/// Gives a ticket a new code, as when the old one was seen by strangers.
///
/// By its holder (guests with the code of a mail), or by managers of its organizer. The old code lets nobody in from
/// this moment on, and the gates learn it with their next manifest. After fifteen new codes the answer is a ticket of
/// another id; the old one is `withdrawn` and says `replaced_by`.
#[utoipa::path(
    post, path = "/tickets/{ticket_id}/reissue", operation_id = "reissue_ticket", tag = "tickets",
    params(("ticket_id" = Uuid, Path)),
    request_body = ReissueRequest,
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "With its new code", body = TicketJson),
        (status = 403, description = "`code_required`, `wrong_code`", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`, `ticket_over`, `imported_ticket`, `event_canceled`; `already_admitted`: the sixteenth new code is of a new ticket, and this one has let somebody in", body = Problem),
    ),
)]
pub(super) async fn reissue(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
    crate::http::extract::ApiJson(request): crate::http::extract::ApiJson<ReissueRequest>,
) -> Result<axum::Json<TicketJson>, ApiError> {
    let found = ticket_of(&app, &caller, ticket_id).await?;
    require_code(&app, &caller, request.code.as_deref()).await?;
    let done = hand_on::reissue(&app, found.organizer_id, ticket_id, actor(&caller)).await?;
    one_json(&app, found.organizer_id, done.ticket_id).await.map(axum::Json)
}

/// A ticket as it stands now.
pub(in crate::http) async fn one_json(
    app: &AppState,
    organizer_id: Uuid,
    ticket_id: Uuid,
) -> Result<TicketJson, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = ticket::find(&mut tx, &[organizer_id], ticket_id).await?;
    let found = found.ok_or_else(|| ApiError::not_found("ticket"))?;
    let words = ticket::types_in_words(&mut tx, organizer_id, &[found.ticket_type_id]).await?;
    tx.commit().await?;
    let mut all = tickets_json(app, std::slice::from_ref(&found), &words).await?;
    Ok(all.remove(0))
}

/// The organizer of a ticket that is the caller's, or was: who repeats a transfer holds it no more.
async fn organizer_of(
    app: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    route: &str,
    ticket_id: Uuid,
) -> Result<Uuid, ApiError> {
    match caller {
        // The secret of somebody who was handed the ticket opens nothing once it is handed on; that they did so is
        // still theirs to hear.
        Caller::Guest(guest) if was_begun(app, caller, headers, guest.organizer_id, route).await? => {
            Ok(guest.organizer_id)
        }
        Caller::Guest(guest) => {
            require_sound(app, guest).await?;
            Ok(guest.organizer_id)
        }
        Caller::User(user) => {
            let mut tx = app.db.user(user.user_id).await?;
            let mut all = booking::organizers_of_user(&mut tx, user.user_id).await?;
            tx.commit().await?;
            all.extend(staff_of(app, user).await?.into_iter().map(|m| m.organizer_id));
            for organizer_id in all {
                let mut tx = app.db.tenant(organizer_id).await?;
                let found = ticket::find(&mut tx, &[organizer_id], ticket_id).await?;
                tx.commit().await?;
                if found.is_some() {
                    return Ok(organizer_id);
                }
            }
            Err(ApiError::not_found("ticket"))
        }
        Caller::Anonymous | Caller::System(_) => Err(crate::http::auth::not_signed_in()),
    }
}

/// What a request that was begun before has done.
async fn done_before(
    app: &AppState,
    organizer_id: Uuid,
    ticket_id: Uuid,
    email: &str,
) -> Result<Option<TransferJson>, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = ticket::find(&mut tx, &[organizer_id], ticket_id).await?;
    tx.commit().await?;
    Ok(found.and_then(|t| {
        let transferred_at = t.transferred_at.filter(|_| t.holder_email.as_deref() == Some(email))?;
        let (ticket_id, generation) = t.replaced_by.map_or((ticket_id, t.generation), |new| (new, 0));
        Some(TransferJson { ticket_id, generation, email: email.to_owned(), transferred_at })
    }))
}

/// The new holder, with a secret that nobody has seen.
async fn recipient(
    app: &AppState,
    organizer_id: Uuid,
    email: String,
    name: Option<String>,
) -> Result<Recipient, ApiError> {
    let mut tx = app.db.platform().await?;
    let account = users::by_email(&mut tx, &email).await?;
    tx.commit().await?;
    let user_id = account.filter(|a| a.email_confirmed_at.is_some()).map(|a| a.id);
    let secret = guest_secret(app, organizer_id);
    let secret_hash = Sha256::digest(secret.as_bytes()).into();
    Ok(Recipient { email, name, user_id, secret, secret_hash })
}

/// As a booking's secret: base64url(organizer id ‖ 32 random bytes).
fn guest_secret(app: &AppState, organizer_id: Uuid) -> String {
    use base64::Engine as _;
    let mut bytes = organizer_id.as_bytes().to_vec();
    bytes.extend_from_slice(&app.rng.bytes::<32>());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

impl From<NotReissued> for ApiError {
    fn from(error: NotReissued) -> Self {
        let text = error.to_string();
        match error {
            NotReissued::NoTicket => Self::not_found("ticket"),
            NotReissued::NotValid(_) => Self::conflict("ticket_not_valid", text),
            NotReissued::Admitted => Self::conflict("already_admitted", text),
            NotReissued::Imported => Self::conflict("imported_ticket", text),
            NotReissued::Over => Self::conflict("ticket_over", text),
            NotReissued::Canceled => Self::conflict("event_canceled", text),
            NotReissued::Changed => {
                Self::conflict("try_again", text).with_retry_after(std::time::Duration::from_secs(1))
            }
            NotReissued::Step(e) => e.into(),
        }
    }
}
