//! Finding PostgreSQL's programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// One installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    /// 15 of 15.4.
    pub major: u32,
}

impl Binaries {
    /// The newest one found, or the one of `wanted` major version, which made the data.
    /// `configured` is looked at alone if it is given.
    ///
    /// # Errors
    /// One line that names the package to install, or the upgrade to run.
    pub fn find(configured: Option<&Path>, wanted: Option<u32>) -> anyhow::Result<Self> {
        let mut found: Vec<Self> = match configured {
            Some(dir) => vec![dir.to_path_buf()],
            None => candidates(),
        }
        .into_iter()
        .filter_map(Self::at)
        .collect();
        found.sort_by_key(|b| std::cmp::Reverse(b.major));
        match (found.iter().find(|b| wanted.is_none_or(|major| b.major == major)), wanted) {
            (Some(binaries), _) => Ok(binaries.clone()),
            (None, Some(old)) => match found.first() {
                Some(new) => bail!(
                    "the data folder was made by PostgreSQL {old}, and only {} is installed: install the package \
                     postgresql-{old}, or upgrade the data with {}/pg_upgrade as docs/OPERATIONS.md shows",
                    new.major,
                    new.dir.display(),
                ),
                None => bail!("PostgreSQL {old} is not installed: install the package postgresql-{old}"),
            },
            (None, None) => match configured {
                Some(dir) => bail!("there is no PostgreSQL (postgres, initdb) in {}", dir.display()),
                None => bail!(
                    "PostgreSQL is not installed: install the package postgresql, or set HVFLVSPOT_PG_BIN to the \
                     folder of its programs, or DATABASE_URL to use another server"
                ),
            },
        }
    }

    /// A client program, as pg_dump, for a server elsewhere: the newest, for an older one cannot read a newer
    /// server. It may be installed without the server's own programs.
    ///
    /// # Errors
    /// There is none.
    pub fn client(configured: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
        let dirs = configured.map_or_else(candidates, |dir| vec![dir.to_path_buf()]);
        let found = dirs.into_iter().map(|dir| dir.join(name)).filter_map(|path| {
            let output = Command::new(&path).arg("--version").current_dir("/").output().ok()?;
            Some((major_of(&String::from_utf8_lossy(&output.stdout))?, path))
        });
        found.max_by_key(|(major, _)| *major).map(|(_, path)| path).with_context(|| {
            format!("{name} is not installed: it belongs to PostgreSQL's client programs (postgresql-client)")
        })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn at(dir: PathBuf) -> Option<Self> {
        if !dir.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(dir.join("postgres")).arg("--version").current_dir("/").output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir, major })
    }
}

/// Folders to look into, best first.
fn candidates() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for parent in ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/homebrew/opt"] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            dirs.push(entry.path().join("bin"));
        }
    }
    // Red Hat's packages put one folder beside the other: /usr/pgsql-16/bin.
    for entry in std::fs::read_dir("/usr").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("pgsql-") {
            dirs.push(entry.path().join("bin"));
        }
    }
    if let Some(path) = std::env::var_os("PATH") {
        dirs.extend(std::env::split_paths(&path));
    }
    dirs
}

/// 15 of "postgres (PostgreSQL) 15.4 (Debian 15.4-2)".
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("something else 15"), None);
    }

    #[test]
    fn a_missing_postgres_is_one_line_that_names_what_to_do() {
        let nowhere = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(nowhere.path()), None).unwrap_err().to_string();
        assert!(error.contains("there is no PostgreSQL") && !error.contains('\n'), "{error}");
        let error = Binaries::find(None, Some(3)).unwrap_err().to_string();
        assert!(error.contains("postgresql-3") && error.contains("pg_upgrade"), "{error}");
    }
}
