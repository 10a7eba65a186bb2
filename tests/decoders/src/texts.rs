//! What is on the codes: signed ticket codes, as the server issues them.

use crate::chance::Chance;
use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use qrcode::types::Mode;
use qrcode::{Color, EcLevel, QrCode, Version, bits::Bits, optimize::Segment};
use shared::bytes::PublicKey;
use shared::ids::{EventId, OrganizerId, TicketId};
use shared::ticket::Payload;
use shared::ticket::code::sign;
use shared::ticket::keys::kid_of;
use shared::time::UnixSecs;

/// Modules of a side of version 6.
pub const SIDE: usize = 41;

pub fn ticket(chance: &mut Chance) -> String {
    let mut sixteen = || {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&chance.bits().to_be_bytes());
        bytes[8..].copy_from_slice(&chance.bits().to_be_bytes());
        bytes
    };
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(&sixteen());
    secret[16..].copy_from_slice(&sixteen());
    let key = SigningKey::from_bytes(&secret);
    let payload = Payload {
        generation: 0,
        kid: kid_of(&PublicKey(key.verifying_key().to_bytes())),
        ticket_id: TicketId::from_bytes(sixteen()),
        type_no: 3,
        issued_at: UnixSecs(1_790_000_000),
        not_before: UnixSecs(0),
        expires_at: UnixSecs(1_800_000_000),
    };
    sign(&key, OrganizerId::from_bytes(sixteen()), EventId::from_bytes(sixteen()), &payload).to_text()
}

/// Dark modules, row by row, as on a ticket: version 6, level M, alphanumeric.
pub fn symbol(text: &str) -> Result<Vec<bool>> {
    let mut bits = Bits::new(Version::Normal(6));
    let whole = Segment { mode: Mode::Alphanumeric, begin: 0, end: text.len() };
    bits.push_segments(text.as_bytes(), std::iter::once(whole)).context("a ticket's text fits version 6")?;
    bits.push_terminator(EcLevel::M)?;
    let code = QrCode::with_bits(bits, EcLevel::M)?;
    Ok(code.to_colors().into_iter().map(|color| color == Color::Dark).collect())
}
