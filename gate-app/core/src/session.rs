//! Which process wrote an entry, and whether it still lives. An answer that a living process is about to print
//! must never be resumed by another one beside it.
//!
//! Each scanning process holds an exclusive lock on a file of its own for its lifetime; the system lets go of it
//! however the process ends.

use rand::Rng;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const FOLDER: &str = "sessions";
const DOOR: &str = "door";

/// This process's name in the log's rows. Never 0, which stands for no process.
#[derive(Debug)]
pub struct Session {
    /// The name.
    pub id: i64,
    path: PathBuf,
    // Held for its lock.
    _lock: File,
}

impl Session {
    /// Takes a new name and clears away those of processes that have ended.
    ///
    /// # Errors
    /// The file system's.
    pub fn start(dir: &Path, rng: &mut dyn Rng) -> io::Result<Self> {
        let folder = dir.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        // Nobody may look between the creation of a file and its locking.
        let door = private().open(folder.join(DOOR))?;
        door.lock()?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|n| n != DOOR) && !is_locked(&path)? {
                std::fs::remove_file(&path)?;
            }
        }
        let id = i64::try_from(rng.next_u64() >> 1).unwrap_or(i64::MAX).max(1);
        let path = file(dir, id);
        let lock = private().create_new(true).open(&path)?;
        lock.lock()?;
        door.unlock()?;
        Ok(Self { id, path, _lock: lock })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Left-over files are cleared by the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// True while the process of that name lives.
///
/// # Errors
/// The file system's.
pub fn is_alive(dir: &Path, id: i64) -> io::Result<bool> {
    let folder = dir.join(FOLDER);
    if !folder.exists() {
        return Ok(false);
    }
    let door = private().open(folder.join(DOOR))?;
    door.lock()?;
    let alive = is_locked(&file(dir, id));
    door.unlock()?;
    alive
}

fn file(dir: &Path, id: i64) -> PathBuf {
    dir.join(FOLDER).join(format!("{id:016x}"))
}

fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true).mode(0o600);
    options
}

fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn a_session_lives_exactly_as_long_as_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let first = Session::start(dir.path(), &mut rng).unwrap();
        let second = Session::start(dir.path(), &mut rng).unwrap();
        let (a, b) = (first.id, second.id);
        assert!(is_alive(dir.path(), a).unwrap() && is_alive(dir.path(), b).unwrap());
        drop(first);
        assert!(!is_alive(dir.path(), a).unwrap() && is_alive(dir.path(), b).unwrap());
        assert!(!is_alive(dir.path(), 0).unwrap());
    }
}
