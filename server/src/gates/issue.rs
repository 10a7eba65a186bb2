//! Issuing the manifest of an event, and answering a gate that asks for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

use shared::bytes::{Hash32, Nonce16};
use shared::cbor;
use shared::ids::{DeviceId, EventId, OrganizerId};
use shared::manifest::check::check_shape;
use shared::manifest::docs::{DocKind, Freshness, KeyList, ManifestHeader, ManifestVersion};
use shared::manifest::rows::{ROW_LEN, TicketRow, pack_columns, parse_rows, sort_last_wins};
use shared::manifest::{buckets, document_hash, sign1};
use shared::time::UnixMillis;
use shared::wire::gates::{ManifestAnswer, ManifestBody};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{KeyError, organizer_key};
use crate::app::AppState;
use crate::domain::manifest::{
    self, Duty, FRESH_SECS, Facts, HARD_SECS, MAX_EPOCH_LEAP, Touched, hashes_from_bytes, hashes_to_bytes,
    same_keys,
};
use crate::store::import;
use crate::store::manifests::{self, NewHeader, Position};
use crate::store::{is_retryable, is_unique_violation};

/// A transaction that lost a race finds the winner's header the next time.
const ATTEMPTS: usize = 5;
/// A delta of fewer bytes of rows is always sent as one.
const SMALL_DELTA: u64 = 64 * 1024;

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("there is no such event")]
    NoEvent,
    /// The configuration makes no manifest: the organizer must complete it.
    #[error("the event is not ready for gates: {0}")]
    NotReady(&'static str),
    /// The device says it is further ahead than can be.
    #[error("no manifest of epoch {0} can exist")]
    AbsurdClaim(u32),
    #[error("stored manifest data is damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a request for the manifest would be served.
#[derive(Debug, Clone, Copy)]
pub struct Current {
    pub version: ManifestVersion,
    /// A newer one is due in so many milliseconds.
    pub due_in_ms: Option<i64>,
}

/// Makes sure that the newest header is good enough, and says which it is. `claim`: what an authentic
/// device says it holds.
pub async fn current(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
    claim: Option<(DeviceId, ManifestVersion)>,
) -> Result<Current, IssueError> {
    if let Some(current) = standing(app, organizer, event, claim).await? {
        return Ok(current);
    }
    let turn = app.gates.turn(event.0);
    let _turn = turn.lock().await;
    for _ in 0..ATTEMPTS {
        if let Some(current) = standing(app, organizer, event, claim).await? {
            return Ok(current);
        }
        match issue(app, organizer, event, claim).await {
            Ok(version) => return Ok(Current { version, due_in_ms: None }),
            Err(IssueError::Database(e)) if is_retryable(&e) || is_unique_violation(&e, "manifest_") => {}
            Err(e) => return Err(e),
        }
    }
    // Somebody else issues all the time, so what stands is young.
    let mut tx = app.db.tenant(organizer.0).await?;
    let position = manifests::position(&mut tx, organizer.0, event.0).await?.ok_or(IssueError::NoEvent)?;
    let standing = position.standing.ok_or(IssueError::NotReady("its manifest is being made"))?;
    Ok(Current { version: standing.version, due_in_ms: None })
}

/// The newest header, if no other has to be made.
async fn standing(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
    claim: Option<(DeviceId, ManifestVersion)>,
) -> Result<Option<Current>, IssueError> {
    let mut tx = app.db.tenant(organizer.0).await?;
    let position = manifests::position(&mut tx, organizer.0, event.0).await?.ok_or(IssueError::NoEvent)?;
    let here = manifests::database_id(&mut tx).await?;
    let (server_epoch, _) = manifests::server_epoch(&mut tx).await?;
    tx.commit().await?;
    let Position { change_seq, lineage: Some(lineage), standing: Some(standing) } = position else {
        return Ok(None);
    };
    let ahead = claim.is_some_and(|(_, v)| manifest::is_ahead(v, lineage.epoch, change_seq));
    if ahead || lineage.database != here || lineage.epoch < server_epoch {
        return Ok(None);
    }
    let current = |due_in_ms| Some(Current { version: standing.version, due_in_ms });
    Ok(match manifest::duty(Some(&standing), lineage.epoch, change_seq, UnixMillis(app.clock.now_ms())) {
        Duty::Serve => current(None),
        Duty::ServeFor { in_ms } => current(Some(in_ms)),
        Duty::Issue => None,
    })
}

/// Makes and stores a header from one snapshot of the database.
async fn issue(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
    claim: Option<(DeviceId, ManifestVersion)>,
) -> Result<ManifestVersion, IssueError> {
    // Before the snapshot: what comes after it must not wait longer for the next header than it may.
    let issued_at = app.clock.now();
    let mut tx = app.db.tenant_snapshot(organizer.0).await?;
    // Read at once after the snapshot was taken: `as_of` must not be later than what the snapshot shows.
    let database_now = manifests::clock(&mut tx).await?;
    let position = manifests::position(&mut tx, organizer.0, event.0).await?.ok_or(IssueError::NoEvent)?;
    let config = manifests::configuration(&mut tx, organizer.0, event.0).await?.ok_or(IssueError::NoEvent)?;
    let epoch = lineage(&mut tx, organizer, event, &position, config.created_at, claim, database_now).await?;

    let now: UnixMillis = database_now.into();
    let version = ManifestVersion { epoch, change_seq: position.change_seq, as_of: manifest::as_of(now) };
    if let Some(standing) = position.standing.filter(|s| version <= s.version) {
        // The database's clock went back, and nothing changed: an equal or lower version would be refused.
        tx.commit().await?;
        return Ok(standing.version);
    }

    let key = organizer_key(app, &mut tx, organizer.0, "manifest").await?;
    let before = manifests::header(&mut tx, organizer.0, event.0).await?;
    let rows = new_rows(&mut tx, organizer, event, before.as_ref(), position.change_seq).await?;
    let key_list = key_list(&mut tx, organizer, before.as_ref(), &key, now).await?;
    let header = ManifestHeader {
        organizer,
        event,
        version,
        gaps: manifests::gaps(&mut tx, organizer.0, event.0).await?,
        tickets: u32::try_from(rows.tickets)
            .map_err(|_| IssueError::Damaged("more tickets than an event can have".into()))?,
        imports: u32::try_from(import::count(&mut tx, organizer.0, event.0).await?)
            .map_err(|_| IssueError::Damaged("more barcodes than an event can have".into()))?,
        key_list_hash: document_hash(&key_list),
        buckets_hash: rows.buckets_hash,
        info: config.info,
        lists: config.lists,
        gates: config.gates,
        stewards: config.stewards,
        ticket_types: config.ticket_types,
        fresh_until: now.secs().plus_secs(FRESH_SECS),
        hard_until: now.secs().plus_secs(HARD_SECS),
    };
    check_shape(&header).map_err(IssueError::NotReady)?;
    let signed = sign1::sign(DocKind::ManifestHeader, &key, &cbor::encode(&header));
    if !rows.blobs.is_empty() {
        manifests::put_buckets(&mut tx, organizer.0, event.0, rows.blobs).await?;
    }
    let new = NewHeader {
        version,
        issued_at,
        header: &signed,
        key_list: &key_list,
        bucket_hashes: rows.hashes.as_deref(),
        tickets: rows.tickets,
    };
    if !manifests::put_header(&mut tx, organizer.0, event.0, &new).await? {
        return Err(IssueError::Damaged("the header that stands is not older".into()));
    }
    tx.commit().await?;
    tracing::debug!(%event, epoch, change_seq = version.change_seq, tickets = rows.tickets, "issued a manifest");
    Ok(version)
}

/// The event's lineage, begun anew where it must be.
async fn lineage(
    tx: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    position: &Position,
    event_created_at: time::OffsetDateTime,
    claim: Option<(DeviceId, ManifestVersion)>,
    database_now: time::OffsetDateTime,
) -> Result<u32, IssueError> {
    let here = manifests::database_id(tx).await?;
    let (server_epoch, since) = manifests::server_epoch(tx).await?;
    let known = position.lineage.as_ref().map_or(server_epoch, |l| l.epoch.max(server_epoch));
    if let Some((_, v)) = claim.filter(|(_, v)| v.epoch > known.saturating_add(MAX_EPOCH_LEAP)) {
        return Err(IssueError::AbsurdClaim(v.epoch));
    }
    let facts = Facts {
        last: position.lineage.as_ref(),
        here: &here,
        server_epoch,
        server_epoch_since: since.into(),
        event_created_at: event_created_at.into(),
        standing: position.standing.map(|s| s.version),
        change_seq: position.change_seq,
        claim: claim.map(|(device, v)| (device.0, v)),
        now: database_now.into(),
    };
    let Some(new) = manifest::next_lineage(&facts) else {
        return Ok(position.lineage.as_ref().map_or(server_epoch, |l| l.epoch));
    };
    if new.gap.is_some() {
        tracing::warn!(%event, epoch = new.epoch, cause = ?new.cause, "the database may have lost something: a new lineage of manifests begins");
    }
    manifests::begin_lineage(tx, organizer.0, event.0, &new, &here, database_now).await?;
    Ok(new.epoch)
}

/// What the new header says of the ticket rows, and what changes under it.
struct NewRows {
    tickets: u64,
    buckets_hash: Hash32,
    /// `None`: as before.
    hashes: Option<Vec<u8>>,
    blobs: Vec<(i32, Vec<u8>)>,
}

async fn new_rows(
    tx: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    before: Option<&manifests::Header>,
    change_seq: u64,
) -> Result<NewRows, IssueError> {
    let from = before.map_or(0, |h| h.version.change_seq);
    let bytes = manifests::changes(tx, organizer.0, event.0, from, change_seq).await?;
    let changes = parse_rows(&bytes).map_err(|e| IssueError::Damaged(e.to_string()))?;
    if let (true, Some(before)) = (changes.is_empty(), before) {
        let header: ManifestHeader = payload(&before.header)?;
        return Ok(NewRows {
            tickets: before.tickets,
            buckets_hash: header.buckets_hash,
            hashes: None,
            blobs: Vec::new(),
        });
    }
    let mut hashes = match manifests::bucket_hashes(tx, organizer.0, event.0).await? {
        None => buckets::empty_hashes(),
        Some(bytes) => hashes_from_bytes(&bytes)
            .ok_or_else(|| IssueError::Damaged("manifest_headers.bucket_hashes".into()))?,
    };
    let touched = Touched::by(changes);
    let held = match before {
        None => BTreeMap::new(),
        Some(_) => manifests::buckets(tx, organizer.0, event.0, &touched.numbers()).await?,
    };
    let (blobs, risen) = touched.apply(&held, &mut hashes);
    Ok(NewRows {
        tickets: before.map_or(0, |h| h.tickets) + risen,
        buckets_hash: buckets::buckets_hash(&hashes),
        hashes: Some(hashes_to_bytes(&hashes)),
        blobs,
    })
}

/// The value of a document of our own.
fn payload<T>(document: &[u8]) -> Result<T, IssueError>
where
    T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let payload =
        sign1::unverified_payload(document).ok_or_else(|| IssueError::Damaged("a signed document".into()))?;
    cbor::decode(payload, usize::MAX).map_err(|e| IssueError::Damaged(e.to_string()))
}

