//! Work that nobody waits for, on threads that give way to everything else.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// How far behind (`nice(2)`): about a tenth of the share of other threads while the processors are busy, as much as it
/// likes while they are not.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 10;

/// Does `work` on a thread of its own. A thread of the runtime's pool would not do: what gave way once may not hurry
/// again.
///
/// # Errors
/// If no thread is to be had, or the work panicked.
pub async fn unhurried<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().name("unhurried".to_owned()).spawn(move || {
        give_way();
        // Whoever asked may be gone.
        let _ = done.send(work());
    })?;
    result.await.map_err(|_| io::Error::other("what was to be done panicked"))
}

/// On Linux a thread has a niceness of its own; elsewhere it would be the whole server's.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::nice(BEHIND) {
        tracing::debug!("a thread could not give way: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn it_gives_way_and_nobody_else_does() -> io::Result<()> {
        let own = || rustix::process::getpriority_process(None);
        let before = own()?;
        assert_eq!(unhurried(own).await??, before + BEHIND);
        assert_eq!(own()?, before);
        Ok(())
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        assert!(unhurried(|| -> u32 { panic!("on purpose") }).await.is_err());
    }
}
