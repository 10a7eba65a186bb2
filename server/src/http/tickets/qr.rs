//! `GET /tickets/{id}/qr.svg` and `qr.png`: the code as a picture, QR version 6-M with a quiet zone of four.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use qrcode::render::svg;
use qrcode::types::Mode;
use qrcode::{Color, EcLevel, QrCode, Version, bits::Bits};
use uuid::Uuid;

use super::show::ticket_of;
use crate::app::AppState;
use crate::http::auth::Caller;
use crate::http::booking_view::code_of;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;

/// Pixels of a module in the PNG: 49 modules with the quiet zone make 392 pixels.
const SCALE: usize = 8;
const QUIET: usize = 4;

/// The code as SVG.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}/qr.svg", operation_id = "get_ticket_qr_svg", tag = "tickets", params(("ticket_id" = Uuid, Path)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The picture", content_type = "image/svg+xml", body = String),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`", body = Problem),
    ),
)]
pub(super) async fn svg(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let code = picture(&app, &caller, ticket_id).await?;
    let text = code.render::<svg::Color<'_>>().min_dimensions(392, 392).quiet_zone(true).build();
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), PRIVATE], text).into_response())
}

/// The code as PNG, black on white, 392 by 392 pixels.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}/qr.png", operation_id = "get_ticket_qr_png", tag = "tickets", params(("ticket_id" = Uuid, Path)),
    security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`", body = Problem),
    ),
)]
pub(super) async fn png(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let code = picture(&app, &caller, ticket_id).await?;
    let bytes = png_bytes(&code).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "image/png"), PRIVATE], bytes).into_response())
}

const PRIVATE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "private, no-store");

async fn picture(app: &AppState, caller: &Caller, ticket_id: Uuid) -> Result<QrCode, ApiError> {
    let ticket = ticket_of(app, caller, ticket_id).await?;
    let text = code_of(app, &ticket).await?.ok_or_else(|| {
        ApiError::conflict("ticket_not_valid", format!("this ticket is {} and has no code", ticket.state))
    })?;
    qr(&text).map_err(ApiError::internal)
}

/// The text in alphanumeric mode, version 6, level M.
fn qr(text: &str) -> anyhow::Result<QrCode> {
    let mut bits = Bits::new(Version::Normal(6));
    bits.push_segments(
        text.as_bytes(),
        std::iter::once(qrcode::optimize::Segment { mode: Mode::Alphanumeric, begin: 0, end: text.len() }),
    )?;
    bits.push_terminator(EcLevel::M)?;
    Ok(QrCode::with_bits(bits, EcLevel::M)?)
}

fn png_bytes(code: &QrCode) -> anyhow::Result<Vec<u8>> {
    let (modules, side) = (code.width(), (code.width() + 2 * QUIET) * SCALE);
    let colors = code.to_colors();
    let dark = |x: usize, y: usize| {
        let (x, y) = ((x / SCALE).wrapping_sub(QUIET), (y / SCALE).wrapping_sub(QUIET));
        x < modules && y < modules && colors[y * modules + x] == Color::Dark
    };
    // One bit a pixel, rows padded to bytes; 1 is white.
    let mut pixels = vec![0_u8; side * side.div_ceil(8)];
    for y in 0..side {
        for x in 0..side {
            if !dark(x, y) {
                pixels[y * side.div_ceil(8) + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    let mut out = Vec::new();
    let side = u32::try_from(side)?;
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_154_characters_fits_version_6_m() {
        let code = qr(&"A".repeat(shared::ticket::code::TEXT_LEN)).unwrap();
        assert_eq!(code.version(), Version::Normal(6));
        assert_eq!(code.width(), 41);
        assert!(qr(&"A".repeat(155 + 50)).is_err(), "what does not fit is refused, not cut");
    }
}