/// The signed key list: the one before, if it still says the same.
async fn key_list(
    tx: &mut PgConnection,
    organizer: OrganizerId,
    before: Option<&manifests::Header>,
    key: &ed25519_dalek::SigningKey,
    now: UnixMillis,
) -> Result<Vec<u8>, IssueError> {
    let list = KeyList {
        organizer,
        issued_at: now.secs(),
        ticket_keys: manifests::ticket_keys(tx, organizer.0).await?,
        revoked_devices: manifests::revoked_devices(tx, organizer.0).await?,
    };
    if let Some(before) = before {
        let old: KeyList = payload(&before.key_list)?;
        // A rotated manifest key signs anew.
        let verifies =
            sign1::verify(DocKind::KeyList, &[key.verifying_key()], &before.key_list, usize::MAX).is_ok();
        if verifies && same_keys(&old, &list) {
            return Ok(before.key_list.clone());
        }
    }
    Ok(sign1::sign(DocKind::KeyList, key, &cbor::encode(&list)))
}

/// What a gate holds and wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Version of its newest trust root.
    pub root: u32,
    pub held: ManifestVersion,
    /// Send all rows, whatever it holds.
    pub full: bool,
    pub nonce: Nonce16,
}

/// Answers a gate from one snapshot: header, key list and rows belong together.
pub async fn answer(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
    wish: &Wish,
) -> Result<ManifestAnswer, IssueError> {
    let mut tx = app.db.tenant_snapshot(organizer.0).await?;
    let header = manifests::header(&mut tx, organizer.0, event.0)
        .await?
        .ok_or(IssueError::NotReady("it has no manifest yet"))?;
    let trust_roots = manifests::trust_roots(&mut tx, organizer.0, wish.root).await?;
    let online = organizer_key(app, &mut tx, organizer.0, "online").await?;
    let body = body(app, &mut tx, organizer, event, &header, wish).await?;
    tx.commit().await?;
    let freshness = Freshness {
        nonce: wish.nonce,
        header_hash: document_hash(&header.header),
        server_time: UnixMillis(app.clock.now_ms()),
    };
    Ok(ManifestAnswer {
        trust_roots,
        key_list: header.key_list,
        header: header.header,
        body,
        freshness: sign1::sign(DocKind::Freshness, &online, &cbor::encode(&freshness)),
    })
}

