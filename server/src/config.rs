//! Settings: built-in < file (TOML) < environment < flags. One table names them all; every value knows
//! where it came from, and a bad configuration is refused with all of its problems at once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use zeroize::Zeroizing;

use crate::adapters::mail::smtp;
use crate::adapters::sms;
use crate::domain::notification::Channel;
use crate::domain::phone;

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub database_url: Option<Secret>,
    pub database_connections: u32,
    /// A folder with `postgres` and `initdb` to use for the private cluster.
    pub pg_bin: Option<PathBuf>,
    pub master_key: Option<Secret>,
    /// Where clients reach us, without a slash at the end.
    pub public_url: Option<String>,
    /// Where we listen, once we do. No setting.
    pub bound_url: Option<String>,
    /// With `tls_key`: serve HTTPS.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub trusted_proxies: Vec<Net>,
    /// Opens health details and metrics to whoever sends it as a bearer token.
    pub health_token: Option<Secret>,
    /// Development: demo conveniences for loopback peers; never in production.
    pub dev: bool,
    /// A `tracing` filter.
    pub log: String,
    pub hold_minutes: u32,
    pub auth: AuthConfig,
    pub supabase: SupabaseConfig,
    pub mail: MailConfig,
    pub sms: SmsConfig,
    pub simulated: SimulatedConfig,
    pub messages_per_day: u32,
    /// Origins that may be called although they are not public.
    pub outside_exceptions: Vec<String>,
    pub gateway: GatewayConfig,
    pub stripe: StripeConfig,
    pub http: HttpConfig,
    pub limits: LimitsConfig,
    /// Font files for PDFs, beyond those built in.
    pub fonts: Vec<PathBuf>,
}

/// Calls a minute, counted in each server's memory; 0 is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitsConfig {
    pub purchase: Rate,
    pub validate: Rate,
    pub enrol: Rate,
    pub search: Rate,
    pub recover: Rate,
}

/// Calls a minute of each client address and of each account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    pub client: u32,
    pub account: u32,
}

/// Accounts.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Whether new addresses count as confirmed without a mail; unset: in development.
    pub autoconfirm: Option<bool>,
    /// Attempts to sign in, for each account and each client address.
    pub logins_per_minute: u32,
    /// New accounts of each client address.
    pub signups_per_minute: u32,
    /// Mails that may be asked for, for each address written to; ten times as many for each client.
    pub mails_per_hour: u32,
    /// Codes that mails may carry in 24 hours, for each address written to: each may be guessed five times.
    pub mail_codes_per_day: u32,
    /// How long a mail's link and code are good.
    pub otp_minutes: u32,
    /// Origins besides our own that mails' links may lead back to.
    pub redirect_urls: Vec<String>,
    /// How long after its use a refresh token may be sent again by who lost the answer.
    pub refresh_grace: Duration,
}

/// A Supabase project that vouches for users.
#[derive(Debug, Clone)]
pub struct SupabaseConfig {
    /// Without a slash at the end; unset: there is none.
    pub url: Option<String>,
    pub jwks_url: Option<String>,
    /// The legacy secret of HS256 tokens.
    pub jwt_secret: Option<Secret>,
    pub audience: String,
    /// The project confirms addresses before it signs anybody in.
    pub emails_confirmed: bool,
}

/// How mail leaves.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// With a password in it, hence a secret.
    pub smtp_url: Option<Secret>,
    /// The address that mails come from.
    pub from: String,
}

/// An account at a provider of text messages that speaks Twilio's interface.
#[derive(Debug, Clone, Default)]
pub struct SmsConfig {
    pub account_sid: Option<String>,
    pub auth_token: Option<Secret>,
    /// A number, a sender's name, or a messaging service.
    pub from: Option<String>,
    /// Without a slash at the end.
    pub api_base: String,
    /// How numbers begin that messages go to; empty: all.
    pub prefixes: Vec<String>,
    pub codes_per_day: u32,
}

