//! An organizer's keys, opened and kept for half a minute, so that a changed status is soon known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use ed25519_dalek::SigningKey;
use shared::bytes::{Kid, PublicKey};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::App;
use crate::clock::SharedRng;
use crate::domain::keys::{NewKey, NewTrust, Purpose};
use crate::keys::MasterKey;
use crate::store::directory::{self, Place};
use crate::store::organizer::{self, OrganizerKey};

const FRESH: Duration = Duration::from_secs(30);
const MAX_ENTRIES: usize = 2_000;

/// An opened key.
#[derive(Debug)]
pub struct OpenKey {
    pub kid: Kid,
    pub public: PublicKey,
    /// `active`, `verify_only` or `compromised`.
    pub status: String,
    /// `None` if it is kept elsewhere.
    pub signing: Option<SigningKey>,
}

/// The keys of one purpose, the newest first.
#[derive(Debug)]
pub struct Opened(Vec<OpenKey>);

impl Opened {
    /// The one that signs.
    #[must_use]
    pub fn active(&self) -> Option<(&OpenKey, &SigningKey)> {
        self.0.iter().find_map(|k| Some((k, k.signing.as_ref().filter(|_| k.status == "active")?)))
    }

    /// The one that signed under this name: a code's text is made again with it.
    #[must_use]
    pub fn of_kid(&self, kid: Kid) -> Option<&SigningKey> {
        self.0.iter().find(|k| k.kid == kid).and_then(|k| k.signing.as_ref())
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[OpenKey] {
        &self.0
    }
}

type Place3 = (Uuid, Purpose, Option<Uuid>);

/// Opened keys by organizer, purpose and event.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<Place3, (Duration, Arc<Opened>)>>);

impl Cache {
    fn get(&self, place: &Place3, now: Duration) -> Option<Arc<Opened>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, opened) = entries.get(place)?;
        (now.saturating_sub(*at) < FRESH).then(|| Arc::clone(opened))
    }

    fn forget(&self, place: &Place3) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    fn put(&self, place: Place3, now: Duration, opened: Arc<Opened>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(place, (now, opened));
    }
}

/// Reads the keys anew the next time: one is missing that another server may just have made.
pub fn forget(app: &App, organizer_id: Uuid, purpose: Purpose, event_id: Option<Uuid>) {
    app.selling.keys.forget(&(organizer_id, purpose, event_id));
}

/// The keys of a purpose, opened. `event_id` for ticket keys.
///
/// # Errors
/// The database does not answer, or a key does not open under this master key.
pub async fn opened(
    app: &App,
    organizer_id: Uuid,
    purpose: Purpose,
    event_id: Option<Uuid>,
) -> anyhow::Result<Arc<Opened>> {
    let place = (organizer_id, purpose, event_id);
    let now = app.clock.monotonic();
    if let Some(opened) = app.selling.keys.get(&place, now) {
        return Ok(opened);
    }
    let mut tx = app.db.tenant(organizer_id).await?;
    let rows = organizer::keys(&mut tx, organizer_id, purpose.as_str(), event_id).await?;
    tx.commit().await?;
    let open = |row: OrganizerKey| open(&app.master_key, purpose, row);
    let opened = Arc::new(Opened(rows.into_iter().map(open).collect::<anyhow::Result<_>>()?));
    app.selling.keys.put(place, now, Arc::clone(&opened));
    Ok(opened)
}

fn open(master_key: &MasterKey, purpose: Purpose, row: OrganizerKey) -> anyhow::Result<OpenKey> {
    let signing = row
        .sealed
        .map(|sealed| -> anyhow::Result<SigningKey> {
            let secret = master_key.open(&purpose.seal_purpose(), &sealed)?;
            let bytes: &[u8; 32] = secret.as_slice().try_into().context("a private key has 32 bytes")?;
            Ok(SigningKey::from_bytes(bytes))
        })
        .transpose()
        .with_context(|| format!("opening the {} key {}", purpose.as_str(), row.key_id))?;
    Ok(OpenKey {
        kid: Kid::from_slice(&row.kid).context("a kid has four bytes")?,
        public: PublicKey::from_slice(&row.public_key).context("a public key has 32 bytes")?,
        status: row.status,
        signing,
    })
}

/// Stores the keys and the first trust root of a new organizer.
pub async fn found_organizer(
    conn: &mut PgConnection,
    app: &App,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let trust = NewTrust::generate(organizer_id.into(), now.into(), &app.rng);
    for key in [&trust.root, &trust.manifest, &trust.online] {
        organizer::add_key(conn, organizer_id, &row(app, key, None, now)).await?;
    }
    let signed = &trust.signed;
    organizer::add_trust_root(conn, organizer_id, 1, &signed.document, signed.succession.as_deref(), now)
        .await
}

/// Makes and stores the ticket key of a new event.
pub async fn found_event(
    conn: &mut PgConnection,
    app: &App,
    organizer_id: Uuid,
    event_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let key = NewKey::generate(Purpose::Ticket, &app.rng);
    organizer::add_key(conn, organizer_id, &row(app, &key, Some(event_id), now)).await?;
    let name = format!("{}.{}", key.kid(), key.public());
    directory::add(conn, "kid", &name, Place { organizer_id, event_id: Some(event_id) }).await
}

fn row(app: &App, key: &NewKey, event_id: Option<Uuid>, now: OffsetDateTime) -> OrganizerKey {
    let rng: &SharedRng = &app.rng;
    OrganizerKey {
        key_id: rng.uuid(&*app.clock),
        purpose: key.purpose.as_str().to_owned(),
        event_id,
        kid: key.kid().0.to_vec(),
        public_key: key.public().0.to_vec(),
        sealed: Some(app.master_key.seal(&key.purpose.seal_purpose(), key.signing.as_bytes(), rng)),
        status: "active".to_owned(),
        created_at: now,
    }
}
