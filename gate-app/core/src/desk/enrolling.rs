//! Becoming a device of one more event: one attempt at a time, on a thread of its own until the organizer has said
//! yes or no.

use super::background::Order;
use super::contract::{CommandError, EnrolmentBegun, EnrolmentNews, ErrorCode, Event};
use super::kept::not_in_kiosk;
use super::{Desk, Network};
use crate::enroll::{EnrollError, Enrolling, Invited, Progress};
use crate::fault::chain;
use crate::sync::engine::CallError;
use shared::wire::enroll::InviteError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Between questions whether the organizer has confirmed.
const POLL: Duration = Duration::from_millis(500);

impl<N: Network> Desk<N> {
    /// Begins with a link (from the QR), or a typed code and the server's address. What becomes of it is told as
    /// [`Event::Enrolment`]. Another attempt that is under way is given up.
    ///
    /// # Errors
    /// `invalid_link`, `newer_link`, `invalid_code`, `invalid_server`, `unreachable`, `refused_by_server`,
    /// `not_the_invited_server`, `declined`, `locked` in kiosk mode, `cannot_record`.
    pub fn enrol_begin(
        self: &Arc<Self>,
        invitation: &str,
        server: Option<&str>,
    ) -> Result<EnrolmentBegun, CommandError> {
        not_in_kiosk(&self.state())?;
        let invited = Invited::parse(invitation.trim(), server).map_err(|e| not_begun(&e))?;
        let stop = Arc::new(AtomicBool::new(false));
        self.replace_attempt(Some(Arc::clone(&stop)));
        let (begun, answer) = channel();
        let desk = Arc::clone(self);
        let attempt = move || enrol(&desk, &invited, &stop, &begun);
        let thread = std::thread::Builder::new().name("enrolment".into()).spawn(attempt);
        thread.map_err(|e| CommandError::internal(&e))?;
        answer.recv().map_err(|e| CommandError::internal(&e))?
    }

    /// Gives up the attempt that is under way. The organizer may still confirm it; then the same invitation goes on.
    pub fn enrol_cancel(&self) {
        self.replace_attempt(None);
    }

    fn replace_attempt(&self, next: Option<Arc<AtomicBool>>) {
        let mut current = self.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = std::mem::replace(&mut *current, next) {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

type Begun = Result<EnrolmentBegun, CommandError>;

fn enrol<N: Network>(desk: &Desk<N>, invited: &Invited, stop: &AtomicBool, begun: &Sender<Begun>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = begun.send(Err(CommandError::internal(&error)));
            return;
        }
    };
    runtime.block_on(async {
        let enrolling = match begin(desk, invited).await {
            Ok(enrolling) => enrolling,
            Err(error) => {
                let _ = begun.send(Err(error));
                return;
            }
        };
        let _ = begun
            .send(Ok(EnrolmentBegun { digits: enrolling.digits.clone(), origin: invited.origin.clone() }));
        wait(desk, &enrolling, stop).await;
    });
}

async fn begin<N: Network>(desk: &Desk<N>, invited: &Invited) -> Result<Enrolling<N::Line>, CommandError> {
    let line = desk.network.line(&invited.origin, Box::new(|_, _| {}));
    let line = line.map_err(|e| CommandError::internal(&e))?;
    Enrolling::begin(&desk.dir, invited, line, &mut desk.world()).await.map_err(|e| not_begun(&e))
}

/// Asks until there is an answer, or nobody wants it any more. Tells each change once.
async fn wait<N: Network>(desk: &Desk<N>, enrolling: &Enrolling<N::Line>, stop: &AtomicBool) {
    let mut told = None;
    while !stop.load(Ordering::Relaxed) {
        let news = match enrolling.poll().await {
            Ok(Progress::Waiting) => EnrolmentNews::Waiting,
            Ok(Progress::Done(enrolled)) => EnrolmentNews::Done {
                device_id: enrolled.device,
                label: enrolled.label,
                number: enrolled.number,
            },
            Err(error) if error.may_pass() => EnrolmentNews::Unreachable,
            Err(EnrollError::Declined) => EnrolmentNews::Declined,
            Err(error) => EnrolmentNews::Failed { error: not_begun(&error) },
        };
        let goes_on = matches!(news, EnrolmentNews::Waiting | EnrolmentNews::Unreachable);
        if matches!(news, EnrolmentNews::Done { .. }) {
            desk.forget_the_loss(&mut desk.state());
            desk.order(Order::Refresh);
            desk.hurry_watch();
            desk.tell_app_state();
        }
        if told.as_ref() != Some(&news) {
            desk.emit(Event::Enrolment(news.clone()));
        }
        if !goes_on {
            return;
        }
        told = Some(news);
        tokio::time::sleep(POLL).await;
    }
}

fn not_begun(error: &EnrollError) -> CommandError {
    let code = match error {
        EnrollError::Invite(InviteError::Link) => ErrorCode::InvalidLink,
        EnrollError::Invite(InviteError::Version) => ErrorCode::NewerLink,
        EnrollError::Invite(InviteError::Typed) => ErrorCode::InvalidCode,
        EnrollError::Invite(InviteError::Origin) | EnrollError::NoServer => ErrorCode::InvalidServer,
        EnrollError::Call(CallError::Network(_)) => ErrorCode::Unreachable,
        EnrollError::Call(CallError::Refused { .. }) => ErrorCode::RefusedByServer,
        EnrollError::Trust(_) => ErrorCode::NotTheInvitedServer,
        EnrollError::Declined => ErrorCode::Declined,
        EnrollError::Db(_) | EnrollError::Sql(_) => ErrorCode::CannotRecord,
        EnrollError::Call(_)
        | EnrollError::Certificate(_)
        | EnrollError::OtherCertificate
        | EnrollError::Unexpected => ErrorCode::Internal,
    };
    CommandError::new(code, chain(error))
}
