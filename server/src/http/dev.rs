//! Development conveniences. They exist for this very machine alone, on a server with `--dev`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::edge::Client;
use super::error::{ApiError, Problem};
use super::extract::ApiQuery;
use crate::adapters::mail::{Attachment, Mail};
use crate::app::AppState;
use crate::domain::notification::Channel;

const MOST: usize = 100;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(mailbox))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MailboxQuery {
    /// Only mails to this address, in whatever case.
    recipient: Option<String>,
}

/// A mail that a server with SMTP would have sent.
#[derive(Debug, Serialize, ToSchema)]
struct MailJson {
    id: Uuid,
    /// A push or a text message goes here too, where no provider is set up.
    channel: Channel,
    /// What it is about, as `auth.magic_link`.
    kind: String,
    to: String,
    subject: String,
    text: String,
    html: String,
    language: String,
    attachments: Vec<AttachmentJson>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// A file that goes with it.
#[derive(Debug, Serialize, ToSchema)]
struct AttachmentJson {
    name: String,
    content_type: &'static str,
    /// In bytes.
    size: usize,
}

impl From<&Attachment> for AttachmentJson {
    fn from(of: &Attachment) -> Self {
        Self { name: of.name.clone(), content_type: of.content_type, size: of.bytes.len() }
    }
}

impl From<Mail> for MailJson {
    fn from(mail: Mail) -> Self {
        Self {
            id: mail.id,
            channel: mail.channel,
            kind: mail.kind,
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            language: mail.language,
            attachments: mail.attachments.iter().map(AttachmentJson::from).collect(),
            created_at: mail.created_at,
        }
    }
}

/// The development mailbox: the last 100 mails, newest first.
///
/// With `--dev` and without SMTP, and only for a client on this machine without a proxy between; else it does
/// not exist.
#[utoipa::path(
    get, path = "/dev/mailbox", operation_id = "dev_mailbox", tag = "development", params(MailboxQuery),
    responses(
        (status = 200, body = Vec<MailJson>),
        (status = 400, description = "`invalid_query`", body = Problem),
        (status = 404, description = "`not_found`: no development server, or not from this machine", body = Problem),
    ),
)]
async fn mailbox(
    State(app): State<AppState>,
    client: Client,
    ApiQuery(query): ApiQuery<MailboxQuery>,
) -> Result<Json<Vec<MailJson>>, ApiError> {
    match app.mail.mailbox() {
        Some(mailbox) if client.local => {
            let mails = mailbox.list(query.recipient.as_deref(), MOST);
            Ok(Json(mails.into_iter().map(MailJson::from).collect()))
        }
        _ => Err(ApiError::not_found("mailbox")),
    }
}
