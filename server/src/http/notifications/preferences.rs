//! `/notifications/preferences`: per type and channel.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::language::Language;
use crate::domain::notification::{Channel, NoticeType, Preferences};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiJson;
use crate::http::fields::Wrong;
use crate::store::preferences as rows;
use crate::store::users;

/// Whether notices of a type go over a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreferenceJson {
    #[serde(rename = "type")]
    notice_type: NoticeType,
    channel: Channel,
    enabled: bool,
    /// It belongs to a contract or keeps the account safe, and cannot be switched off.
    fixed: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreferencesJson {
    /// In which I am written to; at first as my browser asked for when I signed up.
    language: Language,
    /// Every type on every channel.
    preferences: Vec<PreferenceJson>,
}

/// One choice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    #[serde(rename = "type")]
    notice_type: NoticeType,
    channel: Channel,
    enabled: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "preferences": [{ "type": "reminders", "channel": "email", "enabled": false }] }))]
pub(super) struct Choices {
    /// What is not named stays as it is.
    language: Option<Language>,
    #[serde(default)]
    #[schema(max_items = 21)]
    preferences: Vec<Choice>,
}

fn json(language: Language, preferences: &Preferences) -> PreferencesJson {
    let one = |notice_type: NoticeType, channel: Channel| PreferenceJson {
        notice_type,
        channel,
        enabled: preferences.allow(notice_type, channel),
        fixed: !notice_type.may_choose(channel),
    };
    let of = |t| Channel::ALL.into_iter().map(move |channel| one(t, channel));
    PreferencesJson { language, preferences: NoticeType::ALL.into_iter().flat_map(of).collect() }
}

/// What I hear of, and how.
#[utoipa::path(
    get, path = "/notifications/preferences", operation_id = "get_notification_preferences", tag = "notifications",
    security(("bearer" = [])),
    responses((status = 200, body = PreferencesJson), (status = 401, body = Problem)),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<PreferencesJson>, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let mut tx = app.db.user(user_id).await?;
    let preferences = rows::of_user(&mut tx, user_id).await?;
    let language = users::language(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(Json(json(language, &preferences)))
}

/// Chooses what I hear of. It counts at once, for what is already on its way too.
///
/// Mails of the types `security`, `bookings` and `event_changes` cannot be switched off.
#[utoipa::path(
    put, path = "/notifications/preferences", operation_id = "set_notification_preferences", tag = "notifications",
    security(("bearer" = [])), request_body = Choices,
    responses(
        (status = 200, body = PreferencesJson),
        (status = 401, body = Problem),
        (status = 422, description = "`invalid_fields` (`fixed`: this mail cannot be switched off), `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    ApiJson(body): ApiJson<Choices>,
) -> Result<Json<PreferencesJson>, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let mut wrong = Wrong::default();
    let mut seen = std::collections::BTreeSet::new();
    for (at, choice) in body.preferences.iter().enumerate() {
        if !choice.enabled && !choice.notice_type.may_choose(choice.channel) {
            wrong.note(format!("preferences[{at}].enabled"), "fixed", "this mail cannot be switched off");
        }
        if !seen.insert((choice.notice_type, choice.channel)) {
            wrong.note(format!("preferences[{at}]"), "twice", "this type and channel stand here already");
        }
    }
    wrong.check()?;
    let choices: Vec<_> = body.preferences.iter().map(|c| (c.notice_type, c.channel, c.enabled)).collect();
    let mut tx = app.db.user(user_id).await?;
    rows::choose(&mut tx, user_id, &choices, app.clock.now()).await?;
    if let Some(language) = body.language {
        users::set_language(&mut tx, user_id, language, app.clock.now()).await?;
    }
    let preferences = rows::of_user(&mut tx, user_id).await?;
    let language = users::language(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(Json(json(language, &preferences)))
}
