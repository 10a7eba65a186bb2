//! One line for everything that a rush on an event does to the database: keys claimed and answered, capacity held,
//! tickets issued. Who leads it does what waits of all four in one transaction. Apart they would wait for each
//! other's rows, and each pay for a transaction and a commit of its own.

use std::sync::Arc;

use sqlx::PgConnection;
use time::Duration;
use uuid::Uuid;

use super::StepError;
use super::issue::{self, IssueOrder, Issued};
use super::purchase::{self, HoldAnswer, HoldOrder};
use super::queue::Queue;
use crate::app::AppState;
use crate::fault;
use crate::store::idempotency::{self, Answered, Claim, Claiming};
use crate::store::{self, booking};

/// After so long a request that went silent is taken over by who repeats it.
const LEASE: Duration = Duration::seconds(60);

/// A batch that lost a race with another server is tried so often in all.
const TRIES: u32 = 4;

/// What waits in a line.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Claim(Claiming),
    Answer(Arc<Answered>),
    Hold(Arc<HoldOrder>),
    Issue(Arc<IssueOrder>),
}

impl Step {
    fn organizer_id(&self) -> Uuid {
        match self {
            Self::Claim(claiming) => claiming.key.organizer_id,
            Self::Answer(answered) => answered.key.organizer_id,
            Self::Hold(order) => order.organizer_id,
            Self::Issue(order) => order.organizer_id,
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Done {
    Claimed(Claim),
    Answered,
    /// With what the key said that was claimed along with it.
    Held(HoldAnswer, Option<Claim>),
    Issued(Issued),
}

/// Waiting steps, by event (or by organizer, for keys of requests that sell nothing).
#[derive(Debug, Default)]
pub(crate) struct Line(Queue<Step, Done, StepError>);

/// Does a step, together with what else waits in its line, where it stands from the call on. All steps of a line are
/// of one organizer.
pub(super) fn submit(
    app: &AppState,
    line: Uuid,
    step: Step,
) -> impl Future<Output = Result<Done, StepError>> + Send + use<> {
    let state = app.clone();
    let work = move |steps| batch(state.clone(), line, steps);
    let done = app.selling.line.0.submit(&app.selling.tasks, line, step, work);
    async move { done.await.ok_or(StepError::Died)? }
}

/// The steps of a batch by kind, each in its order.
#[derive(Default)]
struct Sorted {
    claims: Vec<Claiming>,
    answers: Vec<Answered>,
    holds: Vec<Arc<HoldOrder>>,
    issues: Vec<Arc<IssueOrder>>,
}

impl Sorted {
    fn of(steps: &[Step]) -> Self {
        let mut sorted = Self::default();
        for step in steps {
            match step {
                Step::Claim(claiming) => sorted.claims.push(*claiming),
                Step::Answer(answered) => sorted.answers.push(Answered::clone(answered)),
                Step::Hold(order) => sorted.holds.push(Arc::clone(order)),
                Step::Issue(order) => sorted.issues.push(Arc::clone(order)),
            }
        }
        sorted
    }
}

/// Why a batch was not done, or not heard of.
enum Broken {
    /// Nothing of it was done.
    Before(StepError),
    /// The connection broke at the commit: all of it was done, with these answers, or nothing.
    AtCommit(sqlx::Error, Vec<Done>),
}

impl<E: Into<StepError>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

/// All of it or none; the answers in the order of the steps. A batch that lost a race (a deadlock with another server) is
/// tried again; so is one whose commit was not heard of, unless what it held is there.
async fn batch(app: AppState, line: Uuid, steps: Vec<Step>) -> Result<Vec<Done>, StepError> {
    let held: Vec<(Uuid, Uuid)> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Hold(order) => Some((order.organizer_id, order.booking_id())),
            _ => None,
        })
        .collect();
    let mut tries = 1;
    let mut unheard: Option<Vec<Done>> = None;
    loop {
        let e = match try_batch(&app, line, &steps).await {
            Ok(done) => return Ok(done),
            Err(Broken::AtCommit(e, done)) if store::is_unavailable(&e) => {
                unheard = Some(done);
                StepError::Database(e)
            }
            Err(Broken::AtCommit(e, _)) => StepError::Database(e),
            Err(Broken::Before(e)) => e,
        };
        if let Some(done) = unheard.take() {
            // Those of the steps that held nothing find by themselves what they did before.
            if was_held(&app, &held).await? {
                return Ok(done);
            }
            unheard = Some(done);
        }
        let again = unheard.is_some() || matches!(&e, StepError::Database(e) if store::is_retryable(e));
        if !again || tries >= TRIES {
            return Err(e);
        }
        tries += 1;
    }
}

/// Whether one of the bookings is there. All of a batch are, or none is.
async fn was_held(app: &AppState, bookings: &[(Uuid, Uuid)]) -> Result<bool, sqlx::Error> {
    let Some((organizer_id, _)) = bookings.first() else { return Ok(false) };
    let mut tx = app.db.tenant(*organizer_id).await?;
    for (_, booking_id) in bookings {
        if booking::find(&mut tx, *organizer_id, *booking_id).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn try_batch(app: &AppState, line: Uuid, steps: &[Step]) -> Result<Vec<Done>, Broken> {
    let Some(organizer_id) = steps.first().map(Step::organizer_id) else { return Ok(Vec::new()) };
    let sorted = Sorted::of(steps);
    // Before the transaction: opening a key may itself need the database.
    let prepared = issue::prepare(app, organizer_id, line, &sorted.issues).await?;
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    if !sorted.answers.is_empty() {
        idempotency::answer(&mut tx, organizer_id, &sorted.answers).await?;
    }
    let mut wanted = sorted.claims.clone();
    wanted.extend(sorted.holds.iter().filter_map(|hold| hold.key));
    let mut claims = match wanted.as_slice() {
        [] => Vec::new(),
        wanted => idempotency::claim(&mut tx, organizer_id, wanted, now, now + LEASE).await?,
    };
    let of_holds = claims.split_off(sorted.claims.len());
    let held = hold(app, &mut tx, &sorted.holds, of_holds).await?;
    // After the holds: recording the change is the transaction's last statement.
    let (issued, changed) = match prepared {
        Some(prepared) => issue::issue_all(app, &mut tx, organizer_id, line, prepared).await?,
        None => (Vec::new(), false),
    };
    if !sorted.holds.is_empty() {
        fault!("hold.written");
    }
    if !sorted.issues.is_empty() {
        fault!("pay.issued");
    }
    let committed = tx.commit().await;
    if !sorted.holds.is_empty() {
        fault!("hold.committed");
    }
    if changed {
        app.news.publish(line);
    }
    let (mut claims, mut held, mut issued) = (claims.into_iter(), held.into_iter(), issued.into_iter());
    let done = steps
        .iter()
        .map(|step| match step {
            Step::Claim(_) => claims.next().map(Done::Claimed),
            Step::Answer(_) => Some(Done::Answered),
            Step::Hold(_) => held.next().map(|(answer, claim)| Done::Held(answer, claim)),
            Step::Issue(_) => issued.next().map(Done::Issued),
        })
        .collect::<Option<Vec<Done>>>()
        .ok_or(StepError::Died)?;
    match committed {
        Ok(()) => Ok(done),
        Err(e) => Err(Broken::AtCommit(e, done)),
    }
}

/// Holds those whose key said that it is their turn, and those without a key. `claims` are of those with one.
async fn hold(
    app: &AppState,
    conn: &mut PgConnection,
    orders: &[Arc<HoldOrder>],
    claims: Vec<Claim>,
) -> Result<Vec<(HoldAnswer, Option<Claim>)>, StepError> {
    let mut claims = claims.into_iter();
    let claims: Vec<Option<Claim>> =
        orders.iter().map(|order| order.key.and_then(|_| claims.next())).collect();
    let has_turn = |claim: &Option<Claim>| claim.as_ref().is_none_or(Claim::is_fresh);
    let turns: Vec<_> =
        orders.iter().zip(&claims).filter(|(_, c)| has_turn(c)).map(|(o, _)| Arc::clone(o)).collect();
    let mut held = purchase::hold_all(app, conn, &turns).await?.into_iter();
    claims
        .into_iter()
        .map(|claim| match has_turn(&claim) {
            true => held.next().map(|answer| (answer, claim)),
            false => Some((HoldAnswer::NotYourTurn, claim)),
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(StepError::Died)
}
