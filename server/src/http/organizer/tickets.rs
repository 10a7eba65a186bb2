//! What an organizer does to single tickets: stop one, let it in again, take it away for good.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::edge;
use crate::app::AppState;
use crate::http::auth::{Acting as _, Member};
use crate::http::booking_view::TicketJson;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::fields::Wrong;
use crate::http::tickets::one_json;
use crate::selling::hand_on::audit_it;
use crate::selling::{Actor, StepError};
use crate::store::ticket::{self, ChangedTicket, Ticket, manifest_rows};
use crate::store::{Tx, change, hand_on, import};

/// Why.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "reported stolen" }))]
pub(super) struct Because {
    /// For the audit; up to 300 characters.
    reason: Option<String>,
}

/// Stops a valid ticket: gates refuse it as `blocked` from their next manifest on. Reversible.
#[utoipa::path(
    post, path = "/organizer/tickets/{ticket_id}/block", operation_id = "block_ticket", tag = "organizer",
    params(("ticket_id" = Uuid, Path)), request_body = Because, security(("bearer" = [])),
    responses(
        (status = 200, body = TicketJson),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`: it is revoked, or a refund is on its way", body = Problem),
    ),
)]
pub(super) async fn block(
    State(app): State<AppState>,
    member: Member,
    ApiPath(ticket_id): ApiPath<Uuid>,
    ApiJson(because): ApiJson<Because>,
) -> Result<Json<TicketJson>, ApiError> {
    let reason = because.checked()?;
    let (mut tx, found) = open(&app, &member, ticket_id).await?;
    let done = hand_on::block(&mut tx, member.organizer_id, ticket_id).await?;
    // A second time is no mistake.
    let again = found.state == "blocked" && found.block_reason.as_deref() == Some("organizer");
    close(&app, &member, tx, &found, (done, again), "ticket.blocked", reason).await
}

/// Lets a ticket in again that was stopped by `block`.
#[utoipa::path(
    post, path = "/organizer/tickets/{ticket_id}/unblock", operation_id = "unblock_ticket", tag = "organizer",
    params(("ticket_id" = Uuid, Path)), request_body = Because, security(("bearer" = [])),
    responses(
        (status = 200, body = TicketJson),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`: it is revoked, or a refund is on its way", body = Problem),
    ),
)]
pub(super) async fn unblock(
    State(app): State<AppState>,
    member: Member,
    ApiPath(ticket_id): ApiPath<Uuid>,
    ApiJson(because): ApiJson<Because>,
) -> Result<Json<TicketJson>, ApiError> {
    let reason = because.checked()?;
    let (mut tx, found) = open(&app, &member, ticket_id).await?;
    let done = hand_on::unblock(&mut tx, member.organizer_id, ticket_id).await?;
    let again = found.state == "valid";
    close(&app, &member, tx, &found, (done, again), "ticket.unblocked", reason).await
}

/// Revokes a ticket for good, without money: its place is on sale again, and gates refuse it from their next
/// manifest on. A ticket whose import was undone stays canceled, and no import brings it back.
#[utoipa::path(
    post, path = "/organizer/tickets/{ticket_id}/withdraw", operation_id = "withdraw_ticket", tag = "organizer",
    params(("ticket_id" = Uuid, Path)), request_body = Because, security(("bearer" = [])),
    responses(
        (status = 200, body = TicketJson),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`: it is refunded or canceled, or a refund is on its way", body = Problem),
    ),
)]
pub(super) async fn withdraw(
    State(app): State<AppState>,
    member: Member,
    ApiPath(ticket_id): ApiPath<Uuid>,
    ApiJson(because): ApiJson<Because>,
) -> Result<Json<TicketJson>, ApiError> {
    let reason = because.checked()?;
    let (mut tx, found) = open(&app, &member, ticket_id).await?;
    let done = hand_on::withdraw(&mut tx, member.organizer_id, ticket_id).await?;
    if done.is_none() && import::keep_out(&mut tx, member.organizer_id, ticket_id).await? {
        // Gates know it as canceled already.
        note(&app, &member, &mut tx, ticket_id, "ticket.withdrawn", reason).await?;
        tx.commit().await?;
        return one_json(&app, member.organizer_id, ticket_id).await.map(Json);
    }
    let again = found.state == "withdrawn";
    close(&app, &member, tx, &found, (done, again), "ticket.withdrawn", reason).await
}

impl Because {
    fn checked(&self) -> Result<Option<String>, ApiError> {
        let mut wrong = Wrong::default();
        let reason = self.reason.as_deref().map(|r| wrong.length("reason", r, 0, 300));
        wrong.check()?;
        Ok(reason.filter(|r| !r.is_empty()))
    }
}

async fn open(app: &AppState, member: &Member, ticket_id: Uuid) -> Result<(Tx, Ticket), ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let found = ticket::find(&mut tx, &[member.organizer_id], ticket_id).await?;
    let found = found.ok_or_else(|| ApiError::not_found("ticket"))?;
    Ok((tx, found))
}

async fn close(
    app: &AppState,
    member: &Member,
    mut tx: Tx,
    found: &Ticket,
    (done, again): (Option<ChangedTicket>, bool),
    action: &'static str,
    reason: Option<String>,
) -> Result<Json<TicketJson>, ApiError> {
    let (organizer_id, ticket_id) = (member.organizer_id, found.ticket_id);
    match done {
        Some(changed) => {
            note(app, member, &mut tx, ticket_id, action, reason).await?;
            change::record(&mut tx, organizer_id, found.event_id, &manifest_rows(&[changed]), None)
                .await
                .map_err(StepError::from)?;
            tx.commit().await?;
            app.selling.catalog.forget(found.event_id);
            app.news.publish(found.event_id);
        }
        None if again => {}
        None => {
            return Err(ApiError::conflict("ticket_not_valid", format!("the ticket is {}", found.state)));
        }
    }
    one_json(app, organizer_id, ticket_id).await.map(Json)
}

async fn note(
    app: &AppState,
    member: &Member,
    tx: &mut Tx,
    ticket_id: Uuid,
    action: &'static str,
    reason: Option<String>,
) -> Result<(), sqlx::Error> {
    let (kind, id) = member.actor();
    let (request_id, _) = edge::current();
    let actor = Actor { kind, id: Some(id), request_id: Some(request_id) };
    let detail = serde_json::json!({ "reason": reason });
    audit_it(app, tx, member.organizer_id, ticket_id, action, detail, &actor).await
}
