//! One-time tokens: what they are for, how a code looks, and where a link may lead back to.

use time::Duration;

/// Wrong codes that a token survives.
pub const TRIES: i16 = 5;
/// A code of a sign-in on its way (PKCE) is good for so long.
pub const AUTH_CODE_TTL: Duration = Duration::minutes(5);

/// What a token proves, or lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Confirms the address of a new account and signs in.
    Signup,
    /// Signs in.
    MagicLink,
    /// Signs in, to choose a new password.
    Recovery,
    /// Confirms an account's new address.
    EmailChange,
    /// Proves presence before a password is changed.
    Reauthentication,
    /// Is exchanged for a session by who began the sign-in (RFC 7636).
    Pkce,
}

impl Purpose {
    /// In the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::MagicLink => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
            Self::Reauthentication => "reauthentication",
            Self::Pkce => "pkce",
        }
    }

    pub fn from_column(text: &str) -> Option<Self> {
        Some(match text {
            "signup" => Self::Signup,
            "magiclink" => Self::MagicLink,
            "recovery" => Self::Recovery,
            "email_change" => Self::EmailChange,
            "reauthentication" => Self::Reauthentication,
            "pkce" => Self::Pkce,
            _ => return None,
        })
    }

    /// The purposes that a `type` of the verify route accepts: `signup` and `magiclink` are old words for `email`.
    pub fn of_type(text: &str) -> Option<&'static [Self]> {
        match text {
            "signup" | "magiclink" | "email" => Some(&[Self::Signup, Self::MagicLink]),
            "recovery" => Some(&[Self::Recovery]),
            "email_change" => Some(&[Self::EmailChange]),
            _ => None,
        }
    }

    /// The `type` in a mail's link.
    pub fn link_type(self) -> &'static str {
        self.as_str()
    }

    /// How a session begins by it: the column `sessions.method`.
    pub fn session_method(self) -> &'static str {
        if self == Self::Recovery { "recovery" } else { "otp" }
    }
}

/// Six digits out of chance. 2^64 is so much more than a million that no digit is likelier by anything
/// that could be noticed.
pub fn digits(chance: u64) -> String {
    format!("{:06}", chance % 1_000_000)
}

/// Whether a text has the form of a code challenge (RFC 7636: 43 to 128 unreserved characters).
pub fn is_challenge(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// Whether a link may lead back to `scheme://host[:port]`, given what is allowed in the same form.
/// With `dev`, to any program on this very machine besides.
pub fn may_return_to(origin: &str, host: &str, scheme: &str, allowed: &[String], dev: bool) -> bool {
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    allowed.iter().any(|a| a == origin) || (dev && local && matches!(scheme, "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_six_digits_whatever_chance_says() {
        assert_eq!(digits(0), "000000");
        assert_eq!(digits(1_000_007), "000007");
        assert_eq!(digits(999_999), "999999");
        assert_eq!(digits(u64::MAX).len(), 6);
    }

    #[test]
    fn words_of_purposes_go_to_the_database_and_back() {
        for purpose in [
            Purpose::Signup,
            Purpose::MagicLink,
            Purpose::Recovery,
            Purpose::EmailChange,
            Purpose::Reauthentication,
            Purpose::Pkce,
        ] {
            assert_eq!(Purpose::from_column(purpose.as_str()), Some(purpose));
        }
        assert_eq!(Purpose::of_type("pkce"), None, "an auth code opens nothing without its verifier");
        assert_eq!(Purpose::of_type("reauthentication"), None);
    }

    #[test]
    fn a_challenge_is_43_to_128_unreserved_characters() {
        assert!(is_challenge(&"a".repeat(43)) && is_challenge(&"-._~".repeat(32)));
        assert!(
            !is_challenge(&"a".repeat(42))
                && !is_challenge(&"a".repeat(129))
                && !is_challenge(&"=".repeat(43))
        );
    }

    #[test]
    fn a_link_leads_back_to_allowed_origins_alone() {
        let allowed = ["https://t.example".to_owned(), "app://login".to_owned()];
        let may =
            |origin: &str, host: &str, scheme: &str, dev| may_return_to(origin, host, scheme, &allowed, dev);
        assert!(may("https://t.example", "t.example", "https", false));
        assert!(may("app://login", "login", "app", false));
        assert!(!may("https://t.example.evil.example", "t.example.evil.example", "https", true));
        assert!(!may("http://localhost:5173", "localhost", "http", false));
        assert!(may("http://localhost:5173", "localhost", "http", true));
        assert!(!may("app://localhost", "localhost", "app", true));
    }
}
