//! Every setting: its name, its built-in value, what it is for, and how its text becomes a value.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::{Config, Secret, is_stripe_secret_key, origin_of};
use crate::adapters::mail::smtp;
use crate::adapters::sms;
use crate::domain::notification::Channel;
use crate::domain::phone;

/// One line of the table.
pub(super) struct Setting {
    /// As in the file: `http.body_limit`. The environment's name follows from it.
    pub key: &'static str,
    /// A name in the environment that works besides.
    pub also: Option<&'static str>,
    pub default: &'static str,
    pub secret: bool,
    pub help: &'static str,
    pub apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    pub fn env(&self) -> String {
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

pub(super) static SETTINGS: &[Setting] = settings! {
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
