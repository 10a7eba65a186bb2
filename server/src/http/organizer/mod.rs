//! What organizers do: their profile, their events, and what belongs to these.
//!
//! Every change of an event ends with [`finish`]: the catalogue's version rises, public search is written,
//! and gates learn that something changed, in the same transaction.

mod cancellation;
mod clones;
mod complimentary;
mod door;
mod door_list;
mod events;
mod exports;
mod imports;
mod invitations;
mod ledger;
mod members;
mod payment_account;
mod profile;
mod promo_codes;
mod questions;
mod rules;
mod series;
mod system_accounts;
mod ticket_types;
mod tickets;
mod verification;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Acting;
use super::edge;
use super::error::ApiError;
use crate::app::{App, AppState};
use crate::domain::catalog::EventStatus;
use crate::selling::StepError;
use crate::store::audit::{self, Act};
use crate::store::event::{self, Event};
use crate::store::{Tx, change, search_row};

pub(super) use questions::QuestionJson;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(profile::show, profile::put))
        .routes(routes!(verification::submit))
        .routes(routes!(verification::list))
        .routes(routes!(verification::approve))
        .routes(routes!(verification::reject))
        .routes(routes!(members::list))
        .routes(routes!(members::change, members::remove))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::withdraw))
        .routes(routes!(invitations::show))
        .routes(routes!(invitations::accept))
        .routes(routes!(system_accounts::list, system_accounts::create))
        .routes(routes!(system_accounts::rotate))
        .routes(routes!(system_accounts::revoke))
        .routes(routes!(payment_account::show, payment_account::put, payment_account::remove))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::update, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::ping))
        .routes(routes!(webhooks::deliveries::replay_range))
        .routes(routes!(webhooks::deliveries::deliveries))
        .routes(routes!(webhooks::deliveries::delivery))
        .routes(routes!(webhooks::deliveries::replay))
        .routes(routes!(events::create))
        .routes(routes!(events::update))
        .routes(routes!(events::list))
        .routes(routes!(events::show))
        .routes(routes!(events::publish))
        .routes(routes!(clones::clone_event))
        .routes(routes!(series::add))
        .routes(routes!(ticket_types::list, ticket_types::create))
        .routes(routes!(ticket_types::update, ticket_types::archive))
        .routes(routes!(ticket_types::quotas, ticket_types::create_quota))
        .routes(routes!(ticket_types::update_quota))
        .routes(routes!(cancellation::cancel, cancellation::show))
        .routes(routes!(complimentary::give, complimentary::list))
        .routes(routes!(ledger::sums))
        .routes(routes!(complimentary::waiting_list))
        .routes(routes!(complimentary::remove_waiting))
        .routes(routes!(promo_codes::list, promo_codes::create))
        .routes(routes!(promo_codes::update, promo_codes::archive))
        .routes(routes!(door::lists, door::create_list))
        .routes(routes!(door::update_list, door::archive_list))
        .routes(routes!(rules::try_list))
        .routes(routes!(door::gates, door::create_gate))
        .routes(routes!(door::update_gate, door::archive_gate))
        .routes(routes!(door::stewards, door::create_steward))
        .routes(routes!(questions::list, questions::create))
        .routes(routes!(questions::update, questions::archive))
        .routes(routes!(tickets::block))
        .routes(routes!(tickets::unblock))
        .routes(routes!(tickets::withdraw))
        .merge(imports::routes())
        .merge(exports::routes())
        .routes(routes!(door_list::print))
        .routes(routes!(door::update_steward, door::archive_steward))
}

/// The organizer's transaction and the event, locked against other changes.
async fn open(app: &App, acting: &impl Acting, event_id: Uuid) -> Result<(Tx, Event), ApiError> {
    let mut tx = app.db.tenant(acting.organizer_id()).await?;
    let event = event::lock(&mut tx, acting.organizer_id(), event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    Ok((tx, event))
}

/// The event, to look at.
async fn look(app: &App, acting: &impl Acting, event_id: Uuid) -> Result<(Tx, Event), ApiError> {
    let mut tx = app.db.tenant(acting.organizer_id()).await?;
    let event = event::find(&mut tx, acting.organizer_id(), event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    Ok((tx, event))
}

/// Ends a change of an event: audit, search, version, and last of all the gates' counter; commits.
async fn finish(
    app: &App,
    mut tx: Tx,
    acting: &impl Acting,
    event_id: Uuid,
    action: &'static str,
    object: (&'static str, Uuid),
) -> Result<(), ApiError> {
    let (organizer_id, now) = (acting.organizer_id(), app.clock.now());
    record(app, &mut tx, acting, action, object, serde_json::json!({})).await?;
    event::bump(&mut tx, organizer_id, event_id).await?;
    search_row::refresh(&mut tx, organizer_id, event_id, now).await?;
    change::record(&mut tx, organizer_id, event_id, &[], None).await.map_err(StepError::from)?;
    tx.commit().await?;
    app.selling.catalog.forget(event_id);
    app.news.publish(event_id);
    Ok(())
}

/// The most of each kind that one event may have: all of them stand in the header of every manifest.
const MAX_OF_A_KIND: usize = 500;

/// 409 when there is no room for one more.
fn room_for_one_more(have: usize) -> Result<(), ApiError> {
    if have < MAX_OF_A_KIND {
        return Ok(());
    }
    Err(ApiError::conflict("too_many", format!("an event has at most {MAX_OF_A_KIND} of these")))
}

/// 409 for a change that makes no sense of an event that will not take place.
fn still_on(event: &Event) -> Result<(), ApiError> {
    match EventStatus::from_column(&event.status) {
        EventStatus::Canceled => Err(ApiError::conflict("event_canceled", "the event was canceled")),
        EventStatus::Draft | EventStatus::Published => Ok(()),
    }
}

async fn record(
    app: &App,
    tx: &mut Tx,
    acting: &impl Acting,
    action: &'static str,
    object: (&'static str, Uuid),
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    let (request_id, _) = edge::current();
    let (actor_kind, actor_id) = acting.actor();
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind,
        actor_id: Some(actor_id),
        action,
        object_kind: object.0,
        object_id: object.1,
        request_id: Some(&request_id),
        detail,
    };
    audit::record(tx, acting.organizer_id(), &act, app.clock.now()).await
}