async fn body(
    app: &AppState,
    tx: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    header: &manifests::Header,
    wish: &Wish,
) -> Result<ManifestBody, IssueError> {
    let (held, now) = (wish.held, header.version);
    if held.epoch == now.epoch && held.change_seq <= now.change_seq && !wish.full {
        if held.change_seq == now.change_seq {
            return Ok(ManifestBody::Same {});
        }
        let (from, to) = (held.change_seq, now.change_seq);
        let bytes = manifests::changes_len(tx, organizer.0, event.0, from, to).await?;
        if bytes <= SMALL_DELTA.max(header.tickets * ROW_LEN as u64 / 2) {
            let bytes = manifests::changes(tx, organizer.0, event.0, from, to).await?;
            let mut rows = parse_rows(&bytes).map_err(|e| IssueError::Damaged(e.to_string()))?;
            sort_last_wins(&mut rows);
            return Ok(ManifestBody::Delta { from_seq: from, rows: pack(rows).await });
        }
    }
    let name = (event.0, now.epoch, now.change_seq);
    if let Some(rows) = packed(app).get(name) {
        return Ok(ManifestBody::Full { rows: rows.to_vec() });
    }
    let turn = app.gates.turn(event.0);
    let _turn = turn.lock().await;
    if let Some(rows) = packed(app).get(name) {
        return Ok(ManifestBody::Full { rows: rows.to_vec() });
    }
    let bytes = manifests::all_rows(tx, organizer.0, event.0).await?;
    let mut rows = parse_rows(&bytes).map_err(|e| IssueError::Damaged(e.to_string()))?;
    rows.sort_unstable_by_key(|r| r.ticket_id);
    let rows = Arc::new(pack(rows).await);
    packed(app).put(name, Arc::clone(&rows));
    Ok(ManifestBody::Full { rows: rows.to_vec() })
}

