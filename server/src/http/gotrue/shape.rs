//! Users and sessions as supabase-js knows them.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::{RefreshToken, access_token};
use crate::domain::account::PlatformRole;
use crate::store::users::User;

const AUTHENTICATED: &str = "authenticated";
const PROVIDER: &str = "email";

/// A sign-in: an access token for the hour and the refresh token for the next.
#[derive(Serialize, ToSchema)]
pub struct SessionJson {
    access_token: String,
    /// Always `bearer`.
    token_type: &'static str,
    expires_in: i64,
    /// Seconds since 1970.
    expires_at: i64,
    /// Good for one use.
    refresh_token: String,
    user: UserJson,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserJson {
    id: Uuid,
    aud: &'static str,
    role: &'static str,
    email: String,
    phone: &'static str,
    /// The address that the account changes to once it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_email: Option<String>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    email_confirmed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    last_sign_in_at: Option<OffsetDateTime>,
    app_metadata: AppMetadataJson,
    #[schema(value_type = Object)]
    user_metadata: Value,
    identities: Vec<IdentityJson>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    is_anonymous: bool,
}

/// What the platform says of the user.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppMetadataJson {
    provider: &'static str,
    providers: Vec<&'static str>,
    role: PlatformRole,
}

/// A way to sign in.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityJson {
    identity_id: Uuid,
    id: Uuid,
    user_id: Uuid,
    identity_data: IdentityDataJson,
    provider: &'static str,
    email: String,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    last_sign_in_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityDataJson {
    sub: Uuid,
    email: String,
    email_verified: bool,
    phone_verified: bool,
}

impl SessionJson {
    /// As a page reads it out of its own address; `kind` is the mail link's `type`.
    pub fn fragment(&self, kind: &str) -> String {
        let mut form = reqwest::Url::parse("x:/").expect("a constant");
        form.query_pairs_mut()
            .append_pair("access_token", &self.access_token)
            .append_pair("expires_at", &self.expires_at.to_string())
            .append_pair("expires_in", &self.expires_in.to_string())
            .append_pair("refresh_token", &self.refresh_token)
            .append_pair("token_type", self.token_type)
            .append_pair("type", kind);
        form.query().unwrap_or_default().to_owned()
    }

    pub fn new(access_token: String, refresh_token: &RefreshToken, user: &User, now: OffsetDateTime) -> Self {
        Self {
            access_token,
            token_type: "bearer",
            expires_in: access_token::TTL_SECS,
            expires_at: now.unix_timestamp() + access_token::TTL_SECS,
            refresh_token: refresh_token.reveal().to_owned(),
            user: UserJson::of(user),
        }
    }
}

impl UserJson {
    #[must_use]
    pub fn with_new_email(mut self, email: Option<String>) -> Self {
        self.new_email = email;
        self
    }

    pub fn of(user: &User) -> Self {
        Self {
            id: user.id,
            aud: AUTHENTICATED,
            role: AUTHENTICATED,
            email: user.email.clone(),
            phone: "",
            new_email: None,
            email_confirmed_at: user.email_confirmed_at,
            confirmed_at: user.email_confirmed_at,
            last_sign_in_at: user.last_sign_in_at,
            app_metadata: AppMetadataJson { provider: PROVIDER, providers: vec![PROVIDER], role: user.role },
            user_metadata: user.user_metadata.clone(),
            identities: vec![IdentityJson {
                // One account has one identity, which needs no id of its own.
                identity_id: user.id,
                id: user.id,
                user_id: user.id,
                identity_data: IdentityDataJson {
                    sub: user.id,
                    email: user.email.clone(),
                    email_verified: user.email_confirmed_at.is_some(),
                    phone_verified: false,
                },
                provider: PROVIDER,
                email: user.email.clone(),
                last_sign_in_at: user.last_sign_in_at,
                created_at: user.created_at,
                updated_at: user.created_at,
            }],
            created_at: user.created_at,
            updated_at: user.updated_at,
            is_anonymous: false,
        }
    }
}
