//! A second, append-only copy of every own entry. One flipped bit in SQLite's write-ahead log silently drops
//! all later commits; this file still has them. Written in the background, synced within a second: a scan never
//! waits for it.
//!
//! Frame: `HVB1` ‖ length u32 BE of what follows the checksum ‖ CRC-32 u32 BE of it ‖ log_no u32 BE ‖ seq u64 BE ‖
//! hash 32 ‖ the entry's canonical bytes. A damaged frame costs itself only: reading goes on at the next marker.

use crate::clock::Clock;
use shared::bytes::Hash32;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

const MARKER: [u8; 4] = *b"HVB1";
const HEAD_LEN: usize = 12;
const FIXED_LEN: usize = 4 + 8 + 32;
/// No entry comes near this; a longer length field is damage.
const MAX_BODY: usize = 64 * 1024;
/// At the latest so long after a write it is synced.
const SYNC_AFTER: Duration = Duration::from_millis(500);

/// Where the box of a device stands.
#[must_use]
pub fn path(dir: &Path, device: shared::ids::DeviceId) -> PathBuf {
    dir.join(format!("blackbox-{device}.hvb"))
}

/// The boxes of a folder, each with whose it is.
#[must_use]
pub fn all(dir: &Path) -> Vec<(shared::ids::DeviceId, PathBuf)> {
    let found = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let whose = |path: &Path| path.file_stem()?.to_str()?.strip_prefix("blackbox-")?.parse().ok();
    found
        .filter(|path| path.extension().is_some_and(|e| e == "hvb"))
        .filter_map(|path| Some((whose(&path)?, path)))
        .collect()
}

/// Says that the key of a device is lost: its box stays, and is no sign any more of an enrolment that should be here.
///
/// # Errors
/// The disk's.
pub fn mark_lost(dir: &Path, device: shared::ids::DeviceId) -> std::io::Result<()> {
    std::fs::write(lost_mark(dir, device), "")
}

/// True if [`mark_lost`] has said so.
#[must_use]
pub fn is_lost(dir: &Path, device: shared::ids::DeviceId) -> bool {
    lost_mark(dir, device).exists()
}

fn lost_mark(dir: &Path, device: shared::ids::DeviceId) -> PathBuf {
    path(dir, device).with_extension("lost")
}

/// One entry as the box keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its log.
    pub log_no: u32,
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash32,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

impl Frame {
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(FIXED_LEN + self.bytes.len());
        body.extend_from_slice(&self.log_no.to_be_bytes());
        body.extend_from_slice(&self.seq.to_be_bytes());
        body.extend_from_slice(&self.hash.0);
        body.extend_from_slice(&self.bytes);
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&u32::try_from(body.len()).expect("an entry is far below 4 GiB").to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        out.extend_from_slice(&body);
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (log_no, rest) = body.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (hash, bytes) = rest.split_first_chunk::<32>()?;
        Some(Self {
            log_no: u32::from_be_bytes(*log_no),
            seq: u64::from_be_bytes(*seq),
            hash: Hash32(*hash),
            bytes: bytes.to_vec(),
        })
    }
}

/// Calls `each` with every sound frame, in the order of the file, with its offset. A missing file has none.
///
/// # Errors
/// The file system's.
pub fn read(path: &Path, mut each: impl FnMut(u64, Frame)) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut at = 0;
    while let Some(next) = next_marker(&mut reader, at)? {
        at = match read_frame(&mut reader)? {
            Some(frame) => {
                let end = next + (HEAD_LEN + FIXED_LEN + frame.bytes.len()) as u64;
                each(next, frame);
                end
            }
            // Not a frame after all: go on just behind its marker.
            None => next + 1,
        };
        let here = reader.stream_position()?;
        let back = i64::try_from(at).unwrap_or(i64::MAX) - i64::try_from(here).unwrap_or(i64::MAX);
        reader.seek_relative(back)?;
    }
    Ok(())
}

/// The frame at an offset that [`read`] gave.
///
/// # Errors
/// The file system's.
pub fn read_at(path: &Path, offset: u64) -> io::Result<Option<Frame>> {
    let mut reader = BufReader::new(File::open(path)?);
    reader.seek(SeekFrom::Start(offset))?;
    match next_marker(&mut reader, offset)? {
        Some(at) if at == offset => read_frame(&mut reader),
        _ => Ok(None),
    }
}

/// Reads up to and including the next marker; its offset.
fn next_marker(reader: &mut impl Read, mut at: u64) -> io::Result<Option<u64>> {
    let mut window = [0u8; 4];
    let mut filled = 0;
    let mut byte = [0u8; 1];
    loop {
        if reader.read(&mut byte)? == 0 {
            return Ok(None);
        }
        at += 1;
        window.rotate_left(1);
        window[3] = byte[0];
        filled += 1;
        if filled >= 4 && window == MARKER {
            return Ok(Some(at - 4));
        }
    }
}

/// Reads what follows a marker; `None` if it is cut off or damaged.
fn read_frame(reader: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0u8; 8];
    if !read_fully(reader, &mut head)? {
        return Ok(None);
    }
    let (len, crc) = head.split_at(4);
    let len = u32::from_be_bytes(len.try_into().expect("four bytes")) as usize;
    let crc = u32::from_be_bytes(crc.try_into().expect("four bytes"));
    if !(FIXED_LEN..=MAX_BODY).contains(&len) {
        return Ok(None);
    }
    let mut body = vec![0u8; len];
    if !read_fully(reader, &mut body)? || crc32fast::hash(&body) != crc {
        return Ok(None);
    }
    Ok(Frame::parse(&body))
}

