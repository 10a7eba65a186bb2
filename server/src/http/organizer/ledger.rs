//! `/organizer/events/{id}/ledger`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::http::fields::money;
use crate::http::page::MoneyJson;
use crate::store::{event, ledger};

/// The books of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LedgerSums {
    event_id: Uuid,
    /// They sum to zero.
    accounts: Vec<AccountJson>,
    /// Money that arrived less money that went back: what the payment providers hold.
    balance: MoneyJson,
    captured: MoneyJson,
    refunded: MoneyJson,
    /// Of all bookings that were ever paid, refunded ones too.
    bookings: PaidSums,
}

/// One account.
#[derive(Debug, Serialize, ToSchema)]
struct AccountJson {
    /// `provider:NAME` is positive when the money is there; `sales`, `fees` and `tax` are negative when earned or owed.
    account: String,
    payments: MoneyJson,
    refunds: MoneyJson,
    balance: MoneyJson,
}

/// What was sold.
#[derive(Debug, Serialize, ToSchema)]
struct PaidSums {
    count: i64,
    /// Net of tax.
    price: MoneyJson,
    /// Net of tax.
    fee: MoneyJson,
    tax: MoneyJson,
    /// What promo codes saved their buyers; the other sums are without it.
    discount: MoneyJson,
}

/// Sums of the event's double-entry ledger by account, and of its bookings, read at one moment.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/ledger", operation_id = "get_ledger_sums", tag = "organizer",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, body = LedgerSums), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn sums(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Json<LedgerSums>, ApiError> {
    let organizer_id = member.organizer_id;
    let mut tx = app.db.tenant_snapshot(organizer_id).await?;
    let event = event::find(&mut tx, organizer_id, event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    let rows = ledger::by_account(&mut tx, organizer_id, event_id).await?;
    let sold = ledger::of_bookings(&mut tx, organizer_id, event_id).await?;
    tx.commit().await?;
    let amount = |minor| money(minor, &event.currency);
    let mut names: Vec<&str> = rows.iter().map(|row| row.account.as_str()).collect();
    names.dedup();
    let of = |account: &str, kind: &str| -> i64 {
        rows.iter().filter(|r| r.account == account && r.kind == kind).map(|r| r.amount_minor).sum()
    };
    let accounts = names.iter().map(|account| {
        let (payments, refunds) = (of(account, "payment"), of(account, "refund"));
        AccountJson {
            account: (*account).to_owned(),
            payments: amount(payments),
            refunds: amount(refunds),
            balance: amount(payments + refunds),
        }
    });
    Ok(Json(LedgerSums {
        event_id,
        accounts: accounts.collect(),
        balance: amount(sold.captured_minor - sold.refunded_minor),
        captured: amount(sold.captured_minor),
        refunded: amount(sold.refunded_minor),
        bookings: PaidSums {
            count: sold.bookings,
            price: amount(sold.price_minor),
            fee: amount(sold.fee_minor),
            tax: amount(sold.tax_minor),
            discount: amount(sold.discount_minor),
        },
    }))
}
