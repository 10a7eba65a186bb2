//! `/organizer/events/{id}/questions`: what is asked of everybody who comes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{finish, look, open, room_for_one_more};
use crate::app::AppState;
use crate::domain::question::Kind;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::{Wrong, given};
use crate::http::page::{Page, PageQuery};
use crate::store::question::{self, StoredQuestion};
use crate::store::{Tx, ticket_type};

/// A question to those who will come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct QuestionJson {
    pub question_id: Uuid,
    /// Null: of every ticket type.
    pub ticket_type_id: Option<Uuid>,
    pub label: String,
    pub kind: Kind,
    /// Of `choice`.
    pub choices: Vec<String>,
    pub required: bool,
    /// The online answer to a scan has the answer.
    pub show_at_door: bool,
    pub position: i32,
}

impl From<StoredQuestion> for QuestionJson {
    fn from(of: StoredQuestion) -> Self {
        Self {
            question_id: of.question_id,
            ticket_type_id: of.ticket_type_id,
            kind: Kind::from_column(&of.kind),
            label: of.label,
            choices: of.choices,
            required: of.required,
            show_at_door: of.show_at_door,
            position: of.position,
        }
    }
}

/// Fields of a question. To create: `label` and `kind` are required. To update: what is given is changed; the kind
/// stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "label": "Size of the shirt", "kind": "choice", "choices": ["S", "M", "L"], "required": false, "show_at_door": true }))]
pub(super) struct QuestionFields {
    label: Option<String>,
    kind: Option<Kind>,
    /// Of `choice`: up to 50.
    choices: Option<Vec<String>>,
    /// Null: of every ticket type.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Uuid>)]
    ticket_type_id: Option<Option<Uuid>>,
    required: Option<bool>,
    show_at_door: Option<bool>,
    /// They are asked in rising order.
    position: Option<i32>,
}