fn read_fully(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

enum Message {
    Entry(Frame),
    /// Answer once everything before is on the disk (or failed to get there).
    Sync(SyncSender<()>),
}

/// The writing end. Dropping it writes and syncs what is left.
#[derive(Debug)]
pub struct BlackBox {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl BlackBox {
    /// Starts the background thread; the file is made with the first entry.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(path: PathBuf, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("blackbox".into())
            .spawn(move || Writer { path, file: None, pending: Vec::new() }.run(&receiver, &*clock))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Adds an entry that the database has committed. Never waits, never fails: what the box could not write is
    /// added at the next start.
    pub fn add(&self, frame: Frame) {
        if let Some(sender) = &self.sender {
            // The thread ends only after the sender is gone.
            let _ = sender.send(Message::Entry(frame));
        }
    }

    /// Waits until everything added is on the disk.
    pub fn sync(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.send(Message::Sync(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl Drop for BlackBox {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported already; the database has every entry.
            let _ = thread.join();
        }
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Frames that no write has taken yet.
    pending: Vec<u8>,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>, clock: &dyn Clock) {
        let mut dirty_since: Option<u64> = None;
        loop {
            let message = match dirty_since {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => {
                    let waited = Duration::from_nanos(clock.boottime_ns().saturating_sub(since));
                    receiver.recv_timeout(SYNC_AFTER.saturating_sub(waited))
                }
            };
            let mut done = Vec::new();
            let mut closing = false;
            let mut sync = false;
            match message {
                Ok(first) => {
                    for message in std::iter::once(first).chain(receiver.try_iter()) {
                        match message {
                            Message::Entry(frame) => frame.append_to(&mut self.pending),
                            Message::Sync(tell) => done.push(tell),
                        }
                    }
                    sync |= !done.is_empty();
                }
                Err(RecvTimeoutError::Timeout) => sync = true,
                Err(RecvTimeoutError::Disconnected) => (sync, closing) = (true, true),
            }
            let wrote = self.write();
            if let Err(error) = &wrote {
                tracing::warn!(%error, path = %self.path.display(), "the black box cannot be written");
            }
            if sync {
                if let Some(file) = &self.file
                    && let Err(error) = file.sync_data()
                {
                    tracing::warn!(%error, path = %self.path.display(), "the black box cannot be synced");
                }
                dirty_since = if wrote.is_err() && !closing { Some(clock.boottime_ns()) } else { None };
            } else if dirty_since.is_none() {
                dirty_since = Some(clock.boottime_ns());
            }
            for tell in done {
                let _ = tell.send(());
            }
            if closing {
                return;
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(open_private(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        // Other processes append to the same box: a frame must not be cut by another's.
        file.lock()?;
        let written = file.write_all(&self.pending);
        let unlocked = file.unlock();
        written?;
        self.pending.clear();
        unlocked
    }
}

pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    // A new file must survive a power cut by name too.
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use shared::time::UnixMillis;

    fn frame(seq: u64) -> Frame {
        let bytes = vec![u8::try_from(seq).unwrap(); 40];
        Frame { log_no: 1, seq, hash: shared::log::run::entry_hash(&bytes), bytes }
    }

    fn written(n: u64) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box");
        let clock = Arc::new(TestClock::at(UnixMillis(0)));
        let blackbox = BlackBox::start(path.clone(), clock).unwrap();
        (1..=n).for_each(|seq| blackbox.add(frame(seq)));
        blackbox.sync();
        (dir, path)
    }

    fn seqs(path: &Path) -> Vec<u64> {
        let mut found = Vec::new();
        read(path, |offset, frame| {
            assert_eq!(read_at(path, offset).unwrap().as_ref(), Some(&frame));
            found.push(frame.seq);
        })
        .unwrap();
        found
    }

    #[test]
    fn gives_back_what_was_added_in_order_and_goes_on_after_reopening() {
        let (_dir, path) = written(3);
        assert_eq!(seqs(&path), [1, 2, 3]);
        let again = BlackBox::start(path.clone(), Arc::new(TestClock::at(UnixMillis(0)))).unwrap();
        again.add(frame(4));
        drop(again);
        assert_eq!(seqs(&path), [1, 2, 3, 4]);
    }

    #[test]
    fn a_flipped_byte_anywhere_costs_one_frame_and_never_gives_a_wrong_one() {
        let (_dir, path) = written(3);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            std::fs::write(&path, &damaged).unwrap();
            let left = seqs(&path);
            assert_eq!(left.len(), 2, "byte {at}");
            read(&path, |_, f| assert_eq!(f, frame(f.seq))).unwrap();
        }
    }

    #[test]
    fn a_torn_tail_is_skipped_and_what_follows_it_is_read() {
        let (_dir, path) = written(2);
        let mut whole = std::fs::read(&path).unwrap();
        let half = whole.len() / 2;
        let torn = whole[half..half + 30].to_vec();
        whole.extend_from_slice(&torn);
        frame(3).append_to(&mut whole);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(seqs(&path), [1, 2, 3]);
    }

    #[test]
    fn a_missing_box_is_an_empty_one() {
        assert_eq!(seqs(Path::new("/nonexistent/box")), [0u64; 0]);
    }
}
