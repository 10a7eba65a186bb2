//! Who is calling: access tokens and the keys that sign them, refresh tokens, passwords, limits on
//! attempts. Routes are in `http::gotrue`, extractors in `http::auth`.

pub mod access_token;
pub mod jose;
pub mod limit;
pub mod named_secret;
pub mod one_time;
pub mod password;
pub mod refresh_token;
pub mod sign_in;
pub mod supabase;
pub mod totp;

pub use access_token::{AccessTokens, Claims, TokenError, verify_access_token};
pub use named_secret::NamedSecret;
pub use password::Passwords;
pub use refresh_token::RefreshToken;
