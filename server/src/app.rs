//! What every handler and job shares.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapters::mail::{Mailer, Outgoing, Ways, smtp};
use crate::adapters::outside::Outside;
use crate::adapters::push::{Vapid, WebPush};
use crate::adapters::sms::Twilio;
use crate::auth::supabase::Supabase;
use crate::auth::{AccessTokens, Passwords};
use crate::clock::{SharedClock, SharedRng};
use crate::config::Config;
use crate::discovery::columns::Newest;
use crate::discovery::frequent::Frequent;
use crate::discovery::worded::Worded;
use crate::documents::fonts::Fonts;
use crate::gates::Gates;
use crate::http::arrival::Arrivals;
use crate::http::events::Cards;
use crate::http::limits::Limits;
use crate::http::metrics::Metrics;
use crate::http::stats::live::Live;
use crate::http::web::Sitemap;
use crate::keys::MasterKey;
use crate::news::News;
use crate::selling::Selling;
use crate::store::Db;
use crate::webhooks::Webhooks;

/// The state of axum's router. Cheap to clone; derefs to [`App`].
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

/// The running server.
#[derive(Debug)]
pub struct App {
    pub config: Config,
    pub db: Db,
    pub clock: SharedClock,
    pub rng: SharedRng,
    pub master_key: MasterKey,
    pub tokens: AccessTokens,
    pub passwords: Passwords,
    /// A Supabase project whose users are ours.
    pub supabase: Option<Supabase>,
    /// Wakes who waits for news of an event, here and at other servers. Publish after commit.
    pub news: News,
    /// Events whose figures somebody watches.
    pub live: Live,
    pub gates: Gates,
    pub selling: Selling,
    pub mail: Outgoing,
    /// The ways out of every channel, mail's too.
    pub ways: Ways,
    /// Calls addresses that others chose.
    pub outside: Outside,
    /// What browsers subscribe with: base64url of a public key.
    pub vapid_key: String,
    /// Telling organizers' own servers.
    pub webhooks: Webhooks,
    /// What PDFs are written with.
    pub fonts: Arc<Fonts>,
    /// Events as pictures.
    pub cards: Cards,
    pub sitemap: Sitemap,
    pub heartbeats: Heartbeats,
    pub database_status: StatusSince,
    pub mail_status: StatusSince,
    pub metrics: Metrics,
    pub limits: Limits,
    /// What very many events are counted by.
    pub columns: Arc<Newest>,
    /// Which events have words that very many have.
    pub worded: Arc<Worded>,
    /// Queries that match too much to be ranked.
    pub frequent: Frequent,
    /// Work whose request was answered before it: `wait` waits until there is none.
    pub background: TaskTracker,
    /// Cancelled when the server stops: long polls and streams end, jobs finish their step.
    pub stopping: CancellationToken,
    /// Places for requests at work.
    pub in_flight: Arc<Semaphore>,
    /// Bodies that have not arrived whole.
    pub arrivals: Arc<Arrivals>,
}

impl AppState {
    /// Puts the server together on a migrated database.
    pub async fn new(
        config: Config,
        db: Db,
        master_key: MasterKey,
        clock: SharedClock,
        rng: SharedRng,
    ) -> anyhow::Result<Self> {
        let issuer = format!("{}/auth/v1", config.origin());
        let tokens = AccessTokens::load(&db, &master_key, Arc::clone(&clock), &rng, issuer).await?;
        let arrivals = Arc::new(Arrivals::new(&config.http));
        let background = TaskTracker::new();
        // It takes tasks all the same; only `wait` wants it closed.
        background.close();
        let mail = Outgoing::new(&config, &rng)?;
        let outside = Outside::new(&config.outside_exceptions)?;
        let contact = format!("mailto:{}", smtp::address_of(&config.mail.from));
        let vapid = Vapid::load(&db, &master_key, &clock, &rng, contact).await?;
        let vapid_key = vapid.public_key().to_owned();
        let push = Arc::new(WebPush::new(outside.clone(), vapid, Arc::clone(&clock), rng.clone()));
        let sms = Twilio::new(&config.sms, config.public_url.as_deref())?;
        let sms = sms.map(|twilio| Arc::new(twilio) as Arc<dyn Mailer>);
        let in_flight = Arc::new(Semaphore::new(config.http.max_in_flight));
        Ok(Self(Arc::new(App {
            news: News::default(),
            live: Live::default(),
            cards: Cards::default(),
            sitemap: Sitemap::default(),
            gates: Gates::new(&rng),
            heartbeats: Heartbeats::new(Arc::clone(&clock)),
            passwords: Passwords::new(rng.clone()),
            supabase: Supabase::new(&config.supabase, Arc::clone(&clock))?,
            database_status: StatusSince::default(),
            mail_status: StatusSince::default(),
            metrics: Metrics::default(),
            limits: Limits::default(),
            columns: Arc::default(),
            worded: Arc::default(),
            frequent: Frequent::default(),
            background,
            stopping: CancellationToken::new(),
            selling: Selling::new(&config, &master_key)?,
            ways: Ways::new(&config, mail.clone(), push, sms, &rng),
            outside,
            vapid_key,
            mail,
            webhooks: Webhooks::default(),
            fonts: Arc::new(Fonts::load(&config.fonts)?),
            config,
            db,
            clock,
            rng,
            master_key,
            tokens,
            arrivals,
            in_flight,
        })))
    }
}

/// Signs of life of the jobs, for `/health`.
#[derive(Debug)]
pub struct Heartbeats {
    clock: SharedClock,
    beats: Mutex<BTreeMap<&'static str, Beat>>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    every: Duration,
    last: Duration,
    ok: bool,
}

/// One job's health.
#[derive(Debug, Clone)]
pub struct Pulse {
    pub job: &'static str,
    pub ok: bool,
    pub since_beat: Duration,
}

impl Heartbeats {
    fn new(clock: SharedClock) -> Self {
        Self { clock, beats: Mutex::default() }
    }

    /// A job that means to run every `every` has just run; `ok` if it did its work.
    pub fn beat(&self, job: &'static str, every: Duration, ok: bool) {
        let beat = Beat { every, last: self.clock.monotonic(), ok };
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).insert(job, beat);
    }

    /// All jobs that ever ran here. One that missed three rounds (and half a minute) is not well.
    pub fn pulses(&self) -> Vec<Pulse> {
        let now = self.clock.monotonic();
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats
            .iter()
            .map(|(job, beat)| {
                let since_beat = now.saturating_sub(beat.last);
                let late = since_beat > beat.every * 3 + Duration::from_secs(30);
                Pulse { job, ok: beat.ok && !late, since_beat }
            })
            .collect()
    }
}

/// Since when something is up or down, as far as anybody asked.
#[derive(Debug, Default)]
pub struct StatusSince(Mutex<Option<(bool, OffsetDateTime)>>);

impl StatusSince {
    /// Notes that it is `up` now; returns since when that is so.
    pub fn since(&self, up: bool, now: OffsetDateTime) -> OffsetDateTime {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            Some((known, since)) if known == up => since,
            _ => {
                *state = Some((up, now));
                now
            }
        }
    }
}
