//! An organizer with an event on sale.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvflvspot::auth::access_token::Subject;
use hvflvspot::clock::{Clock as _, SystemClock, TestClock};
use hvflvspot::domain::keys::{NewKey, NewTrust, Purpose};
use hvflvspot::store::Tx;
use hvflvspot::store::change;
use hvflvspot::store::directory::{self, Place};
use reqwest::Method;
use serde_json::{Value, json};
use shared::bytes::PublicKey;
use shared::cbor;
use shared::ids::{EventId, GateId, ListId, OrganizerId, TicketId};
use shared::manifest::rows::{TicketRow, TicketState};
use shared::manifest::trust::Trust;
use shared::ticket::keys::SigningKey;
use shared::ticket::{Payload, code};
use shared::time::UnixSecs;
use shared::wire::enroll::Link;
use shared::wire::gates::{CBOR, EnrollAnswer, EnrollRequest};
use support::server::{Reply, TestServer};
use uuid::Uuid;

use crate::device::TestDevice;
use crate::machine::Machine;

pub const PUBLIC_URL: &str = "https://tickets.example";

/// The stage.
#[derive(Debug)]
pub struct Venue {
    pub server: TestServer,
    pub clock: TestClock,
    pub organizer: OrganizerId,
    pub event: EventId,
    pub list: ListId,
    pub other_list: ListId,
    pub gates: [GateId; 2],
    pub owner: String,
    pub ticket_key: SigningKey,
    ticket_type: Uuid,
    booking: Uuid,
}

/// A ticket and its code.
#[derive(Debug, Clone)]
pub struct Sold {
    pub id: TicketId,
    pub code: String,
}

impl Venue {
    pub async fn open() -> Result<Self> {
        Self::seeded(1).await
    }

    /// With other keys and ids than seed 1 gives.
    pub async fn seeded(seed: u64) -> Result<Self> {
        Self::at(seed, SystemClock.now()).await
    }