/// Compresses beside the runtime's threads: a large event takes tens of milliseconds.
async fn pack(rows: Vec<TicketRow>) -> Vec<u8> {
    if rows.len() < 1_000 {
        return pack_columns(&rows);
    }
    tokio::task::spawn_blocking(move || pack_columns(&rows))
        .await
        .expect("packing sorted rows does not panic")
}

fn packed(app: &AppState) -> std::sync::MutexGuard<'_, Packed> {
    app.gates.packed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// (event, epoch, change_seq): rows depend on nothing else.
type Name = (Uuid, u32, u64);

/// Packed rows of whole manifests, the last used last.
#[derive(Debug, Default)]
pub(super) struct Packed(VecDeque<(Name, Arc<Vec<u8>>)>);

impl Packed {
    const ENTRIES: usize = 16;
    const BYTES: usize = 64 * 1024 * 1024;

    fn get(&mut self, name: Name) -> Option<Arc<Vec<u8>>> {
        let at = self.0.iter().position(|(n, _)| *n == name)?;
        let found = self.0.remove(at)?;
        let rows = Arc::clone(&found.1);
        self.0.push_back(found);
        Some(rows)
    }

    fn put(&mut self, name: Name, rows: Arc<Vec<u8>>) {
        // An older state of the same event will not be asked for again.
        self.0.retain(|((event, ..), _)| *event != name.0);
        self.0.push_back((name, rows));
        while self.0.len() > Self::ENTRIES || self.0.iter().map(|(_, r)| r.len()).sum::<usize>() > Self::BYTES
        {
            if self.0.len() == 1 {
                break;
            }
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_rows_leave_first_and_an_event_keeps_one_state() {
        let mut packed = Packed::default();
        let name = |n: u8, seq| (Uuid::from_bytes([n; 16]), 1, seq);
        for n in 0..16 {
            packed.put(name(n, 1), Arc::new(vec![n]));
        }
        assert!(packed.get(name(0, 1)).is_some());
        packed.put(name(16, 1), Arc::new(vec![16]));
        assert!(packed.get(name(0, 1)).is_some(), "just used");
        assert!(packed.get(name(1, 1)).is_none());
        packed.put(name(0, 2), Arc::new(vec![0]));
        assert!(packed.get(name(0, 1)).is_none());
    }
}
