//! Where the database is and as whom to connect.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;

use crate::keys::MasterKey;

/// The database of the private cluster.
pub const DATABASE: &str = "hvflvspot";
/// The superuser of the private cluster.
pub const CLUSTER_ADMIN: &str = "hvflvspot_cluster";

/// The port of the private cluster, where nothing listens: its socket is named after it.
pub const PORT: u16 = 5432;

const OWNER: &str = "hvflvspot_owner";
const APP: &str = "hvflvspot_app";
const WORKER: &str = "hvflvspot_worker";

/// A database and its passwords, if it needs any.
#[derive(Clone)]
pub struct Endpoint {
    admin: PgConnectOptions,
    /// `None` for a cluster that trusts its socket.
    login: Option<Login>,
}

/// How app and worker log in where passwords are asked for.
#[derive(Clone)]
struct Login {
    app: String,
    worker: String,
    /// The master key that the passwords come from.
    key_id: [u8; 4],
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.describe())
    }
}

impl Endpoint {
    /// A cluster that listens on a unix socket in `socket_dir` and trusts who can reach it.
    pub fn private(socket_dir: &Path, database: &str) -> Self {
        let admin = PgConnectOptions::new_without_pgpass()
            .socket(socket_dir)
            // A part of the socket's name. PGPORT is meant for others.
            .port(PORT)
            .username(CLUSTER_ADMIN)
            .database(database);
        Self { admin, login: None }
    }

    /// The database of a `DATABASE_URL`. Its user makes the roles and migrates; app and worker get
    /// passwords derived from the master key, so that nothing more has to be configured.
    pub fn external(url: &str, key: &MasterKey) -> Result<Self, sqlx::Error> {
        let admin: PgConnectOptions = url.parse()?;
        let login =
            Login { app: key.derive_password(APP), worker: key.derive_password(WORKER), key_id: key.id() };
        Ok(Self { admin, login: Some(login) })
    }

    /// The same cluster, another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { admin: self.admin.clone().database(database), login: self.login.clone() }
    }

    /// As whoever may create roles.
    pub fn admin(&self) -> PgConnectOptions {
        self.admin.clone().application_name("hvflvspot migrate")
    }

    /// As the owner of every table: for tests and tools that arrange data. Where passwords are needed,
    /// the administrator's user takes the role instead.
    pub fn owner(&self) -> PgConnectOptions {
        self.admin.clone().username(OWNER).application_name("hvflvspot owner")
    }

    pub fn app(&self) -> PgConnectOptions {
        self.role(APP, self.login.as_ref().map(|l| &l.app)).application_name("hvflvspot app")
    }

    pub fn worker(&self) -> PgConnectOptions {
        self.role(WORKER, self.login.as_ref().map(|l| &l.worker)).application_name("hvflvspot worker")
    }

    /// The roles that log in with a password of ours, for the migration runner to set.
    pub(super) fn role_passwords(&self) -> Vec<(&'static str, &str)> {
        match &self.login {
            Some(login) => vec![(APP, &login.app), (WORKER, &login.worker)],
            None => Vec::new(),
        }
    }

    /// The master key behind the passwords.
    pub(super) fn key_id(&self) -> Option<[u8; 4]> {
        self.login.as_ref().map(|login| login.key_id)
    }

    /// The role that owns every table.
    pub(crate) fn owner_role(&self) -> &'static str {
        OWNER
    }

    /// The folder of the unix socket, if it is reached by one.
    pub fn socket_dir(&self) -> Option<&Path> {
        self.admin.get_socket().map(|path| path.as_path())
    }

    /// The database's name.
    pub fn database_name(&self) -> &str {
        self.admin.get_database().unwrap_or(DATABASE)
    }

    /// What libpq's programs need to go where [`Endpoint::admin`] goes; `url` is the one this was made from.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn libpq(&self, url: Option<&str>) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut all = vec![
            ("PGDATABASE", self.database_name().to_owned()),
            ("PGUSER", self.admin.get_username().to_owned()),
            ("PGPORT", self.admin.get_port().to_string()),
            (
                "PGHOST",
                match self.socket_dir() {
                    Some(dir) => dir.display().to_string(),
                    None => self.admin.get_host().to_owned(),
                },
            ),
        ];
        let Some(url) = url else { return Ok(all) };
        // The options keep the password to themselves.
        let url = reqwest::Url::parse(url).context("the database URL cannot be read")?;
        let query =
            |wanted: &str| url.query_pairs().find(|(key, _)| key == wanted).map(|(_, v)| v.into_owned());
        let password =
            url.password().map(|p| percent_encoding::percent_decode_str(p).decode_utf8_lossy().into_owned());
        all.extend(password.or_else(|| query("password")).map(|p| ("PGPASSWORD", p)));
        all.extend(
            query("sslmode").or_else(|| query("ssl-mode")).map(|m| ("PGSSLMODE", m.to_ascii_lowercase())),
        );
        all.extend(query("sslcert").map(|f| ("PGSSLCERT", f)));
        all.extend(query("sslkey").map(|f| ("PGSSLKEY", f)));
        all.extend(query("sslrootcert").map(|f| ("PGSSLROOTCERT", f)));
        Ok(all)
    }

    /// Host and database, without user or password: for messages and logs.
    pub fn describe(&self) -> String {
        let host = match self.admin.get_socket() {
            Some(dir) => dir.display().to_string(),
            None => format!("{}:{}", self.admin.get_host(), self.admin.get_port()),
        };
        format!("{host}/{}", self.admin.get_database().unwrap_or("?"))
    }

    fn role(&self, role: &str, password: Option<&String>) -> PgConnectOptions {
        let options = self.admin.clone().username(role);
        match password {
            Some(password) => options.password(password),
            None => options,
        }
    }
}