/// Providers of messages that are none.
#[derive(Debug, Clone, Default)]
pub struct SimulatedConfig {
    /// The channels that go there.
    pub channels: Vec<Channel>,
    /// Shares of the messages, 0 to 1.
    pub failure_rate: f64,
    pub refusal_rate: f64,
    pub latency_ms: u64,
}

/// The simulated payment gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Unset: wherever no real provider is set up.
    pub enabled: Option<bool>,
    /// The same seed gives the same outcomes.
    pub seed: Option<u64>,
    /// 0 to 1.
    pub success_rate: f64,
    pub latency_ms: u64,
}

/// The server's own account with Stripe, for organizers that have none of theirs.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    pub secret_key: Option<Secret>,
    pub publishable_key: Option<String>,
    /// Of the webhook endpoint; several while one is being changed.
    pub webhook_secrets: Vec<Secret>,
    /// Without a slash at the end.
    pub api_base: String,
}

/// Limits of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub body_limit: usize,
    pub request_timeout: Duration,
    /// For a request's head to arrive whole.
    pub header_timeout: Duration,
    /// How long a stop waits for requests in flight.
    pub shutdown_timeout: Duration,
    pub max_connections: usize,
    /// Of these, those of one address.
    pub max_connections_per_client: usize,
    /// Addresses whose connections are not counted: the trusted proxies.
    pub uncounted: Vec<Net>,
    /// Requests at work at once; more get 503.
    pub max_in_flight: usize,
    /// Origins that browsers may call from; `*` for all.
    pub cors_origins: Vec<String>,
}

/// A value that is never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An address range in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    addr: IpAddr,
    bits: u8,
}

impl Net {
    pub fn contains(&self, other: IpAddr) -> bool {
        fn same(a: u128, b: u128, width: u32, bits: u8) -> bool {
            let shift = width - u32::from(bits);
            bits == 0 || a >> shift == b >> shift
        }
        match (self.addr, other.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32, self.bits),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

impl std::str::FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (addr, bits) = text.split_once('/').map_or((text, None), |(addr, bits)| (addr, Some(bits)));
        let addr: IpAddr = addr.parse().map_err(|_| format!("{text:?} is no address"))?;
        let width = if addr.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| format!("{text:?} is no address range"))?;
        if bits > width {
            return Err(format!("{text:?} is no address range"));
        }
        Ok(Self { addr, bits })
    }
}

/// One line of the table.
struct Setting {
    /// As in the file: `http.body_limit`. The environment's name follows from it.
    key: &'static str,
    /// A name in the environment that works besides.
    also: Option<&'static str>,
    default: &'static str,
    secret: bool,
    help: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    fn env(&self) -> String {
        format!("HVFLVSPOT_{}", self.key.to_uppercase().replace('.', "_"))
    }
}

macro_rules! settings {
    ($($key:literal $(or $also:literal)? = $default:literal $(secret $secret:literal)?, $help:literal => $apply:expr;)*) => {
        &[$(Setting {
            key: $key,
            also: [$(Some($also),)? None][0],
            default: $default,
            secret: [$($secret,)? false][0],
            help: $help,
            apply: $apply,
        },)*]
    };
}

