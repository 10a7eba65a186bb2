//! A data folder on a small disk of its own, which only the app sees; and a folder that nobody may write.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What is done to the data folder before the app begins.
#[derive(Debug, Clone, Copy)]
pub enum Disk {
    /// An empty disk of so many MiB is mounted there.
    Small(u32),
    /// It stays as it is, and nothing can be written to it.
    ReadOnly,
}

/// A program that starts `app` in a world of its own where its data folder is such a disk. Root, or a system that gives
/// namespaces to everybody, is needed.
///
/// # Errors
/// If it cannot be written.
pub fn program(folder: &Path, app: &Path, disk: Disk) -> Result<PathBuf> {
    let mount = match disk {
        Disk::Small(mib) => format!(r#"mount -t tmpfs -o size={mib}m tmpfs "$HVFLVSPOT_GATE_DATA""#),
        Disk::ReadOnly => r#"mount --bind "$HVFLVSPOT_GATE_DATA" "$HVFLVSPOT_GATE_DATA" && mount -o remount,bind,ro "$HVFLVSPOT_GATE_DATA""#.to_owned(),
    };
    let app = app.to_str().context("a readable path")?;
    let namespace = if rustix::process::geteuid().is_root() { "--mount" } else { "--map-root-user --mount" };
    let path = folder.join("on-its-own-disk");
    let script = format!(
        "#!/bin/sh\nmkdir -p \"$HVFLVSPOT_GATE_DATA\"\nexec unshare {namespace} sh -c '{mount} && exec \"{app}\" \"$@\"' sh \"$@\"\n"
    );
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The data folder as the app with this process id sees it.
#[must_use]
pub fn seen_by(app: u32, data: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{app}/root{}", data.display()))
}

/// Fills the disk to its last byte.
///
/// # Errors
/// If the file cannot be made.
pub fn fill(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("filler");
    let mut file = std::fs::File::create(&path)?;
    for piece in [64 * 1024, 1024, 1] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
    Ok(path)
}
