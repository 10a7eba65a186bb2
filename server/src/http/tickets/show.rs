//! `GET /tickets/{id}`

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::app::AppState;
use crate::http::auth::{Caller, not_signed_in};
use crate::http::booking_view::{TicketJson, staff_of, tickets_json};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::store::booking;
use crate::store::ticket::{self, Ticket};

/// One ticket with its code.
///
/// For its holder, for who sends its booking's secret, and for managers of its organizer.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}", operation_id = "get_ticket", tag = "tickets", params(("ticket_id" = Uuid, Path)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses((status = 200, body = TicketJson), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let ticket = ticket_of(&app, &caller, ticket_id).await?;
    let mut tx = app.db.tenant(ticket.organizer_id).await?;
    let words = ticket::types_in_words(&mut tx, ticket.organizer_id, &[ticket.ticket_type_id]).await?;
    tx.commit().await?;
    let mut all = tickets_json(&app, std::slice::from_ref(&ticket), &words).await?;
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(all.remove(0))).into_response())
}

/// The ticket, if the caller may know of it.
pub(super) async fn ticket_of(app: &AppState, caller: &Caller, ticket_id: Uuid) -> Result<Ticket, ApiError> {
    let found = match caller {
        Caller::Anonymous | Caller::System(_) => return Err(not_signed_in()),
        Caller::Guest(guest) => {
            let mut tx = app.db.guest(&guest.secret_hash).await?;
            let found = ticket::find(&mut tx, &[guest.organizer_id], ticket_id).await?;
            tx.commit().await?;
            found
        }
        Caller::User(user) => {
            let mut tx = app.db.user(user.user_id).await?;
            let organizers = booking::organizers_of_user(&mut tx, user.user_id).await?;
            let mut found = ticket::find(&mut tx, &organizers, ticket_id).await?;
            tx.commit().await?;
            if found.is_none() {
                for organizer in staff_of(app, user).await? {
                    let mut tx = app.db.tenant(organizer.organizer_id).await?;
                    found = ticket::find(&mut tx, &[organizer.organizer_id], ticket_id).await?;
                    tx.commit().await?;
                    if found.is_some() {
                        break;
                    }
                }
            }
            found
        }
    };
    found.ok_or_else(|| ApiError::not_found("ticket"))
}