static SETTINGS: &[Setting] = settings! {
    "data_dir" = "data", "folder of the private PostgreSQL and of the master key"
        => |c, v| { c.data_dir = PathBuf::from(v); Ok(()) };
    "listen" = "127.0.0.1:3000", "address and port; port 0 takes a free one"
        => |c, v| put(&mut c.listen, v, "an address and port, as 127.0.0.1:3000");
    "database_url" or "DATABASE_URL" = "" secret true, "PostgreSQL to use instead of the private one"
        => |c, v| { c.database_url = optional(v).map(Secret::new); Ok(()) };
    "database_connections" = "16", "connections of the app; jobs get a quarter more"
        => |c, v| { put(&mut c.database_connections, v, "a number")?; within(c.database_connections, 2, 500) };
    "pg_bin" = "", "folder of PostgreSQL's programs, if they are not found"
        => |c, v| { c.pg_bin = optional(v).map(PathBuf::from); Ok(()) };
    "master_key" = "" secret true, "32 bytes in base64 or hex; by default DATA_DIR/master.key, required with a database URL"
        => |c, v| { c.master_key = optional(v).map(Secret::new); Ok(()) };
    "public_url" or "PUBLIC_URL" = "", "where clients reach the server, as https://tickets.example"
        => public_url;
    "tls_cert" or "TLS_CERT" = "", "certificate chain (PEM) to serve HTTPS ourselves; needs tls_key"
        => |c, v| { c.tls_cert = optional(v).map(PathBuf::from); Ok(()) };
    "tls_key" or "TLS_KEY" = "", "its private key (PEM)"
        => |c, v| { c.tls_key = optional(v).map(PathBuf::from); Ok(()) };
    "trusted_proxies" or "TRUSTED_PROXIES" = "", "addresses or ranges whose X-Forwarded-For is believed, with commas"
        => |c, v| { c.trusted_proxies = list(v).map(str::parse).collect::<Result<_, _>>()?; Ok(()) };
    "health_token" = "" secret true, "bearer token for health details from elsewhere"
        => |c, v| { c.health_token = optional(v).map(Secret::new); Ok(()) };
    "dev" = "false", "development conveniences; never in production"
        => |c, v| put(&mut c.dev, v, "true or false");
    "log" = "info", "what is logged, as info,sqlx=warn"
        => log_filter;
    "hold_minutes" = "15", "how long an unpaid booking keeps its places"
        => |c, v| { put(&mut c.hold_minutes, v, "a number of minutes")?; within(c.hold_minutes, 1, 1_440) };
    "auth.autoconfirm" = "", "whether new addresses count as confirmed without a mail; by default with dev only"
        => |c, v| { c.auth.autoconfirm = optional(v).map(|v| parse(&v, "true or false")).transpose()?; Ok(()) };
    "auth.logins_per_minute" = "5", "attempts to sign in, for each account and each client address"
        => |c, v| { put(&mut c.auth.logins_per_minute, v, "a number")?; within(c.auth.logins_per_minute, 1, 1_000) };
    "auth.signups_per_minute" = "20", "new accounts of each client address; thirty times as many with dev"
        => |c, v| { put(&mut c.auth.signups_per_minute, v, "a number")?; within(c.auth.signups_per_minute, 1, 1_000) };
    "auth.mails_per_hour" = "10", "mails that may be asked for, for each address; ten times as many for each client; thirty times with dev"
        => |c, v| { put(&mut c.auth.mails_per_hour, v, "a number")?; within(c.auth.mails_per_hour, 1, 10_000) };
    "auth.mail_codes_per_day" = "20", "codes to type that mails carry within 24 hours, for each address; then links alone; thirty times with dev"
        => |c, v| { put(&mut c.auth.mail_codes_per_day, v, "a number")?; within(c.auth.mail_codes_per_day, 1, 1_000) };
    "auth.otp_minutes" = "60", "how long a mail's link and code are good"
        => |c, v| { put(&mut c.auth.otp_minutes, v, "a number of minutes")?; within(c.auth.otp_minutes, 1, 1_440) };
    "auth.redirect_urls" = "", "origins besides public_url that mails' links may lead back to, with commas; with dev also any on this machine"
        => |c, v| { c.auth.redirect_urls = list(v).map(redirect_origin).collect::<Result<_, _>>()?; Ok(()) };
    "auth.refresh_grace_secs" = "0", "how long a used refresh token may be sent again without ending its session"
        => |c, v| {
            let secs: u64 = parse(v, "a number of seconds")?;
            c.auth.refresh_grace = Duration::from_secs(secs);
            within(secs, 0, 60)
        };
    "supabase.url" = "", "a Supabase project whose users may come in, as https://abc.supabase.co"
        => |c, v| { c.supabase.url = optional(v.trim_end_matches('/')); web_address(v) };
    "supabase.jwks_url" = "", "its public keys; by default URL/auth/v1/.well-known/jwks.json"
        => |c, v| { c.supabase.jwks_url = optional(v); web_address(v) };
    "supabase.jwt_secret" = "" secret true, "its legacy secret, if it still signs tokens with HS256"
        => |c, v| {
            c.supabase.jwt_secret = optional(v).map(Secret::new);
            if (1..32).contains(&v.len()) { Err("must have 32 characters at least".to_owned()) } else { Ok(()) }
        };
    "supabase.audience" = "authenticated", "the audience of its access tokens"
        => |c, v| { c.supabase.audience = v.to_owned(); if v.is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) } };
    "supabase.emails_confirmed" = "false", "whether it confirms addresses before it signs anybody in"
        => |c, v| put(&mut c.supabase.emails_confirmed, v, "true or false");
    "mail.smtp_url" = "" secret true, "mail server, as smtps://user:password@host or smtp://host:587 (STARTTLS); without it mails wait"
        => |c, v| {
            c.mail.smtp_url = optional(v).map(Secret::new);
            optional(v).map_or(Ok(()), |url| smtp::check(&url))
        };
    "mail.from" = "HVFLVSPOT <noreply@localhost>", "the address that mails come from"
        => |c, v| { c.mail.from = v.to_owned(); smtp::check_from(v) };
    "sms.account_sid" = "", "text messages: the account at Twilio, or at a provider with the same interface"
        => |c, v| {
            c.sms.account_sid = optional(v);
            let plain = v.len() <= 64 && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if plain { Ok(()) } else { Err("must be letters and digits, as AC0123…".to_owned()) }
        };
    "sms.auth_token" = "" secret true, "text messages: the account's token"
        => |c, v| { c.sms.auth_token = optional(v).map(Secret::new); Ok(()) };
    "sms.from" = "", "text messages: the number, the name or the messaging service (MG…) that they come from"
        => |c, v| { c.sms.from = optional(v); sms::check_from(v) };
    "sms.api_base" = "https://api.twilio.com", "text messages: the provider's address, before /2010-04-01/Accounts/…"
        => |c, v| {
            v.trim_end_matches('/').clone_into(&mut c.sms.api_base);
            if v.is_empty() { Err("must not be empty".to_owned()) } else { web_address(v) }
        };
    "sms.prefixes" = "", "text messages go to numbers that begin so alone, with commas, as +43,+49; without, to all"
        => |c, v| {
            c.sms.prefixes = list(v).map(str::to_owned).collect();
            let good = c.sms.prefixes.iter().all(|prefix| phone::is_prefix(prefix));
            if good { Ok(()) } else { Err("must be beginnings of international numbers, as +43,+49".to_owned()) }
        };
    "sms.codes_per_day" = "5", "codes that are sent to a number, and for an account, within 24 hours; thirty times with dev"
        => |c, v| { put(&mut c.sms.codes_per_day, v, "a number")?; within(c.sms.codes_per_day, 1, 1_000) };
    "notifications.messages_per_day" = "20", "messages that an organizer may write to the holders of its tickets within 24 hours"
        => |c, v| { put(&mut c.messages_per_day, v, "a number")?; within(c.messages_per_day, 1, 10_000) };
    "outside.exceptions" = "", "origins that others may have us call although they are not https or not public, with commas, as a push service of your own"
        => |c, v| { c.outside_exceptions = list(v).map(redirect_origin).collect::<Result<_, _>>()?; Ok(()) };
    "simulated.channels" = "", "channels whose messages go to a simulated provider, with commas: email, push, sms"
        => |c, v| {
            let channel = |name: &str| Channel::ALL.into_iter().find(|c| c.as_str() == name);
            c.simulated.channels = list(v)
                .map(|name| channel(name).ok_or_else(|| "must be email, push or sms, with commas".to_owned()))
                .collect::<Result<_, _>>()?;
            Ok(())
        };
    "simulated.failure_rate" = "0", "simulated provider of messages: share of tries that fail and are tried again, 0 to 1"
        => |c, v| { put(&mut c.simulated.failure_rate, v, "a number from 0 to 1")?; within(c.simulated.failure_rate, 0.0, 1.0) };
    "simulated.refusal_rate" = "0", "simulated provider of messages: share that it refuses for good, 0 to 1"
        => |c, v| { put(&mut c.simulated.refusal_rate, v, "a number from 0 to 1")?; within(c.simulated.refusal_rate, 0.0, 1.0) };
    "simulated.latency_ms" = "0", "simulated provider of messages: how long an answer takes"
        => |c, v| { put(&mut c.simulated.latency_ms, v, "a number of milliseconds")?; within(c.simulated.latency_ms, 0, 60_000) };
    "gateway.enabled" = "", "whether the simulated gateway sells; by default wherever no real provider is set up"
        => |c, v| { c.gateway.enabled = optional(v).map(|v| parse(&v, "true or false")).transpose()?; Ok(()) };
    "documents.fonts" = "", "font files for PDFs, with commas, for scripts that the built-in one lacks, as Chinese"
        => |c, v| { c.fonts = list(v).map(PathBuf::from).collect(); Ok(()) };
    "gateway.seed" = "", "simulated gateway: seed of its outcomes; without it every run differs"
        => |c, v| { c.gateway.seed = optional(v).map(|v| parse(&v, "a number")).transpose()?; Ok(()) };
    "gateway.success_rate" = "0.9", "simulated gateway: share of payments that succeed, 0 to 1"
        => |c, v| { put(&mut c.gateway.success_rate, v, "a number from 0 to 1")?; within(c.gateway.success_rate, 0.0, 1.0) };
    "gateway.latency_ms" = "0", "simulated gateway: how long an answer takes"
        => |c, v| { put(&mut c.gateway.latency_ms, v, "a number of milliseconds")?; within(c.gateway.latency_ms, 0, 60_000) };
    "stripe.secret_key" = "" secret true, "Stripe: the server's secret key, for organizers without an account of their own"
        => |c, v| { c.stripe.secret_key = optional(v).map(Secret::new); stripe_key(v) };
    "stripe.publishable_key" = "", "Stripe: the publishable key beside it"
        => |c, v| { c.stripe.publishable_key = optional(v); Ok(()) };
    "stripe.webhook_secrets" = "" secret true, "Stripe: signing secrets of the endpoint PUBLIC_URL/payment/webhooks/stripe/default, with commas"
        => |c, v| { c.stripe.webhook_secrets = list(v).map(Secret::new).collect(); Ok(()) };
    "stripe.api_base" = "https://api.stripe.com", "Stripe's address; another only on this machine, for tests"
        => |c, v| { v.trim_end_matches('/').clone_into(&mut c.stripe.api_base); stripe_base(v) };
    "limits.purchase_per_minute" = "6000", "purchases of each client address, which a carrier's customers may share; 0: no limit"
        => |c, v| per_minute(&mut c.limits.purchase.client, v);
    "limits.purchase_per_account_per_minute" = "60", "purchases of each account; 0: no limit"
        => |c, v| per_minute(&mut c.limits.purchase.account, v);
    "limits.validate_per_minute" = "12000", "online scans of each client address; 0: no limit"
        => |c, v| per_minute(&mut c.limits.validate.client, v);
    "limits.validate_per_account_per_minute" = "6000", "online scans of each account, as a row of turnstiles; 0: no limit"
        => |c, v| per_minute(&mut c.limits.validate.account, v);
    "limits.enrol_per_minute" = "1200", "enrolment steps of each client address; a device asks once a second; 0: no limit"
        => |c, v| per_minute(&mut c.limits.enrol.client, v);
    "limits.search_per_minute" = "6000", "searches of each client address; 0: no limit"
        => |c, v| per_minute(&mut c.limits.search.client, v);
    "limits.search_per_account_per_minute" = "600", "searches of each account; 0: no limit"
        => |c, v| per_minute(&mut c.limits.search.account, v);
    "limits.recover_per_minute" = "60", "requests for a mail of each client address; 0: no limit"
        => |c, v| per_minute(&mut c.limits.recover.client, v);
    "http.body_limit" = "262144", "largest request body in bytes, where a route does not say otherwise"
        => |c, v| { put(&mut c.http.body_limit, v, "a number of bytes")?; within(c.http.body_limit, 1_024, 64 << 20) };
    "http.request_timeout_secs" = "30", "a request that takes longer is abandoned"
        => |c, v| secs(&mut c.http.request_timeout, v);
    "http.header_timeout_secs" = "10", "a connection whose request head takes longer is closed"
        => |c, v| secs(&mut c.http.header_timeout, v);
    "http.shutdown_timeout_secs" = "30", "how long a stop waits for requests in flight"
        => |c, v| secs(&mut c.http.shutdown_timeout, v);
    "http.max_connections" = "4096", "open connections; further ones wait"
        => |c, v| { put(&mut c.http.max_connections, v, "a number")?; within(c.http.max_connections, 1, 1_000_000) };
    "http.max_connections_per_client" = "2048", "of these, those of one address; a trusted proxy may have all"
        => |c, v| { put(&mut c.http.max_connections_per_client, v, "a number")?; within(c.http.max_connections_per_client, 1, 1_000_000) };
    "http.max_in_flight" = "1024", "requests at work at once; further ones get 503"
        => |c, v| { put(&mut c.http.max_in_flight, v, "a number")?; within(c.http.max_in_flight, 1, 100_000) };
    "http.cors_origins" = "", "origins that browsers may call from, with commas, or *"
        => |c, v| { c.http.cors_origins = list(v).map(str::to_owned).collect(); Ok(()) };
};

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