    /// With a server whose clock begins at a time of its own.
    pub async fn at(seed: u64, now: time::OffsetDateTime) -> Result<Self> {
        let clock = TestClock::at(now);
        let server = TestServer::builder()
            .seed(seed)
            .clock(&clock)
            .config(|c| c.public_url = Some(PUBLIC_URL.to_owned()))
            .start()
            .await?;
        let app = server.app.clone();
        let id = || app.rng.uuid(&*app.clock);
        let (organizer, event, ticket_type, booking) = (OrganizerId(id()), EventId(id()), id(), id());
        let (list, other_list, gates) = (ListId(id()), ListId(id()), [GateId(id()), GateId(id())]);
        let ticket_key = NewKey::generate(Purpose::Ticket, &app.rng);
        let mut venue = Self {
            organizer,
            event,
            list,
            other_list,
            gates,
            owner: String::new(),
            ticket_key: ticket_key.signing.clone(),
            ticket_type,
            booking,
            clock,
            server,
        };
        venue.owner = venue.member("owner").await?;
        let mut tx = app.db.tenant(organizer.0).await?;
        for (kind, key, event_id) in
            [("organizer", organizer.to_string(), None), ("event", event.to_string(), Some(event.0))]
        {
            let place = Place { organizer_id: organizer.0, event_id };
            directory::add(&mut tx, kind, &key, place).await?;
        }
        run(
            &mut tx,
            "insert into organizers (organizer_id, name, contact_email, status, created_at, updated_at)
             values ($1, 'Org', 'org@example.org', 'approved', now(), now())",
            &[organizer.0],
        )
        .await?;
        venue.keys(&mut tx, &ticket_key).await?;
        run(
            &mut tx,
            "insert into events (organizer_id, event_id, slug, title, category_id, time_zone, starts_at, ends_at, status, currency,
                                 created_at, updated_at)
             values ($1, $2, 'night', 'Night', 'music', 'Europe/Berlin', now() - interval '1 hour', now() + interval '6 hours',
                     'published', 'EUR', now(), now())",
            &[organizer.0, event.0],
        )
        .await?;
        run(
            &mut tx,
            "insert into quotas (organizer_id, quota_id, event_id, name, capacity, created_at) values ($1, $3, $2, 'all', 1000000, now())",
            &[organizer.0, event.0, ticket_type],
        )
        .await?;
        run(
            &mut tx,
            "insert into ticket_types (organizer_id, ticket_type_id, event_id, number, quota_id, name, price_minor, created_at, updated_at)
             values ($1, $3, $2, 1, $3, 'Entry', 1000, now(), now())",
            &[organizer.0, event.0, ticket_type],
        )
        .await?;
        for (list_id, attendance, reentry) in [(list, "true", "false"), (other_list, "false", "true")] {
            run(
                &mut tx,
                &format!(
                    "insert into checkin_lists (organizer_id, list_id, event_id, name, attendance, reentry_after_exit, created_at, updated_at)
                     values ($1, $3, $2, 'list', {attendance}, {reentry}, now(), now())"
                ),
                &[organizer.0, event.0, list_id.0],
            )
            .await?;
        }
        for gate in gates {
            run(
                &mut tx,
                "insert into gates (organizer_id, gate_id, event_id, name, created_at) values ($1, $3, $2, 'gate', now())",
                &[organizer.0, event.0, gate.0],
            )
            .await?;
        }
        run(
            &mut tx,
            "insert into bookings (organizer_id, booking_id, event_id, booking_secret_hash, status, currency, price_minor, fee_minor,
                                   tax_minor, total_minor, held_until, created_at, paid_at)
             values ($1, $3, $2, sha256('x'), 'paid', 'EUR', 0, 0, 0, 0, now(), now(), now())",
            &[organizer.0, event.0, booking],
        )
        .await?;
        change::create_counter(&mut tx, organizer.0, event.0).await?;
        tx.commit().await?;
        Ok(venue)
    }

    /// A signed-in member of that role.
    pub async fn member(&self, role: &str) -> Result<String> {
        let app = &self.server.app;
        let user_id = app.rng.uuid(&*app.clock);
        let mut tx = app.db.tenant(self.organizer.0).await?;
        run(
            &mut tx,
            &format!("insert into members (organizer_id, user_id, role, created_at) values ($1, $2, '{role}', now())"),
            &[self.organizer.0, user_id],
        )
        .await?;
        tx.commit().await?;
        Ok(app.tokens.issue(&Subject {
            method: "password",
            user_id,
            email: "ada@example.org",
            role: "user",
            session_id: Uuid::from_u128(8),
            signed_in_at: app.clock.now(),
            aal: hvflvspot::domain::access::Aal::Aal1,
            user_metadata: json!({}),
        })?)
    }

    async fn keys(&self, tx: &mut Tx, ticket_key: &NewKey) -> Result<()> {
        let app = &self.server.app;
        let trust = NewTrust::generate(self.organizer, UnixSecs(1_700_000_000), &app.rng);
        for key in [&trust.root, &trust.manifest, &trust.online, ticket_key] {
            let sealed = app.master_key.seal(&key.purpose.seal_purpose(), &key.signing.to_bytes(), &app.rng);
            let event = (key.purpose == Purpose::Ticket).then_some(self.event.0);
            sqlx::query(
                "insert into organizer_keys (organizer_id, key_id, purpose, event_id, kid, public_key, sealed, created_at)
                 values ($1, $2, $3, $4, $5, $6, $7, now())",
            )
            .bind(self.organizer.0)
            .bind(app.rng.uuid(&*app.clock))
            .bind(key.purpose.as_str())
            .bind(event)
            .bind(&key.kid().0[..])
            .bind(&key.public().0[..])
            .bind(sealed)
            .execute(&mut **tx)
            .await?;
        }
        sqlx::query(
            "insert into trust_roots (organizer_id, version, document, created_at) values ($1, 1, $2, now())",
        )
        .bind(self.organizer.0)
        .bind(&trust.signed.document)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Sells tickets in one transaction, as a purchase does.
    pub async fn sell(&self, n: usize) -> Result<Vec<Sold>> {
        let app = &self.server.app;
        let mut tx = app.db.tenant(self.organizer.0).await?;
        let ids: Vec<Uuid> = (0..n).map(|_| app.rng.uuid(&*app.clock)).collect();
        let kid = shared::ticket::keys::kid_of(&PublicKey(self.ticket_key.verifying_key().to_bytes()));
        let issued_at: time::OffsetDateTime = sqlx::query_scalar(
            "with stamp as (select date_trunc('second', db_clock()) as at), made as (
               insert into tickets (organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, booking_secret_hash, kid,
                                    issued_at, expires_at)
               select $1, id, $2, $3, $4, 1, sha256('x'), $5, stamp.at, stamp.at + interval '2 days' from unnest($6::uuid[]) as id, stamp
               returning 1)
             select at from stamp where (select count(*) from made) >= 0",
        )
        .bind(self.organizer.0)
        .bind(self.event.0)
        .bind(self.booking)
        .bind(self.ticket_type)
        .bind(&kid.0[..])
        .bind(&ids)
        .fetch_one(&mut *tx)
        .await?;
        let rows: Vec<u8> = ids.iter().flat_map(|id| row(*id, TicketState::Valid).to_bytes()).collect();
        change::record(&mut tx, self.organizer.0, self.event.0, &rows, Some(issued_at)).await?;
        tx.commit().await?;
        app.news.publish(self.event);
        Ok(ids.into_iter().map(|id| self.code(id, issued_at.into())).collect())
    }

    fn code(&self, id: Uuid, issued_at: UnixSecs) -> Sold {
        let payload = Payload {
            generation: 0,
            kid: shared::ticket::keys::kid_of(&PublicKey(self.ticket_key.verifying_key().to_bytes())),
            ticket_id: TicketId(id),
            type_no: 1,
            issued_at,
            not_before: UnixSecs(0),
            expires_at: issued_at.plus_secs(172_800),
        };
        let code = code::sign(&self.ticket_key, self.organizer, self.event, &payload).to_text();
        Sold { id: TicketId(id), code }
    }

    /// Takes a ticket back, as a refund does.
    pub async fn refund(&self, ticket: TicketId) -> Result<()> {
        let app = &self.server.app;
        let mut tx = app.db.tenant(self.organizer.0).await?;
        run(
            &mut tx,
            "update tickets set state = 'refunded' where organizer_id = $1 and ticket_id = $2",
            &[self.organizer.0, ticket.0],
        )
        .await?;
        let rows = row(ticket.0, TicketState::Refunded).to_bytes();
        change::record(&mut tx, self.organizer.0, self.event.0, &rows, None).await?;
        tx.commit().await?;
        app.news.publish(self.event);
        Ok(())
    }

    /// What the tickets table says, sorted as a manifest is.
    pub async fn tickets(&self) -> Result<Vec<TicketRow>> {
        let mut tx = self.server.app.db.tenant(self.organizer.0).await?;
        let ids: Vec<(Uuid, String)> = sqlx::query_as(
            "select ticket_id, state from tickets where organizer_id = $1 and event_id = $2 order by ticket_id",
        )
        .bind(self.organizer.0)
        .bind(self.event.0)
        .fetch_all(&mut *tx)
        .await?;
        let state = |s: &str| if s == "refunded" { TicketState::Refunded } else { TicketState::Valid };
        Ok(ids.into_iter().map(|(id, s)| row(id, state(&s))).collect())
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/organizer/events/{}{rest}", self.event)
    }

    pub async fn post(&self, rest: &str, body: Value) -> Result<Reply> {
        self.server.post_as(&self.owner, &self.path(rest), &body).await
    }

    pub async fn get(&self, rest: &str) -> Result<Reply> {
        self.server.get_as(&self.owner, &self.path(rest)).await
    }

    /// Says who comes with a ticket, as its organizer.
    pub async fn attend(&self, ticket: TicketId, fields: Value) -> Result<Value> {
        let path = format!("/tickets/{ticket}/attendee");
        let request = self.server.request(Method::PUT, &path).bearer_auth(&self.owner).json(&fields);
        support::server::send(request).await?.expect(200)
    }

    /// A new invitation: the answer and its link.
    pub async fn invite(&self, label: &str) -> Result<(Value, Link)> {
        self.invite_to(json!({ "label": label })).await
    }

    async fn invite_to(&self, slot: Value) -> Result<(Value, Link)> {
        let slot = self.post("/devices/slots", slot).await?.expect(201)?;
        let link = Link::parse(slot["link"].as_str().context("link")?)?;
        Ok((slot, link))
    }

    /// A confirmed device.
    pub async fn device(&self, label: &str) -> Result<TestDevice> {
        self.confirmed(json!({ "label": label })).await
    }

    /// A confirmed device that may know names.
    pub async fn box_office(&self, label: &str) -> Result<TestDevice> {
        self.confirmed(json!({ "label": label, "box_office": true })).await
    }

    async fn confirmed(&self, slot: Value) -> Result<TestDevice> {
        let (slot, link) = self.invite_to(slot).await?;
        let machine = Machine::new(self);
        let challenge = machine.commit(self, link.invitation()).await?;
        machine.reveal(self, &challenge).await?.1?;
        let slot = format!("/devices/slots/{}", slot["slot_id"].as_str().context("slot_id")?);
        let shown = self.get(&slot).await?.expect(200)?;
        let digits = machine.digits(&link.trust_root_hash, &challenge);
        ensure!(shown["digits"] == digits, "{shown} and {digits}");
        self.post(&format!("{slot}/confirm"), json!({ "digits": digits })).await?.expect(200)?;
        let EnrollAnswer::Confirmed { device, certificate, .. } = machine.poll(self, &challenge).await?.1?
        else {
            anyhow::bail!("not confirmed");
        };
        let trust = Trust::pinned(&link.trust_root_hash, &challenge.roots)?;
        shared::manifest::online::open_certificate(&trust, self.event, &certificate)?;
        Ok(TestDevice::new(device, machine.key, trust, self))
    }

    /// Sends CBOR to the enrolment route.
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<(Reply, Result<EnrollAnswer>)> {
        let request = self
            .server
            .request(Method::POST, "/gates/enroll")
            .header("content-type", CBOR)
            .body(cbor::encode(request));
        answer(request.send().await?).await
    }
}

/// Reads an answer: as text for problems, as CBOR for successes.
pub async fn answer<T>(response: reqwest::Response) -> Result<(Reply, Result<T>)>
where
    T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let parsed = if status.is_success() {
        cbor::decode(&bytes, usize::MAX).map_err(Into::into)
    } else {
        Err(anyhow::anyhow!("{status}: {text}"))
    };
    Ok((Reply { status, headers, body, text }, parsed))
}

pub async fn run(tx: &mut Tx, sql: &str, ids: &[Uuid]) -> Result<()> {
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
    for id in ids {
        query = query.bind(*id);
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

pub fn row(id: Uuid, state: TicketState) -> TicketRow {
    TicketRow { ticket_id: TicketId(id), type_no: 1, generation: 0, state }
}

/// Lets the shared header grow old enough for the next one.
pub fn next_header(venue: &Venue) {
    venue.clock.advance(Duration::from_secs(2));
}
