//! A transaction that wakes the outbox after its COMMIT, if it may have put something there.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::{PgConnection, Postgres, Transaction};
use tokio::sync::Notify;

use super::outbox;

/// A transaction with its context set. Derefs to `PgConnection`: pass `&mut tx` (or `&mut *tx`) to
/// store functions. Rolls back when dropped: `tx.commit().await?` is a visible line in the handler.
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    outbox: Arc<Notify>,
    /// What [`outbox::written`] said when it began.
    written_before: u64,
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Postgres>, outbox: Arc<Notify>) -> Self {
        Self { inner, outbox, written_before: outbox::written() }
    }

    /// COMMIT. What it put into the outbox is on its way at once.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        let done = self.inner.commit().await;
        // Also after a COMMIT whose answer was lost, for it may have been done; and for messages of others that wrote
        // meanwhile, who wake the worker themselves: it looks once for nothing.
        if outbox::written() != self.written_before {
            self.outbox.notify_one();
        }
        done
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}
