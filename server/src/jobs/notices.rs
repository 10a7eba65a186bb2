//! Notices that nobody's request causes: a hold that ends soon, an event tomorrow, and what organizers are told of their
//! sales and gates. An occasion is noted and its mails are written in one transaction, so that looking again, or from
//! several servers, writes nothing twice.

use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::for_each_organizer;
use crate::app::AppState;
use crate::domain::incident::Kind;
use crate::store::noticed::{self, Sale};
use crate::store::outbox::{self, NewMail};

/// Bookings in one transaction.
const AT_ONCE: i64 = 200;
/// Who holds tickets is told so long before others may have them …
const HOLD_ENDS: Duration = Duration::minutes(5);
/// … of holds that are long enough to be forgotten.
const LONG_HOLD: Duration = Duration::minutes(10);
/// The day before.
const REMINDER: Duration = Duration::hours(24);

pub async fn run(app: &AppState) -> anyhow::Result<()> {
    for_each_organizer(app, "notices are not written", of_organizer).await
}

async fn of_organizer(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    loop {
        let now = app.clock.now();
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        let ends = (HOLD_ENDS, LONG_HOLD);
        let due = noticed::ending_holds(&mut tx, organizer_id, ends, AT_ONCE, now).await?;
        let (mails, more) = mails(app, due);
        outbox::enqueue_bookings(&mut tx, organizer_id, "booking.hold_ending", &mails, &json!({}), now)
            .await?;
        tx.commit().await?;
        if !more {
            break;
        }
    }
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let soon = noticed::soon(&mut tx, organizer_id, REMINDER, app.clock.now()).await?;
    tx.commit().await?;
    for event_id in soon {
        while !app.stopping.is_cancelled() {
            let now = app.clock.now();
            let mut tx = app.db.worker_tenant(organizer_id).await?;
            let due = noticed::reminders(&mut tx, organizer_id, event_id, REMINDER, AT_ONCE, now).await?;
            let (mails, more) = mails(app, due);
            outbox::enqueue_bookings(&mut tx, organizer_id, "booking.reminder", &mails, &json!({}), now)
                .await?;
            tx.commit().await?;
            if !more {
                break;
            }
        }
    }
    tell_staff(app, organizer_id).await
}

/// A mail for each, and whether there may be more.
fn mails(app: &AppState, bookings: Vec<Uuid>) -> (Vec<(Uuid, Uuid)>, bool) {
    let more = i64::try_from(bookings.len()).unwrap_or(i64::MAX) >= AT_ONCE;
    (bookings.into_iter().map(|booking| (app.rng.uuid(&*app.clock), booking)).collect(), more)
}

/// Owners and managers hear of the first sale, of sold-out events, of incidents; who does not want to, does not.
async fn tell_staff(app: &AppState, organizer_id: Uuid) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let mut found: Vec<(&str, Sale)> = Vec::new();
    found.extend(noticed::first_sales(&mut tx, organizer_id).await?.into_iter().map(|s| ("sales.first", s)));
    found.extend(noticed::sold_out(&mut tx, organizer_id).await?.into_iter().map(|s| ("sales.sold_out", s)));
    found.extend(noticed::incidents(&mut tx, organizer_id).await?.into_iter().map(|s| ("sales.incident", s)));
    if found.is_empty() {
        return Ok(tx.commit().await?);
    }
    let staff = noticed::staff(&mut tx, organizer_id).await?;
    for (kind, sale) in found {
        if !noticed::first(&mut tx, organizer_id, sale.subject_id, kind, now).await? {
            continue;
        }
        let link = format!("{}/web/organizer/events/{}", app.config.link_origin(), sale.event_id);
        let facts = json!({ "event": sale.title, "link": link, "what": what(&sale.what) });
        let mail = NewMail {
            id: Uuid::nil(),
            kind,
            recipient: "",
            organizer_id: Some(organizer_id),
            language: "en",
            facts: &facts,
            sealed_facts: None,
            expires_at: None,
        };
        let to: Vec<_> = staff.iter().map(|r| (app.rng.uuid(&*app.clock), r.clone())).collect();
        outbox::enqueue_many(&mut tx, &mail, sale.event_id, &to, now).await?;
    }
    crate::fault!("outbox.noticed");
    tx.commit().await?;
    Ok(())
}

/// An incident in words, in every language.
fn what(kind: &str) -> Value {
    match Kind::from_column(kind) {
        Some(Kind::DoubleAdmission) => json!({
            "en": "the same ticket was let in twice",
            "de": "dasselbe Ticket wurde zweimal eingelassen",
            "es": "la misma entrada ha pasado dos veces",
            "fr": "le même billet est entré deux fois",
        }),
        Some(Kind::ForkedLog) => json!({
            "en": "a device tells two different histories",
            "de": "ein Gerät erzählt zwei verschiedene Verläufe",
            "es": "un dispositivo cuenta dos historias distintas",
            "fr": "un appareil raconte deux histoires différentes",
        }),
        Some(Kind::ClockJump) => json!({
            "en": "a device's clock is wrong",
            "de": "die Uhr eines Geräts geht falsch",
            "es": "el reloj de un dispositivo va mal",
            "fr": "l'horloge d'un appareil est fausse",
        }),
        Some(Kind::ReplacedLog) => json!({
            "en": "a device began a new record",
            "de": "ein Gerät hat eine neue Aufzeichnung begonnen",
            "es": "un dispositivo ha empezado un registro nuevo",
            "fr": "un appareil a commencé un nouvel enregistrement",
        }),
        Some(Kind::FaultyEntry) | None => json!({
            "en": "a device recorded entries that contradict themselves",
            "de": "ein Gerät hat widersprüchliche Einträge aufgezeichnet",
            "es": "un dispositivo ha registrado entradas que se contradicen",
            "fr": "un appareil a enregistré des entrées contradictoires",
        }),
    }
}
