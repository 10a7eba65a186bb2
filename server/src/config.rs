//! Settings: built-in < file (TOML) < environment < flags. One table names them all (`table`); every value knows where it
//! came from, and a bad configuration is refused with all of its problems at once (`load`).

mod load;
mod table;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use zeroize::Zeroizing;

pub use self::load::{Line, Loaded, Problems, Source, known_key, load};
use crate::domain::notification::Channel;

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

/// True for what Stripe calls a secret or restricted key.
pub fn is_stripe_secret_key(text: &str) -> bool {
    let known = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"].iter().any(|start| text.starts_with(start));
    known && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

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
