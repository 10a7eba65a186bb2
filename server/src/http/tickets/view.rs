//! `GET /tickets/view`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::http::auth::{Caller, not_signed_in};
use crate::http::booking_view::{TicketJson, tickets_json};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::page::{Page, PageQuery, cursor};
use crate::store::{booking, ticket};

const LIST: &str = "tickets";

/// A ticket and what it is for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeldTicket {
    #[serde(flatten)]
    ticket: TicketJson,
    event: TicketEvent,
}

/// What a ticket is for.
#[derive(Debug, Serialize, ToSchema)]
struct TicketEvent {
    title: String,
    organizer_name: String,
    venue_name: String,
    city: String,
    time_zone: String,
    /// `published` or `canceled`.
    status: String,
    #[serde(with = "time::serde::rfc3339::option")]
    admission_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
}

/// My tickets, the newest first: of the account, or of the booking whose secret is sent.
#[utoipa::path(
    get, path = "/tickets/view", operation_id = "list_my_tickets", tag = "tickets", params(PageQuery),
    security(("bearer" = []), ("booking_secret" = [])),
    responses((status = 200, body = Page<HeldTicket>), (status = 401, body = Problem)),
)]
pub(super) async fn view(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Response, ApiError> {
    let after = page.after(LIST)?;
    let limit = page.limit();
    let tickets = match &caller {
        Caller::User(user) => {
            let mut tx = app.db.user(user.user_id).await?;
            let organizers = booking::organizers_of_user(&mut tx, user.user_id).await?;
            let all = ticket::of_user(&mut tx, &organizers, user.user_id, after, limit + 1).await?;
            tx.commit().await?;
            all
        }
        Caller::Guest(guest) => {
            let mut tx = app.db.guest(&guest.secret_hash).await?;
            let organizer_id = guest.organizer_id;
            let all = ticket::of_guest(&mut tx, organizer_id, &guest.secret_hash, after, limit + 1).await?;
            tx.commit().await?;
            all
        }
        Caller::Anonymous | Caller::System(_) => return Err(not_signed_in()),
    };
    let mut tickets = tickets;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = tickets.len() > size;
    tickets.truncate(size);
    let next_cursor = tickets.last().filter(|_| more).map(|t| cursor(LIST, &t.ticket_id));

    let mut types: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for t in &tickets {
        types.entry(t.organizer_id).or_default().push(t.ticket_type_id);
    }
    let mut words = Vec::new();
    for (organizer_id, types) in types {
        let mut tx = app.db.tenant(organizer_id).await?;
        words.extend(ticket::types_in_words(&mut tx, organizer_id, &types).await?);
        tx.commit().await?;
    }
    let items = tickets_json(&app, &tickets, &words).await?.into_iter().filter_map(|ticket| {
        let of = words.iter().find(|w| w.ticket_type_id == ticket.ticket_type_id)?;
        let event = TicketEvent {
            title: of.event_title.clone(),
            organizer_name: of.organizer_name.clone(),
            venue_name: of.venue_name.clone(),
            city: of.city.clone(),
            time_zone: of.time_zone.clone(),
            status: of.event_status.clone(),
            admission_at: of.admission_at,
            starts_at: of.starts_at,
            ends_at: of.ends_at,
        };
        Some(HeldTicket { ticket, event })
    });
    let page = Page { items: items.collect(), next_cursor };
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(page)).into_response())
}
