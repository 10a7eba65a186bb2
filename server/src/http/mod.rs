//! HTTP: routes, extractors, problems, limits. A handler extracts, calls `domain` and `store`, replies.
//!
//! Each area is a module with `pub fn routes() -> OpenApiRouter<AppState>`, listed in `router.rs`:
//!
//! ```ignore
//! async fn create(
//!     State(app): State<AppState>,
//!     caller: Caller,
//!     ApiJson(body): ApiJson<CreateEvent>,
//! ) -> Result<(StatusCode, Json<Event>), ApiError>
//! ```

pub mod account;
pub mod arrival;
pub mod auth;
pub mod booking_view;
pub mod bookings;
mod caching;
pub mod cookie;
pub mod dev;
pub mod devices;
pub mod edge;
pub mod error;
pub mod events;
pub mod extract;
pub mod fields;
pub mod gates;
pub mod gotrue;
mod guest_code;
pub mod health;
pub mod limits;
pub mod metrics;
mod notice;
pub mod notifications;
pub mod once;
pub mod openapi;
pub mod organizer;
pub mod page;
pub mod payment;
mod receipts;
pub mod router;
pub mod serve;
pub mod session;
pub mod stats;
mod streamed;
mod strict;
pub mod supabase;
pub mod system;
pub mod tickets;
pub mod tls;
pub mod totp;
pub mod validate;
pub mod web;
pub mod whoami;

pub use auth::{Acting, Caller, Member, Staff};
pub use edge::{Client, InFlight};
pub use error::{ApiError, FieldError, Problem};
pub use extract::{ApiJson, ApiPath, ApiQuery};
pub use page::{MoneyJson, Page, PageQuery};