impl Config {
    /// The built-in values, for tests to change.
    pub fn built_in() -> Self {
        load(None, [], &[]).expect("the built-in values are valid").config
    }

    /// What tokens and links name as their origin.
    pub fn origin(&self) -> &str {
        self.public_url.as_deref().unwrap_or("http://localhost")
    }

    /// Where links in mails lead: the public URL, or where we listen.
    pub fn link_origin(&self) -> &str {
        self.public_url.as_deref().or(self.bound_url.as_deref()).unwrap_or("http://localhost")
    }

    fn unset() -> Self {
        Self {
            data_dir: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: None,
            database_connections: 0,
            pg_bin: None,
            master_key: None,
            public_url: None,
            bound_url: None,
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            health_token: None,
            dev: false,
            log: String::new(),
            hold_minutes: 0,
            auth: AuthConfig {
                autoconfirm: None,
                logins_per_minute: 0,
                signups_per_minute: 0,
                mails_per_hour: 0,
                mail_codes_per_day: 0,
                otp_minutes: 0,
                redirect_urls: Vec::new(),
                refresh_grace: Duration::ZERO,
            },
            supabase: SupabaseConfig {
                url: None,
                jwks_url: None,
                jwt_secret: None,
                audience: String::new(),
                emails_confirmed: false,
            },
            mail: MailConfig { smtp_url: None, from: String::new() },
            sms: SmsConfig::default(),
            simulated: SimulatedConfig::default(),
            messages_per_day: 0,
            outside_exceptions: Vec::new(),
            gateway: GatewayConfig { enabled: None, seed: None, success_rate: 0.0, latency_ms: 0 },
            stripe: StripeConfig {
                secret_key: None,
                publishable_key: None,
                webhook_secrets: Vec::new(),
                api_base: String::new(),
            },
            http: HttpConfig {
                body_limit: 0,
                request_timeout: Duration::ZERO,
                header_timeout: Duration::ZERO,
                shutdown_timeout: Duration::ZERO,
                max_connections: 0,
                max_connections_per_client: 0,
                uncounted: Vec::new(),
                max_in_flight: 0,
                cors_origins: Vec::new(),
            },
            limits: LimitsConfig::default(),
            fonts: Vec::new(),
        }
    }
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

fn public_url(config: &mut Config, text: &str) -> Result<(), String> {
    let Some(text) = optional(text) else {
        config.public_url = None;
        return Ok(());
    };
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match host {
        Some(host)
            if !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']) && Url::parse(url).is_ok() =>
        {
            config.public_url = Some(url.to_owned());
            Ok(())
        }
        _ => Err("must be http:// or https:// and a host, without a path".to_owned()),
    }
}

/// `scheme://host[:port]` of an address, also for schemes of an app's own. `None` where there is no host, or a
/// user name stands before it.
pub fn origin_of(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    Some(match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    })
}

