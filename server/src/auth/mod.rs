//! Who is calling: access tokens and the keys that sign them. Routes are in `http::auth`.

pub mod access_token;
pub mod jose;

pub use access_token::{AccessTokens, Claims, TokenError, verify_access_token};