/// The questions of an event.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/questions", operation_id = "list_questions", tag = "organizer",
    params(("event_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<QuestionJson>), (status = 404, body = Problem)),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<QuestionJson>>, ApiError> {
    let (mut tx, _) = look(&app, &staff, event_id).await?;
    let all = question::asked(&mut tx, staff.organizer_id, event_id).await?;
    tx.commit().await?;
    let all = all.into_iter().map(QuestionJson::from).collect();
    Ok(Json(Page::of_few("questions", &query, all, |q: &QuestionJson| q.question_id)?))
}

/// Asks something of everybody who comes, or of those with tickets of one type.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/questions", operation_id = "create_question", tag = "organizer",
    params(("event_id" = Uuid, Path)), request_body = QuestionFields, security(("bearer" = [])),
    responses(
        (status = 201, body = QuestionJson),
        (status = 404, body = Problem),
        (status = 409, description = "`too_many`", body = Problem),
        (status = 422, body = Problem),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<QuestionFields>,
) -> Result<(StatusCode, Json<QuestionJson>), ApiError> {
    let (mut tx, _) = open(&app, &staff, event_id).await?;
    room_for_one_more(question::asked(&mut tx, staff.organizer_id, event_id).await?.len())?;
    let now = app.clock.now();
    let mut wrong = Wrong::default();
    if fields.label.is_none() {
        wrong.note("label", "required", "what is asked");
    }
    if fields.kind.is_none() {
        wrong.note("kind", "required", "text, choice or yes_no");
    }
    let new = StoredQuestion {
        question_id: app.rng.uuid(&*app.clock),
        event_id,
        ticket_type_id: None,
        label: String::new(),
        kind: fields.kind.unwrap_or(Kind::Text).as_str().to_owned(),
        choices: Vec::new(),
        required: false,
        show_at_door: false,
        position: 0,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    let new = fields.apply(new, wrong, &mut tx, staff.organizer_id).await?;
    question::put(&mut tx, staff.organizer_id, &new).await?;
    finish(&app, tx, &staff, event_id, "question.created", ("question", new.question_id)).await?;
    Ok((StatusCode::CREATED, Json(new.into())))
}

/// Changes a question. Answers that were given stay as they are.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/questions/{question_id}", operation_id = "update_question", tag = "organizer",
    params(("event_id" = Uuid, Path), ("question_id" = Uuid, Path)), request_body = QuestionFields, security(("bearer" = [])),
    responses((status = 200, body = QuestionJson), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath((event_id, question_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<QuestionFields>,
) -> Result<Json<QuestionJson>, ApiError> {
    let (mut tx, _) = open(&app, &staff, event_id).await?;
    let mut stored = find(&mut tx, staff.organizer_id, event_id, question_id).await?;
    let mut wrong = Wrong::default();
    if fields.kind.is_some_and(|kind| kind.as_str() != stored.kind) {
        wrong.note("kind", "invalid", "the kind of a question stays; ask a new one");
    }
    stored.updated_at = app.clock.now();
    let stored = fields.apply(stored, wrong, &mut tx, staff.organizer_id).await?;
    question::put(&mut tx, staff.organizer_id, &stored).await?;
    finish(&app, tx, &staff, event_id, "question.updated", ("question", question_id)).await?;
    Ok(Json(stored.into()))
}

/// Asks it no more. Answers that were given stay.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/questions/{question_id}", operation_id = "archive_question", tag = "organizer",
    params(("event_id" = Uuid, Path), ("question_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 204, description = "Asked no more"), (status = 404, body = Problem)),
)]
pub(super) async fn archive(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath((event_id, question_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, _) = open(&app, &staff, event_id).await?;
    let mut stored = find(&mut tx, staff.organizer_id, event_id, question_id).await?;
    stored.archived_at = Some(app.clock.now());
    question::put(&mut tx, staff.organizer_id, &stored).await?;
    finish(&app, tx, &staff, event_id, "question.archived", ("question", question_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(
    tx: &mut Tx,
    organizer_id: Uuid,
    event_id: Uuid,
    question_id: Uuid,
) -> Result<StoredQuestion, ApiError> {
    let all = question::asked(tx, organizer_id, event_id).await?;
    all.into_iter().find(|q| q.question_id == question_id).ok_or_else(|| ApiError::not_found("question"))
}

impl QuestionFields {
    async fn apply(
        self,
        mut question: StoredQuestion,
        mut wrong: Wrong,
        tx: &mut Tx,
        organizer_id: Uuid,
    ) -> Result<StoredQuestion, ApiError> {
        if let Some(label) = self.label {
            question.label = wrong.line("label", &label, 1, 200);
        }
        if let Some(choices) = self.choices {
            question.choices = choices.iter().map(|c| wrong.line("choices", c, 1, 100)).collect();
        }
        let several = question.choices.len();
        if (question.kind == Kind::Choice.as_str()) != (several > 0) || several > 50 {
            wrong.note("choices", "invalid", "a choice has 1 to 50 of them, and nothing else has any");
        }
        let mut distinct = question.choices.clone();
        distinct.sort();
        distinct.dedup();
        if distinct.len() != several {
            wrong.note("choices", "repeated", "each of them once");
        }
        if let Some(of) = self.ticket_type_id {
            if let Some(id) = of {
                let types = ticket_type::of_event(tx, organizer_id, question.event_id).await?;
                if !types.iter().any(|t| t.ticket_type_id == id) {
                    wrong.note("ticket_type_id", "unknown", "the event has no such ticket type");
                }
            }
            question.ticket_type_id = of;
        }
        if let Some(position) = self.position {
            wrong.within("position", position, 0, 10_000);
            question.position = position;
        }
        question.required = self.required.unwrap_or(question.required);
        question.show_at_door = self.show_at_door.unwrap_or(question.show_at_door);
        wrong.check()?;
        Ok(question)
    }
}
