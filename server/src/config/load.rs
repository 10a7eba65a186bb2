//! Puts the layers together, and says where each value came from and all that is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;
use super::table::SETTINGS;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    BuiltIn,
    File(PathBuf),
    Environment(String),
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What `hvflvspot config` prints of one setting.
#[derive(Debug, Clone)]
pub struct Line {
    pub key: &'static str,
    pub env: String,
    /// Masked if secret.
    pub value: String,
    pub source: Source,
    pub help: &'static str,
}

/// A configuration and its origin.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub lines: Vec<Line>,
    /// `HVFLVSPOT_…` variables that mean nothing to us.
    pub unknown_env: Vec<String>,
}

/// Every problem of a configuration, one a line.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} problem{}:\n  {}", .0.len(), if .0.len() == 1 { "" } else { "s" }, .0.join("\n  "))]
pub struct Problems(pub Vec<String>);

/// Variables of ours that are read elsewhere.
const OTHER_ENV: &[&str] = &[
    "HVFLVSPOT_BIN_DIR",
    "HVFLVSPOT_CONFIG",
    "HVFLVSPOT_FAULT",
    "HVFLVSPOT_GATE",
    "HVFLVSPOT_GATE_CONNECT",
    "HVFLVSPOT_PIN",
    "HVFLVSPOT_TOUR_PASSWORD",
    "HVFLVSPOT_URL",
];

/// The table's own spelling of a key, if there is such a setting.
pub fn known_key(key: &str) -> Option<&'static str> {
    SETTINGS.iter().map(|s| s.key).find(|known| *known == key)
}

/// Puts the layers together. `flags` are (key, value); `file` must exist if it is named.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &[(&'static str, String)],
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let env: BTreeMap<String, String> = env.into_iter().collect();
    let from_file = file.map(|path| (path, read_file(path, &mut problems)));
    let mut config = Config::unset();
    let mut lines = Vec::new();
    for setting in SETTINGS {
        let name = setting.env();
        let of_env = |name: &str| {
            let value = env.get(name)?;
            Some((value.clone(), Source::Environment(name.to_owned())))
        };
        let (value, source) = flags
            .iter()
            .find(|(key, _)| *key == setting.key)
            .map(|(_, value)| (value.clone(), Source::Flag))
            .or_else(|| of_env(&name))
            .or_else(|| of_env(setting.also?))
            .or_else(|| {
                let (path, values) = from_file.as_ref()?;
                Some((values.get(setting.key)?.clone(), Source::File(path.to_path_buf())))
            })
            .unwrap_or_else(|| (setting.default.to_owned(), Source::BuiltIn));
        if let Err(problem) = (setting.apply)(&mut config, value.trim()) {
            let shown = if setting.secret { String::new() } else { format!(" (it is {value:?})") };
            problems.push(format!("{} from {source}: {problem}{shown}", setting.key));
        }
        let value = if setting.secret && !value.is_empty() { "********".to_owned() } else { value };
        lines.push(Line { key: setting.key, env: name, value, source, help: setting.help });
    }
    config.http.uncounted.clone_from(&config.trusted_proxies);
    if config.database_url.is_some() && config.master_key.is_none() {
        problems.push(
            "master_key: set HVFLVSPOT_MASTER_KEY when a database URL is given (`openssl rand -base64 32`); \
             several servers on one database share it"
                .to_owned(),
        );
    }
    let sms = [config.sms.account_sid.is_some(), config.sms.auth_token.is_some(), config.sms.from.is_some()];
    if sms.contains(&true) && sms.contains(&false) {
        problems.push("sms.account_sid, sms.auth_token, sms.from: one needs the others".to_owned());
    }
    if config.tls_cert.is_some() != config.tls_key.is_some() {
        problems.push("tls_cert, tls_key: one needs the other".to_owned());
    }
    if let Some(key) = &config.master_key
        && let Err(problem) = crate::keys::MasterKey::parse(key.reveal())
    {
        problems.push(format!("master_key: {problem}"));
    }
    let unknown_env = env
        .keys()
        .filter(|name| name.starts_with("HVFLVSPOT_") && !OTHER_ENV.contains(&name.as_str()))
        .filter(|name| SETTINGS.iter().all(|s| s.env() != **name))
        .cloned()
        .collect();
    if problems.is_empty() { Ok(Loaded { config, lines, unknown_env }) } else { Err(Problems(problems)) }
}

