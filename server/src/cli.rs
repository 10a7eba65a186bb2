//! The command line.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::admin;
use crate::audit;
use crate::backup;
use crate::bench;
use crate::clock::{SharedClock, SharedRng, SystemClock};
use crate::config::{self, Loaded};
use crate::http::openapi;
use crate::serve::{self, Database};
use crate::store::migrate;
use crate::tour::{self, Tour};

/// Ticketing that keeps working when the network does not.
#[derive(Debug, Parser)]
#[command(
    name = "hvflvspot",
    version,
    after_help = "Example:\n  hvflvspot serve --dev --listen 127.0.0.1:3000"
)]
struct Cli {
    #[command(flatten)]
    settings: SettingFlags,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command has. The environment (HVFLVSPOT_…) and a file can say the same and more.
#[derive(Debug, Args)]
struct SettingFlags {
    /// Settings file (TOML)
    #[arg(long, global = true, env = "HVFLVSPOT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the private PostgreSQL and of the master key
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address and port; port 0 takes a free one
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Development conveniences; never in production
    #[arg(long, global = true)]
    dev: bool,
    /// Any setting, as `hvflvspot config` names it; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C
    #[command(after_help = "Example:\n  HVFLVSPOT_DATA_DIR=/var/lib/hvflvspot hvflvspot serve")]
    Serve,
    /// Bring the database to this version's schema
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://… HVFLVSPOT_MASTER_KEY=… hvflvspot migrate")]
    Migrate,
    /// Write the whole database into a file, beside a running server too
    #[command(
        after_help = "Example:\n  hvflvspot --data-dir /var/lib/hvflvspot backup tickets.backup\n\nThe master key is not in it: keep a copy of that elsewhere."
    )]
    Backup { file: PathBuf },
    /// Fill a new data folder or an empty database from a backup, and start a new epoch for the gates
    #[command(
        after_help = "Example:\n  mkdir /var/lib/hvflvspot && cp master.key /var/lib/hvflvspot/\n  hvflvspot --data-dir /var/lib/hvflvspot restore tickets.backup"
    )]
    Restore { file: PathBuf },
    /// Print the OpenAPI document
    #[command(after_help = "Example:\n  hvflvspot openapi > openapi.json")]
    Openapi,
    /// Print every setting with its value and where it comes from
    #[command(after_help = "Example:\n  HVFLVSPOT_HOLD_MINUTES=20 hvflvspot config")]
    Config,
    /// The record of who did what
    #[command(subcommand, after_help = "Example:\n  hvflvspot audit verify")]
    Audit(Audit),
    /// Administrators of the platform
    #[command(subcommand, after_help = "Example:\n  hvflvspot admin create --email ada@example.org")]
    Admin(Admin),
    /// Perform the main job aloud against a running server, with real gates and a network that is really cut
    #[command(
        after_help = "Example:\n  hvflvspot tour --url http://127.0.0.1:3000\n\nExits 0 only if everything happened as it must."
    )]
    Tour {
        /// Address of the server
        #[arg(long, default_value = "http://127.0.0.1:3000")]
        url: String,
        /// An approved organizer's account; without one the tour signs up its own, which needs a server with --dev
        #[arg(long, requires = "password")]
        email: Option<String>,
        /// Its password
        #[arg(long, env = "HVFLVSPOT_TOUR_PASSWORD", hide_env_values = true)]
        password: Option<String>,
    },
    /// Measure, beside the floor of the same run
    #[command(after_help = "Example:\n  hvflvspot bench sale --seconds 10 --json")]
    Bench {
        what: bench::What,
        /// How long each side of a throughput bench runs
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Make an administrator; the password is asked for, or read from standard input
    #[command(after_help = "Example:\n  hvflvspot admin create --email ada@example.org < password.txt")]
    Create {
        /// The account's address
        #[arg(long)]
        email: String,
        /// Make an account that exists an administrator; it keeps its password
        #[arg(long)]
        promote: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Prove that nothing was changed, removed or slipped in; exits 1 and says where if something was
    #[command(
        after_help = "Example:\n  hvflvspot audit verify\n\nKeep the heads that it prints: a later run must reach them again."
    )]
    Verify,
}

