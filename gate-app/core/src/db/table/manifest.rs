//! The manifest in use, one per enrolment: the exact signed bytes of header and key list. Its ticket rows stand in
//! [`super::bucket`] and change in the same transaction.

use super::device::DeviceNo;
use crate::db::{int, uint};
use rusqlite::{Connection, OptionalExtension, named_params};
use shared::manifest::docs::ManifestVersion;
use shared::time::{UnixMillis, UnixSecs};

/// Its migration. `generation` rises with each change, so that another process sees cheaply that there was one.
pub const V1: &str = "
create table manifest (
  device_no integer primary key references device (no),
  generation integer not null,
  root_version integer not null,
  epoch integer not null,
  change_seq integer not null,
  as_of integer not null,
  header blob not null,
  key_list blob not null,
  server_time integer not null
) strict;
";

/// The manifest in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Counts local changes.
    pub generation: i64,
    /// Version of the trust root that it was checked with.
    pub root_version: u32,
    /// Its place.
    pub version: ManifestVersion,
    /// COSE_Sign1 of the header.
    pub header: Vec<u8>,
    /// COSE_Sign1 of the key list.
    pub key_list: Vec<u8>,
    /// When the server last said that this is its newest state.
    pub server_time: UnixMillis,
}

/// The manifest of an enrolment; `None` before the first download and after revocation.
///
/// # Errors
/// SQLite's.
pub fn get(db: &Connection, device: DeviceNo) -> rusqlite::Result<Option<Manifest>> {
    db.prepare_cached(
        "select generation, root_version, epoch, change_seq, as_of, header, key_list, server_time
           from manifest where device_no = ?1",
    )?
    .query_row([device.0], |r| {
        Ok(Manifest {
            generation: r.get(0)?,
            root_version: r.get(1)?,
            version: ManifestVersion {
                epoch: r.get(2)?,
                change_seq: uint(r.get(3)?),
                as_of: UnixSecs(r.get(4)?),
            },
            header: r.get(5)?,
            key_list: r.get(6)?,
            server_time: UnixMillis(r.get(7)?),
        })
    })
    .optional()
}

/// Only its version; `None` without a manifest.
///
/// # Errors
/// SQLite's.
pub fn version(db: &Connection, device: DeviceNo) -> rusqlite::Result<Option<ManifestVersion>> {
    db.prepare_cached("select epoch, change_seq, as_of from manifest where device_no = ?1")?
        .query_row([device.0], |r| {
            Ok(ManifestVersion { epoch: r.get(0)?, change_seq: uint(r.get(1)?), as_of: UnixSecs(r.get(2)?) })
        })
        .optional()
}

/// Only its generation; `None` without a manifest.
///
/// # Errors
/// SQLite's.
pub fn generation(db: &Connection, device: DeviceNo) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("select generation from manifest where device_no = ?1")?
        .query_row([device.0], |r| r.get(0))
        .optional()
}

/// Replaces it; `generation` of the argument is ignored and counted up instead.
///
/// # Errors
/// SQLite's.
pub fn put(db: &Connection, device: DeviceNo, m: &Manifest) -> rusqlite::Result<()> {
    db.execute(
        "insert into manifest (device_no, generation, root_version, epoch, change_seq, as_of, header, key_list,
             server_time)
           values (:device_no, 1, :root_version, :epoch, :change_seq, :as_of, :header, :key_list, :server_time)
           on conflict (device_no) do update set generation = generation + 1,
             root_version = excluded.root_version, epoch = excluded.epoch, change_seq = excluded.change_seq,
             as_of = excluded.as_of, header = excluded.header, key_list = excluded.key_list,
             server_time = max(server_time, excluded.server_time)",
        named_params! {
            ":device_no": device.0,
            ":root_version": m.root_version,
            ":epoch": m.version.epoch,
            ":change_seq": int(m.version.change_seq),
            ":as_of": m.version.as_of.0,
            ":header": m.header,
            ":key_list": m.key_list,
            ":server_time": m.server_time.0,
        },
    )?;
    Ok(())
}

/// Forgets it.
///
/// # Errors
/// SQLite's.
pub fn delete(db: &Connection, device: DeviceNo) -> rusqlite::Result<()> {
    db.execute("delete from manifest where device_no = ?1", [device.0])?;
    Ok(())
}