fn read_file(path: &Path, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let table = std::fs::read_to_string(path)
        .map_err(|e| e.to_string())
        .and_then(|text| text.parse::<toml::Table>().map_err(|e| e.to_string().trim_end().to_owned()));
    match table {
        Ok(table) => flatten("", &table, &mut values),
        Err(e) => problems.push(format!("{}: {e}", path.display())),
    }
    for key in values.keys().filter(|key| SETTINGS.iter().all(|s| s.key != *key)) {
        problems.push(format!("{}: there is no setting {key}", path.display()));
    }
    values
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, into),
            toml::Value::String(text) => drop(into.insert(key, text.clone())),
            toml::Value::Array(items) => {
                let items: Vec<String> =
                    items.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
                into.insert(key, items.join(","));
            }
            other => drop(into.insert(key, other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hvflvspot.toml");
        std::fs::write(&path, "hold_minutes = 5\n[gateway]\nlatency_ms = 7\nsuccess_rate = 0.5\n[http]\ncors_origins = [\"https://a.example\", \"https://b.example\"]\n").unwrap();
        let loaded = load(
            Some(&path),
            env(&[("HVFLVSPOT_HOLD_MINUTES", "6"), ("HVFLVSPOT_GATEWAY_LATENCY_MS", "8")]),
            &[("hold_minutes", "7".to_owned())],
        )
        .unwrap();
        assert_eq!(loaded.config.hold_minutes, 7);
        assert_eq!(loaded.config.gateway.latency_ms, 8);
        assert!((loaded.config.gateway.success_rate - 0.5).abs() < 1e-9);
        assert_eq!(loaded.config.http.cors_origins, ["https://a.example", "https://b.example"]);
        let source = |key| loaded.lines.iter().find(|l| l.key == key).unwrap().source.clone();
        assert_eq!(source("hold_minutes"), Source::Flag);
        assert_eq!(source("gateway.success_rate"), Source::File(path.clone()));
        assert_eq!(source("log"), Source::BuiltIn);
    }

    #[test]
    fn a_bad_configuration_names_all_of_its_problems_and_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.toml");
        std::fs::write(&path, "colour = 1\nhold_minutes = 0\n").unwrap();
        let problems = load(
            Some(&path),
            env(&[
                ("HVFLVSPOT_LISTEN", "nowhere"),
                ("DATABASE_URL", "postgres://u:hunter2@h/d"),
                ("TRUSTED_PROXIES", "10.0.0.0/40"),
                ("PUBLIC_URL", "tickets.example"),
            ]),
            &[],
        )
        .unwrap_err()
        .to_string();
        for word in ["colour", "hold_minutes", "listen", "trusted_proxies", "public_url", "master_key"] {
            assert!(problems.contains(word), "{word} is missing in {problems}");
        }
        assert!(problems.starts_with("the configuration has 6 problems"), "{problems}");
        assert!(!problems.contains("hunter2"));
    }

    #[test]
    fn secrets_are_masked_and_unknown_variables_are_named() {
        let key = "07".repeat(32);
        let loaded = load(
            None,
            env(&[
                ("DATABASE_URL", "postgres://u:hunter2@h/d"),
                ("HVFLVSPOT_MASTER_KEY", &key),
                ("HVFLVSPOT_HOLD_MINUTE", "5"),
                ("HVFLVSPOT_PIN", "1234"),
            ]),
            &[],
        )
        .unwrap();
        let shown = format!("{:?}", (&loaded.lines, &loaded.config));
        assert!(!shown.contains("hunter2") && !shown.contains(&key));
        assert_eq!(loaded.unknown_env, ["HVFLVSPOT_HOLD_MINUTE"]);
    }
}