/// Runs the process's command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("hvflvspot: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let loaded = load(&cli.settings)?;
    match cli.command {
        Command::Openapi => {
            println!("{}", openapi::document().to_pretty_json()?);
            return Ok(());
        }
        Command::Config => return print_config(&loaded, cli.settings.json),
        Command::Serve
        | Command::Backup { .. }
        | Command::Restore { .. }
        | Command::Audit(_)
        | Command::Migrate
        | Command::Admin(_)
        | Command::Tour { .. }
        | Command::Bench { .. } => {}
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&loaded.config.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    for name in &loaded.unknown_env {
        tracing::warn!("the environment variable {name} means nothing here");
    }
    // The current thread polls the future itself: a private PostgreSQL is tied to this thread's life.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Migrate => {
                let database = Database::open(&loaded.config, &SharedRng::from_system()).await?;
                let done = migrate::run(&database.endpoint).await;
                database.close().await?;
                done?;
                println!("the database is at schema {}", migrate::fingerprint());
                Ok(())
            }
            Command::Backup { file } => {
                backup::backup(&loaded.config, &file).await?;
                println!("backed up into {}", file.display());
                Ok(())
            }
            Command::Restore { file } => {
                let epoch = backup::restore(&loaded.config, &file).await?;
                println!("restored from {}; the gates start epoch {epoch}", file.display());
                Ok(())
            }
            Command::Audit(Audit::Verify) => {
                let reports = audit::verify(&loaded.config).await?;
                for report in &reports {
                    println!(
                        "{}",
                        if cli.settings.json { report.to_json().to_string() } else { report.to_string() }
                    );
                }
                let broken = reports.iter().filter(|r| r.broken.is_some()).count();
                anyhow::ensure!(broken == 0, "the audit of {broken} organizers is not what was written");
                Ok(())
            }
            Command::Admin(Admin::Create { email, promote }) => {
                let user = admin::create(&loaded.config, &email, promote).await?;
                if cli.settings.json {
                    println!(
                        "{}",
                        serde_json::json!({ "user_id": user.id, "email": user.email, "role": user.role })
                    );
                } else {
                    println!("{} is an administrator", user.email);
                }
                Ok(())
            }
            Command::Tour { url, email, password } => {
                let clock: SharedClock = Arc::new(SystemClock);
                let account = email.zip(password);
                let tour =
                    Tour { url, account, json: cli.settings.json, clock, rng: SharedRng::from_system() };
                anyhow::ensure!(tour::run(tour).await?, "not everything happened as it must");
                Ok(())
            }
            Command::Bench { what, seconds } => bench::run(what, seconds, cli.settings.json).await,
            _ => serve::run(loaded.config).await,
        }
    })
}

fn load(flags: &SettingFlags) -> anyhow::Result<Loaded> {
    let mut values = Vec::new();
    for text in &flags.set {
        let (key, value) =
            text.split_once('=').and_then(|(key, value)| Some((config::known_key(key)?, value))).ok_or_else(
                || anyhow::anyhow!("--set {text}: must be KEY=VALUE; `hvflvspot config` lists the keys"),
            )?;
        values.push((key, value.to_owned()));
    }
    for (key, value) in [("data_dir", &flags.data_dir), ("listen", &flags.listen)] {
        values.extend(value.clone().map(|value| (key, value)));
    }
    if flags.dev {
        values.push(("dev", "true".to_owned()));
    }
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    Ok(config::load(flags.config.as_deref(), env, &values)?)
}

fn print_config(loaded: &Loaded, json: bool) -> anyhow::Result<()> {
    for line in &loaded.lines {
        if json {
            let line = serde_json::json!({
                "key": line.key, "env": line.env, "value": line.value,
                "source": line.source.to_string(), "help": line.help,
            });
            println!("{line}");
        } else {
            println!("{:<28} {:<24} # {}: {}", line.key, line.value, line.source, line.help);
        }
    }
    for name in &loaded.unknown_env {
        eprintln!("hvflvspot: the environment variable {name} means nothing here");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut().filter(|c| c.get_name() != "help") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example:"), "{} has no example", command.get_name());
            for inner in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
                let help = inner.render_long_help().to_string();
                assert!(help.contains("Example:"), "{} has no example", inner.get_name());
            }
        }
    }
}
