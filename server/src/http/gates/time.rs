//! `GET /gates/time`: unsigned and first, so that a wrong clock never locks a gate out.

use axum::extract::State;
use serde::Deserialize;
use shared::bytes::Nonce16;
use shared::cbor;
use shared::ids::DeviceId;
use shared::manifest::docs::{DocKind, ServerTime};
use shared::manifest::sign1;
use shared::time::UnixMillis;
use shared::wire::gates::TimeAnswer;
use utoipa::IntoParams;
use uuid::Uuid;

use super::CborBody;
use crate::app::AppState;
use crate::gates::organizer_key;
use crate::http::error::ApiError;
use crate::http::extract::ApiQuery;
use crate::store::directory;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeQuery {
    /// 16 random bytes in hex; the signed time echoes them.
    #[param(value_type = String)]
    nonce: Nonce16,
    /// The asking device: the time is then signed by its organizer's online key.
    device: Option<Uuid>,
}

/// The server's clock, for a device whose own may be wrong.
#[utoipa::path(get, path = "/gates/time", operation_id = "gate_time", tag = "gates", params(TimeQuery),
    responses((status = 200, content_type = "application/cbor", body = Vec<u8>, description = "TimeAnswer of docs/PROTOCOL.md")))]
pub(super) async fn time(
    State(app): State<AppState>,
    ApiQuery(query): ApiQuery<TimeQuery>,
) -> Result<CborBody<TimeAnswer>, ApiError> {
    let received_at = UnixMillis(app.clock.now_ms());
    let online = match query.device {
        None => None,
        Some(device) => {
            let device = DeviceId(device);
            let mut tx = app.db.platform().await?;
            let place = directory::find(&mut tx, "device", &device.to_string()).await?;
            tx.commit().await?;
            match place {
                None => None,
                Some(place) => {
                    let mut tx = app.db.tenant(place.organizer_id).await?;
                    let key = organizer_key(&app, &mut tx, place.organizer_id, "online").await?;
                    tx.commit().await?;
                    Some(key)
                }
            }
        }
    };
    let sent_at = UnixMillis(app.clock.now_ms());
    let signed = online.map(|key| {
        let time = ServerTime { nonce: query.nonce, received_at, sent_at };
        sign1::sign(DocKind::ServerTime, &key, &cbor::encode(&time))
    });
    Ok(CborBody(TimeAnswer { received_at, sent_at, signed }))
}
