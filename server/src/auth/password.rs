//! Passwords are kept as argon2id (RFC 9106; m = 19 MiB, t = 2, p = 1), hashed on threads of their own,
//! no more at once than there are cores: a rush of sign-ins waits in line and slows nobody else down.

use std::sync::Arc;

use anyhow::Context as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::clock::SharedRng;
use crate::domain::account::Password;

/// Longest line before each core; who comes later is sent away. One hash takes 20 to 40 ms.
const LINE_PER_CORE: usize = 128;
/// What is checked where there is no account or no password, so that the answer takes as long.
/// Nobody knows its password: the output is 32 zero bytes.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The one place where passwords are hashed and compared.
#[derive(Debug, Clone)]
pub struct Passwords {
    at_work: Arc<Semaphore>,
    in_line: Arc<Semaphore>,
    rng: SharedRng,
}

/// Why no answer can be given.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("too many passwords are being checked just now")]
    Busy,
    #[error("a password could not be hashed")]
    Failed(#[source] anyhow::Error),
}

impl Passwords {
    pub fn new(rng: SharedRng) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            at_work: Arc::new(Semaphore::new(cores)),
            in_line: Arc::new(Semaphore::new(cores * LINE_PER_CORE)),
            rng,
        }
    }

    /// The PHC string to store.
    pub async fn hash(&self, password: &Password) -> Result<String, HashError> {
        let password = password.clone();
        let salt: [u8; 16] = self.rng.bytes();
        self.work(move || {
            let hash: PasswordHash =
                argon2().hash_password_with_salt(password.as_bytes(), &salt).context("argon2 refuses")?;
            Ok(hash.to_string())
        })
        .await
    }

    /// True if `password` is the one of `stored`. Takes as long where nothing is stored.
    pub async fn verify(&self, password: &Password, stored: Option<&str>) -> Result<bool, HashError> {
        let password = password.clone();
        let known = stored.is_some();
        let stored = stored.unwrap_or(NOBODY).to_owned();
        self.work(move || {
            let hash = PasswordHash::new(&stored).context("a stored hash is no PHC string")?;
            match argon2().verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(known),
                Err(Error::PasswordInvalid) => Ok(false),
                Err(e) => Err(e).context("a stored hash is of another kind"),
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, HashError> {
        let _in_line = self.in_line.try_acquire().map_err(|_| HashError::Busy)?;
        let at_work = Arc::clone(&self.at_work).acquire_owned().await.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(move || {
            // Stays with the thread when the request is given up: the thread works on.
            let _at_work = at_work;
            job()
        })
        .await
        .context("the hashing thread ended")
        .flatten()
        .map_err(HashError::Failed)
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(SharedRng::seeded(1))
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_the_promised_costs_and_a_salt_of_its_own() {
        let password = Password::new("correct horse battery");
        let (one, two) = (passwords().hash(&password).await.unwrap(), passwords());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        let first = two.hash(&password).await.unwrap();
        assert_ne!(first, two.hash(&password).await.unwrap());
        assert!(two.verify(&password, Some(&one)).await.unwrap());
        assert!(!two.verify(&Password::new("correct horse batterx"), Some(&one)).await.unwrap());
    }

    #[tokio::test]
    async fn nobodys_hash_costs_the_same_and_fits_no_password() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        let (here, real) = (Params::try_from(&hash).unwrap(), Params::DEFAULT);
        assert_eq!(
            (here.m_cost(), here.t_cost(), here.p_cost()),
            (real.m_cost(), real.t_cost(), real.p_cost())
        );
        assert_eq!(hash.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
        assert_eq!(hash.salt.unwrap().len(), 16);
        assert!(!passwords().verify(&Password::new(""), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_broken_stored_hash_is_an_error_and_no_entry() {
        let broken = passwords().verify(&Password::new("x"), Some("md5:123")).await;
        assert!(matches!(broken, Err(HashError::Failed(_))));
    }

    #[tokio::test]
    async fn beyond_the_line_one_is_sent_away_and_a_given_up_job_keeps_its_place() {
        let passwords = Passwords {
            at_work: Arc::new(Semaphore::new(1)),
            in_line: Arc::new(Semaphore::new(1)),
            rng: SharedRng::seeded(1),
        };
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let slow = passwords.clone();
        let task = tokio::spawn(async move {
            slow.work(move || {
                started.send(()).unwrap();
                wait.recv().unwrap();
                Ok(())
            })
            .await
        });
        has_started.await.unwrap();
        assert!(matches!(passwords.work(|| Ok(())).await, Err(HashError::Busy)));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(passwords.at_work.available_permits(), 0, "the thread still works");
        release.send(()).unwrap();
        let _ = passwords.at_work.acquire().await.unwrap();
    }
}
