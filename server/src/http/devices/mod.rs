//! The organizer's side of gates: invitations, devices, revocation, quarantine, incidents.

mod device;
mod incident;
mod quarantine;
mod revoke;
mod slot;

use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::error::ApiError;
use crate::app::AppState;
use crate::http::Member;
use crate::store::audit::{self, Act};
use crate::store::manifests::{self, EventTimes};

pub(super) use device::DeviceJson;
pub(super) use incident::{Incident, incidents_of};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(slot::create, slot::list))
        .routes(routes!(slot::get))
        .routes(routes!(slot::confirm))
        .routes(routes!(slot::decline))
        .routes(routes!(device::list))
        .routes(routes!(revoke::revoke))
        .routes(routes!(quarantine::list, quarantine::decide))
        .routes(routes!(incident::list))
}

/// The event, or 404: also for one of another organizer.
async fn event(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<EventTimes, ApiError> {
    manifests::event_times(conn, organizer, event).await?.ok_or_else(|| ApiError::not_found("event"))
}

/// Writes down what a member did.
async fn note(
    app: &AppState,
    conn: &mut PgConnection,
    member: &Member,
    action: &'static str,
    object: (&'static str, Uuid),
    detail: serde_json::Value,
) -> Result<(), ApiError> {
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: "user",
        actor_id: Some(member.user.user_id),
        action,
        object_kind: object.0,
        object_id: object.1,
        request_id: None,
        detail,
    };
    audit::record(conn, member.organizer_id, &act, app.clock.now()).await?;
    Ok(())
}
