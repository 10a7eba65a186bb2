//! Accounts: which addresses and passwords are accepted, and how long a sign-in lasts.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};
use time::Duration;
use zeroize::Zeroizing;

/// A sign-in ends this long after it began, however often it is refreshed.
pub const SESSION_MAX: Duration = Duration::days(90);
/// A refresh token that nobody uses for this long is worth nothing.
pub const REFRESH_IDLE: Duration = Duration::days(30);
/// A sign-in this young proves that whoever holds it knew the password.
pub const RECENT: Duration = Duration::hours(24);
/// Fewest characters of a password.
pub const MIN_PASSWORD: usize = 8;
/// The same for administrators.
pub const MIN_ADMIN_PASSWORD: usize = 12;
/// Most bytes of a password.
pub const MAX_PASSWORD: usize = 256;
/// Most bytes of a user's metadata as JSON: they travel in every access token. The column's CHECK
/// says the same.
pub const MAX_METADATA: usize = 4096;
const MAX_EMAIL: usize = 254;

/// What an account may do on the platform. What it may do for an organizer says its membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlatformRole {
    User,
    Organizer,
    Admin,
}

impl PlatformRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Organizer => "organizer",
            Self::Admin => "admin",
        }
    }

    /// An unknown word may do the least.
    pub fn from_word(text: &str) -> Self {
        match text {
            "admin" => Self::Admin,
            "organizer" => Self::Organizer,
            _ => Self::User,
        }
    }
}

/// How a session began, for the claim `amr` of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionMethod {
    Password,
    /// A mail's link or code.
    Otp,
    /// The same, to choose a new password.
    Recovery,
}

impl SessionMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Otp => "otp",
            Self::Recovery => "recovery",
        }
    }

    pub fn from_column(text: &str) -> Self {
        match text {
            "otp" => Self::Otp,
            "recovery" => Self::Recovery,
            _ => Self::Password,
        }
    }
}

/// A mail address of plausible form, its domain in lower case. Only a mail can tell whether it exists.
/// Two addresses that differ in case alone are one account (the column is citext).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// Why an address is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    #[error("the address is longer than {MAX_EMAIL} characters")]
    TooLong,
    #[error("this is no e-mail address")]
    Form,
}

impl Email {
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > MAX_EMAIL {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Form)?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"@<>(),:;\\\"[]".contains(c);
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        let well_formed = (1..=64).contains(&local.len())
            && local.chars().all(plain)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && domain.contains('.')
            && domain.split('.').all(label);
        if well_formed {
            Ok(Self(format!("{local}@{}", domain.to_lowercase())))
        } else {
            Err(EmailError::Form)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password on its way to be hashed: never printed, wiped from memory.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Password(Zeroizing<String>);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why a new password is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password must have at least {0} characters")]
    TooShort(usize),
    #[error("the password may have at most {MAX_PASSWORD} bytes")]
    TooLong,
    #[error("the password must not be the mail address, nor one character over and over")]
    Guessable,
}

impl Password {
    pub fn new(text: impl Into<String>) -> Self {
        Self::from(text.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it may become the password of the account of `email`. Length is what makes a password
    /// strong; rules about kinds of characters make it only harder to remember.
    pub fn check(&self, email: &Email, at_least: usize) -> Result<(), PasswordError> {
        let text = self.0.as_str();
        if text.len() > MAX_PASSWORD {
            return Err(PasswordError::TooLong);
        }
        if text.chars().count() < at_least {
            return Err(PasswordError::TooShort(at_least));
        }
        let first = text.chars().next();
        if text.eq_ignore_ascii_case(email.as_str()) || text.chars().all(|c| Some(c) == first) {
            return Err(PasswordError::Guessable);
        }
        Ok(())
    }
}

/// Why metadata are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error("the metadata may take {MAX_METADATA} bytes at most")]
    TooLarge,
    #[error("texts must not contain the character U+0000")]
    Nul,
}

/// Whether the database can keep these metadata.
pub fn check_metadata(metadata: &Map<String, Value>) -> Result<(), MetadataError> {
    fn has_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(has_nul),
            Value::Object(members) => members.iter().any(|(name, v)| name.contains('\0') || has_nul(v)),
            _ => false,
        }
    }
    if metadata.iter().any(|(name, value)| name.contains('\0') || has_nul(value)) {
        return Err(MetadataError::Nul);
    }
    match serde_json::to_vec(metadata) {
        Ok(bytes) if bytes.len() <= MAX_METADATA => Ok(()),
        _ => Err(MetadataError::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_sign_and_a_dotted_domain_in_lower_case() {
        for (given, kept) in [
            ("a@b.de", "a@b.de"),
            (" First.Last+tag@Sub.Example.ORG ", "First.Last+tag@sub.example.org"),
            ("ö@exämple.org", "ö@exämple.org"),
            ("o'hara@x-y.example", "o'hara@x-y.example"),
        ] {
            assert_eq!(Email::parse(given).unwrap().as_str(), kept);
        }
        let local = "l".repeat(65);
        for bad in [
            "",
            "a",
            "@b.de",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b@c.de",
            "a@b..de",
            "a\n@b.de",
            "<a@b.de>",
            "a\0@b.de",
            ".a@b.de",
            "a..b@c.de",
            "a@-b.de",
            "a@b_c.de",
            "a,b@c.de",
            "a(b)@c.de",
            "a:b@c.de",
            "a\\b@c.de",
            &format!("{local}@b.de"),
        ] {
            assert_eq!(Email::parse(bad), Err(EmailError::Form), "{bad:?}");
        }
        let long = format!("a@{}.de", "b.".repeat(130));
        assert_eq!(Email::parse(&long), Err(EmailError::TooLong));
    }

    #[test]
    fn a_password_is_long_enough_and_not_its_own_address() {
        let email = Email::parse("somebody@example.org").unwrap();
        let check = |text: &str| Password::new(text).check(&email, MIN_PASSWORD);
        assert_eq!(check("korrekt!"), Ok(()));
        assert_eq!(check("äöüßäöüß"), Ok(()));
        assert_eq!(check("kurz123"), Err(PasswordError::TooShort(8)));
        assert_eq!(check(""), Err(PasswordError::TooShort(8)));
        assert_eq!(check(&"xy".repeat(128)), Ok(()));
        assert_eq!(check(&"xy".repeat(129)), Err(PasswordError::TooLong));
        assert_eq!(check("Somebody@example.org"), Err(PasswordError::Guessable));
        assert_eq!(check("aaaaaaaaaaaa"), Err(PasswordError::Guessable));
    }

    #[test]
    fn metadata_are_small_and_without_nul() {
        let check = |value: Value| check_metadata(value.as_object().unwrap());
        assert_eq!(check(serde_json::json!({ "name": "Ada", "tags": ["a", { "b": null }] })), Ok(()));
        assert_eq!(
            check(serde_json::json!({ "name": "x".repeat(MAX_METADATA) })),
            Err(MetadataError::TooLarge)
        );
        assert_eq!(check(serde_json::json!({ "tags": ["a", { "b": "\0" }] })), Err(MetadataError::Nul));
        assert_eq!(check(serde_json::json!({ "a\0": 1 })), Err(MetadataError::Nul));
    }

    #[test]
    fn a_password_is_never_printed() {
        assert!(!format!("{:?}", Password::new("hunter2hunter2")).contains("hunter2"));
    }
}
