//! Enrolments: one row per (machine, event). A row begins pending, with key and nonces, before the first byte goes
//! to the server, so that a crash never loses a key that the organizer is about to confirm.

use crate::db::unreadable;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey};
use shared::ids::{DeviceId, EventId, OrganizerId};
use zeroize::Zeroizing;

/// Its migration.
pub const V1: &str = "
create table device (
  no integer primary key,
  state text not null check (state in ('pending', 'active', 'leaving', 'revoked')),
  origin text not null,
  invitation text not null,
  seed blob not null check (length(seed) = 32),
  public_key blob not null check (length(public_key) = 32),
  device_nonce blob not null check (length(device_nonce) = 32),
  enrolment blob check (length(enrolment) = 16),
  server_nonce blob check (length(server_nonce) = 32),
  trust_root_hash blob check (length(trust_root_hash) = 32),
  organizer blob check (length(organizer) = 16),
  event blob check (length(event) = 16),
  device blob unique check (length(device) = 16),
  author integer references cert (no),
  log_no integer not null default 1 check (log_no > 0),
  created_at integer not null,
  check (state = 'pending' or (trust_root_hash is not null and organizer is not null and event is not null
    and device is not null and author is not null))
) strict;
";

/// Local number of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNo(pub i64);

/// How far an enrolment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The organizer has not confirmed yet.
    Pending,
    /// Scans.
    Active,
    /// The server says it is revoked: what is unsent goes first, then guests' data is wiped.
    Leaving,
    /// Wiped but for its log.
    Revoked,
}

impl State {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Leaving => "leaving",
            Self::Revoked => "revoked",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Leaving, Self::Revoked].into_iter().find(|s| s.as_str() == word)
    }
}

/// The device's secret key, wiped from memory when dropped.
#[derive(Clone)]
pub struct Seed(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Seed {
    /// The key it stands for.
    #[must_use]
    pub fn signing_key(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.0)
    }
}

/// An enrolment that was begun.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Local number.
    pub no: DeviceNo,
    /// `https://host[:port]` of the server.
    pub origin: String,
    /// What was scanned or typed; names the attempt when the command is run again.
    pub invitation: String,
    /// The key.
    pub seed: Seed,
    /// Its public half.
    pub public_key: PublicKey,
    /// Our nonce.
    pub device_nonce: Nonce32,
    /// From the server's challenge.
    pub challenge: Option<Challenge>,
}

/// What the server answered to the commitment.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    /// Names the attempt.
    pub enrolment: Nonce16,
    /// The server's nonce.
    pub server_nonce: Nonce32,
    /// Hash of the first trust root, as both sides show it.
    pub trust_root_hash: Hash32,
}

/// A confirmed enrolment.
#[derive(Debug, Clone)]
pub struct Device {
    /// Local number.
    pub no: DeviceNo,
    /// How far.
    pub state: State,
    /// `https://host[:port]` of the server.
    pub origin: String,
    /// The key.
    pub seed: Seed,
    /// Hash of the trust root that was pinned at enrolment.
    pub trust_root_hash: Hash32,
    /// The tenant.
    pub organizer: OrganizerId,
    /// The event.
    pub event: EventId,
    /// The device's id.
    pub device: DeviceId,
    /// Its local number as an author of entries.
    pub author: super::cert::Author,
    /// The log it writes now.
    pub log_no: u32,
}

const CONFIRMED: &str =
    "select no, state, origin, seed, trust_root_hash, organizer, event, device, author, log_no
   from device where state <> 'pending'";

/// All confirmed enrolments, oldest first.
///
/// # Errors
/// SQLite's.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<Device>> {
    db.prepare(&format!("{CONFIRMED} order by no"))?.query_map([], confirmed)?.collect()
}

/// One confirmed enrolment.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, no: DeviceNo) -> rusqlite::Result<Option<Device>> {
    db.prepare_cached(&format!("{CONFIRMED} and no = ?1"))?.query_row([no.0], confirmed).optional()
}

/// State and current log of an enrolment: what another process may have changed.
///
/// # Errors
/// SQLite's.
pub fn state_and_log(db: &Connection, no: DeviceNo) -> rusqlite::Result<(State, u32)> {
    db.prepare_cached("select state, log_no from device where no = ?1")?
        .query_row([no.0], |r| Ok((state(r, 0)?, r.get(1)?)))
}

