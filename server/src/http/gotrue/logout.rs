//! The end of sessions.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::error::ApiError;
use super::super::extract::ApiQuery;
use super::bearer::SignedIn;
use super::{GoTrueError, bad_request};
use crate::app::AppState;
use crate::store::sessions::{self, Ending};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogoutQuery {
    /// `global` (all of the account's sessions; also without it), `local` (this one) or `others`.
    scope: Option<String>,
}

/// Ends sessions. Their refresh tokens are dead at once; an access token still opens other routes until
/// its hour is over.
#[utoipa::path(
    post, path = "/auth/v1/logout", operation_id = "auth_logout", tag = "accounts", security(("bearer" = [])), params(LogoutQuery),
    responses(
        (status = 204),
        (status = 401, description = "`no_authorization`, `bad_jwt`, `session_not_found`", body = GoTrueError),
    ),
)]
pub(super) async fn logout(
    State(app): State<AppState>,
    signed_in: SignedIn,
    ApiQuery(query): ApiQuery<LogoutQuery>,
) -> Result<StatusCode, ApiError> {
    let which = match query.scope.as_deref() {
        None | Some("" | "global") => Ending::All,
        Some("local") => Ending::This(signed_in.session.id),
        Some("others") => Ending::AllBut(signed_in.session.id),
        Some(_) => return Err(bad_request("validation_failed", "Unsupported logout scope")),
    };
    let mut tx = app.db.user(signed_in.user.id).await?;
    sessions::revoke(&mut tx, signed_in.user.id, which, app.clock.now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