/// Nothing, or an address that keys can be fetched from: HTTPS, or this very machine.
fn web_address(text: &str) -> Result<(), String> {
    let Some(text) = optional(text) else { return Ok(()) };
    let url = Url::parse(&text).map_err(|_| "must be an address, as https://abc.supabase.co".to_owned())?;
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if here => Ok(()),
        _ => Err("must be https://".to_owned()),
    }
}

/// Nothing, or a secret or restricted key.
fn stripe_key(text: &str) -> Result<(), String> {
    if text.is_empty() || is_stripe_secret_key(text) {
        Ok(())
    } else {
        Err("must be a secret or restricted key, as sk_test_…".to_owned())
    }
}

/// True for what Stripe calls a secret or restricted key.
pub fn is_stripe_secret_key(text: &str) -> bool {
    let known = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"].iter().any(|start| text.starts_with(start));
    known && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Stripe itself, or a double on this machine: no key may go anywhere else.
fn stripe_base(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| "must be an address".to_owned())?;
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match (url.scheme(), url.host_str()) {
        ("https", Some("api.stripe.com")) => Ok(()),
        ("http" | "https", _) if here => Ok(()),
        _ => Err("must be https://api.stripe.com, or an address of this machine".to_owned()),
    }
}

fn redirect_origin(text: &str) -> Result<String, String> {
    Url::parse(text)
        .ok()
        .and_then(|url| origin_of(&url))
        .ok_or_else(|| format!("{text:?} is no origin, as https://tickets.example or app://login"))
}

