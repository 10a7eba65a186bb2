//! Who runs PostgreSQL: it refuses to run as root, so root hands it to an unprivileged user.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

/// A user and its main group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// The user to change to; `None` if we are not root and stay who we are.
    pub fn to_become() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        ["postgres", "nobody"].iter().find_map(|name| find(&passwd, name)).map(Some).context(
            "PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it",
        )
    }

    /// Checks that the user may pass through every folder above and at `dir`.
    pub fn require_reach(self, dir: &Path) -> anyhow::Result<()> {
        for folder in dir.ancestors().filter(|p| !p.as_os_str().is_empty()) {
            let about = folder.metadata().with_context(|| format!("cannot look at {}", folder.display()))?;
            let bit = if about.uid() == self.uid {
                0o100
            } else if about.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            if about.mode() & bit == 0 {
                bail!(
                    "PostgreSQL runs as uid {} and cannot pass through {}: choose a data folder elsewhere \
                     (HVFLVSPOT_DATA_DIR), or `chmod o+x {1}`",
                    self.uid,
                    folder.display(),
                );
            }
        }
        Ok(())
    }
}

fn find(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let mut ids = fields.skip(1);
        Some(User { uid: ids.next()?.parse().ok()?, gid: ids.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0::/:/bin/sh\npostgresql:x:5:5::/:/x\npostgres:x:101:104:a,b:/var:/bin/bash\n";
        assert_eq!(find(passwd, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find(passwd, "nobody"), None);
    }

    #[test]
    fn a_folder_that_the_user_cannot_reach_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (closed, inner) = (dir.path().join("closed"), dir.path().join("closed/data"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = User { uid: 4_000_001, gid: 4_000_001 };
        let error = stranger.require_reach(&inner).unwrap_err().to_string();
        assert!(error.contains("closed:"), "{error}");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o711)).unwrap();
        stranger.require_reach(&inner).unwrap();
    }
}