/// The newest unfinished enrolment with this invitation at this server.
///
/// # Errors
/// SQLite's.
pub fn find_pending(db: &Connection, origin: &str, invitation: &str) -> rusqlite::Result<Option<Pending>> {
    db.query_row(
        "select no, origin, invitation, seed, public_key, device_nonce, enrolment, server_nonce, trust_root_hash
           from device where state = 'pending' and origin = ?1 and invitation = ?2 order by no desc limit 1",
        [origin, invitation],
        |r| {
            let challenge = match (r.get(6)?, r.get(7)?, r.get(8)?) {
                (Some(enrolment), Some(server_nonce), Some(hash)) => Some(Challenge {
                    enrolment: Nonce16(enrolment),
                    server_nonce: Nonce32(server_nonce),
                    trust_root_hash: Hash32(hash),
                }),
                _ => None,
            };
            Ok(Pending {
                no: DeviceNo(r.get(0)?),
                origin: r.get(1)?,
                invitation: r.get(2)?,
                seed: Seed(Zeroizing::new(r.get(3)?)),
                public_key: PublicKey(r.get(4)?),
                device_nonce: Nonce32(r.get(5)?),
                challenge,
            })
        },
    )
    .optional()
}

/// Begins an enrolment; the key is durable once the caller's transaction commits.
///
/// # Errors
/// SQLite's.
pub fn insert_pending(
    db: &Connection,
    origin: &str,
    invitation: &str,
    seed: &Seed,
    device_nonce: &Nonce32,
    now: shared::time::UnixMillis,
) -> rusqlite::Result<DeviceNo> {
    db.execute(
        "insert into device (state, origin, invitation, seed, public_key, device_nonce, created_at)
           values ('pending', :origin, :invitation, :seed, :public_key, :device_nonce, :created_at)",
        named_params! {
            ":origin": origin,
            ":invitation": invitation,
            ":seed": &seed.0[..],
            ":public_key": seed.signing_key().verifying_key().as_bytes(),
            ":device_nonce": device_nonce.0,
            ":created_at": now.0,
        },
    )?;
    Ok(DeviceNo(db.last_insert_rowid()))
}

/// Keeps the server's challenge.
///
/// # Errors
/// SQLite's.
pub fn set_challenge(db: &Connection, no: DeviceNo, challenge: &Challenge) -> rusqlite::Result<()> {
    db.execute(
        "update device set enrolment = ?2, server_nonce = ?3, trust_root_hash = ?4
           where no = ?1 and state = 'pending'",
        (no.0, challenge.enrolment.0, challenge.server_nonce.0, challenge.trust_root_hash.0),
    )?;
    Ok(())
}

/// The organizer confirmed.
///
/// # Errors
/// SQLite's.
pub fn activate(
    db: &Connection,
    no: DeviceNo,
    organizer: OrganizerId,
    event: EventId,
    device: DeviceId,
    author: super::cert::Author,
) -> rusqlite::Result<()> {
    db.execute(
        "update device set state = 'active', organizer = ?2, event = ?3, device = ?4, author = ?5
           where no = ?1 and state = 'pending'",
        (no.0, organizer.as_bytes(), event.as_bytes(), device.as_bytes(), author.0),
    )?;
    Ok(())
}

/// Drops an enrolment that will never be confirmed, with its key.
///
/// # Errors
/// SQLite's.
pub fn delete_pending(db: &Connection, no: DeviceNo) -> rusqlite::Result<()> {
    db.execute("delete from device where no = ?1 and state = 'pending'", [no.0])?;
    Ok(())
}

/// Moves on in the order active → leaving → revoked, never back.
///
/// # Errors
/// SQLite's.
pub fn set_state(db: &Connection, no: DeviceNo, to: State) -> rusqlite::Result<()> {
    db.execute(
        "update device set state = ?2 where no = ?1 and state <> 'revoked' and state <> 'pending'",
        (no.0, to.as_str()),
    )?;
    Ok(())
}

/// From now on entries go into another log.
///
/// # Errors
/// SQLite's.
pub fn set_log_no(db: &Connection, no: DeviceNo, log_no: u32) -> rusqlite::Result<()> {
    db.execute("update device set log_no = ?2 where no = ?1 and log_no < ?2", (no.0, log_no))?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("unknown state of an enrolment")]
struct UnknownState;

fn state(r: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    State::parse(r.get_ref(column)?.as_str()?).ok_or_else(|| unreadable(column, UnknownState))
}

fn confirmed(r: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        no: DeviceNo(r.get(0)?),
        state: state(r, 1)?,
        origin: r.get(2)?,
        seed: Seed(Zeroizing::new(r.get(3)?)),
        trust_root_hash: Hash32(r.get(4)?),
        organizer: OrganizerId::from_bytes(r.get(5)?),
        event: EventId::from_bytes(r.get(6)?),
        device: DeviceId::from_bytes(r.get(7)?),
        author: super::cert::Author(r.get(8)?),
        log_no: r.get(9)?,
    })
}