fn log_filter(config: &mut Config, text: &str) -> Result<(), String> {
    tracing_subscriber::EnvFilter::try_new(text).map_err(|e| format!("is no log filter: {e}"))?;
    config.log = text.to_owned();
    Ok(())
}

fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("must be {what}"))
}

fn put<T: std::str::FromStr>(slot: &mut T, text: &str, what: &str) -> Result<(), String> {
    *slot = parse(text, what)?;
    Ok(())
}

fn secs(slot: &mut Duration, text: &str) -> Result<(), String> {
    let secs: u64 = parse(text, "a number of seconds")?;
    within(secs, 1, 3_600)?;
    *slot = Duration::from_secs(secs);
    Ok(())
}

fn per_minute(slot: &mut u32, text: &str) -> Result<(), String> {
    put(slot, text, "a number")?;
    within(*slot, 0, 10_000_000)
}

fn within<T: PartialOrd + fmt::Display>(value: T, low: T, high: T) -> Result<(), String> {
    if value >= low && value <= high { Ok(()) } else { Err(format!("must be from {low} to {high}")) }
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

    #[test]
    fn a_range_holds_its_own_addresses_alone() {
        let net: Net = "10.1.0.0/16".parse().unwrap();
        assert!(net.contains("10.1.2.3".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.contains("10.2.0.1".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Net>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!("::1".parse::<Net>().unwrap().contains("::1".parse().unwrap()));
    }
}
