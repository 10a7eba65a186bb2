//! The private PostgreSQL: a cluster of our own in the data folder, reached by a unix socket alone,
//! run as an unprivileged user when we are root, gone when we are gone.
//!
//! ```text
//! DATA_DIR/lock           held by the running server
//! DATA_DIR/postgres/      the cluster
//! DATA_DIR/postgres.log   what it says
//! DATA_DIR/run/           its socket (a folder under the temporary one if this path is too long)
//! ```

mod binaries;
mod cluster;
mod user;

pub use binaries::Binaries;
pub use cluster::{Cluster, Settings};
