//! `POST /tickets/quote`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::purchase::{ItemWish, PurchaseRequest, check_items, refuse};
use crate::app::AppState;
use crate::domain::catalog::Wish;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiJson;
use crate::http::fields::money;
use crate::http::page::MoneyJson;
use crate::selling::purchase::quote as price;

/// What a purchase would cost.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QuoteJson {
    event_id: Uuid,
    items: Vec<QuoteItem>,
    /// Net of tax.
    price: MoneyJson,
    /// Net of tax.
    fee: MoneyJson,
    tax: MoneyJson,
    /// Price, fee and tax: what is to be paid.
    total: MoneyJson,
    /// How much less that is than without the promo code.
    discount: MoneyJson,
}

/// Tickets of one type in it.
#[derive(Debug, Serialize, ToSchema)]
struct QuoteItem {
    ticket_type_id: Uuid,
    name: String,
    quantity: u32,
    /// Price, fee and tax of one.
    unit_total: MoneyJson,
    /// How much less one costs than without the promo code.
    unit_discount: MoneyJson,
}

/// Says what a purchase would cost, and holds nothing.
///
/// Takes the body of POST /tickets/purchase, of which it reads the event, the items and the promo code. Prices, sales
/// windows and the code are checked as a purchase does it; whether there is room, only the purchase itself can tell.
#[utoipa::path(
    post, path = "/tickets/quote", operation_id = "quote_tickets", tag = "tickets", request_body = PurchaseRequest,
    security((), ("bearer" = [])),
    responses(
        (status = 200, body = QuoteJson), (status = 404, description = "`not_found`: no such event", body = Problem),
        (status = 409, description = "`sold_out`, `person_limit`, `promo_code_used_up`", body = Problem),
        (status = 422, description = "`not_on_sale`, `event_canceled`, `promo_code_invalid`, `invalid_fields`", body = Problem),
    ),
)]
pub(super) async fn quote(
    State(app): State<AppState>,
    ApiJson(request): ApiJson<PurchaseRequest>,
) -> Result<Json<QuoteJson>, ApiError> {
    check_items(&request)?;
    let wishes: Vec<Wish> = request.items.iter().map(ItemWish::wish).collect();
    let (event, quote) = price(&app, request.event_id, &wishes, request.promo_code.as_deref())
        .await
        .map_err(|e| refuse(e, &request.items))?;
    let amount = |minor| money(minor, event.currency.as_str());
    let name =
        |id| event.types.iter().find(|t| t.ticket_type_id == id).map(|t| t.name.clone()).unwrap_or_default();
    let items = quote.lines.iter().map(|line| QuoteItem {
        ticket_type_id: line.ticket_type_id.0,
        name: name(line.ticket_type_id),
        quantity: line.quantity,
        unit_total: amount(line.unit.total_minor().unwrap_or_default()),
        unit_discount: amount(line.unit_discount_minor),
    });
    Ok(Json(QuoteJson {
        event_id: request.event_id,
        items: items.collect(),
        price: amount(quote.sum.price_minor),
        fee: amount(quote.sum.fee_minor),
        tax: amount(quote.sum.tax_minor),
        total: amount(quote.total_minor),
        discount: amount(quote.discount_minor),
    }))
}
