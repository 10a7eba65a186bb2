//! The server is killed (SIGKILL) while its worker delivers, at every step of a message's way out and at moments that
//! chance chooses, and is started again. Each message arrives, over every channel, and none a third time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hvflvspot::clock::{Clock as _, SystemClock};
use hvflvspot::fault::OUTBOX_POINTS;
use hvflvspot::pg::{Cluster, Settings};
use hvflvspot::store::Endpoint;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use support::mail_server::MailServer;
use support::process::{PATIENCE, ServerProcess, reachable_dir};
use support::recorder::Recorder;
use support::until_within;
use time::format_description::well_known::Rfc3339;

/// Where the server dies, and whether what it dies of can have gone out already.
const STEPS: &[(&str, Went)] = &[
    ("outbox.noticed", Went::No),
    ("outbox.copied", Went::No),
    ("outbox.copies_committed", Went::No),
    ("outbox.leased", Went::No),
    ("outbox.lease_committed", Went::No),
    ("outbox.written", Went::Perhaps),
    ("outbox.written:3", Went::Perhaps),
    ("outbox.answered", Went::Yes),
    ("outbox.answered:2", Went::Yes),
    ("outbox.answered:3", Went::Yes),
    ("outbox.ended", Went::Yes),
    ("outbox.ended:2", Went::Yes),
    ("outbox.end_committed", Went::Perhaps),
    ("outbox.end_committed:2", Went::Perhaps),
];
/// Kills at moments of chance.
const KILLS: usize = 12;
const SEED: u64 = 0x01e7_7e25;
const PASSWORD: &str = "correct horse battery staple";

/// Whether a message goes twice when the server dies there. Others are on their way beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    No,
    Perhaps,
    Yes,
}

/// An account with a browser and a telephone.
#[derive(Debug, Clone)]
struct Reader {
    email: String,
    token: String,
    number: String,
    /// Its browser's address.
    path: String,
}

struct Stage {
    folder: tempfile::TempDir,
    database_url: String,
    db: PgConnection,
    client: reqwest::Client,
    mail: MailServer,
    sms: Recorder,
    push: Recorder,
    event_id: String,
    ticket_type_id: String,
    readers: Vec<Reader>,
    /// How often a mail came, by its id.
    mails: BTreeMap<String, usize>,
    /// Messages that came twice until now.
    twice: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_delivers_loses_no_message_and_sends_none_a_third_time() -> Result<()> {
    println!("seed {SEED}");
    let points = STEPS.iter().map(|(step, _)| step.split(':').next().unwrap_or_default());
    ensure!(
        points.collect::<BTreeSet<_>>() == OUTBOX_POINTS.iter().copied().collect(),
        "a fault point is not tried here, or the other way round"
    );
    let mut rng = StdRng::seed_from_u64(SEED);
    let folder = reachable_dir()?;
    let cluster = Cluster::start(Settings {
        data_dir: folder.path().join("cluster"),
        pg_bin: std::env::var_os("HVFLVSPOT_PG_BIN").map(PathBuf::from),
        max_connections: 60,
        // The server dies here, the database does not.
        options: vec!["fsync=off".to_owned()],
        dies_with_us: true,
    })
    .await?;
    let mut stage = Stage::open(folder, cluster.endpoint()).await?;
    for (at, (step, went)) in STEPS.iter().enumerate() {
        let twice = stage.die_at(step, at).await.with_context(|| format!("killed at {step}"))?;
        match went {
            Went::No => {
                ensure!(twice == 0, "killed at {step}: nothing had gone, and {twice} messages came twice")
            }
            Went::Yes => ensure!(twice > 0, "killed at {step}: something had gone, and nothing came twice"),
            Went::Perhaps => {}
        }
    }
    let mut twice = 0;
    for kill in 0..KILLS {
        let after = Duration::from_millis(rng.random_range(0..1_500));
        let reader = STEPS.len() + kill;
        twice += stage.die_after(after, reader).await.with_context(|| format!("killed after {after:?}"))?;
    }
    println!("{} steps, {KILLS} moments of chance; at the latter {twice} messages came twice", STEPS.len());
    drop(stage);
    cluster.stop().await
}

impl Stage {
    async fn open(folder: tempfile::TempDir, endpoint: Endpoint) -> Result<Self> {
        hvflvspot::tls::install_provider();
        let socket = endpoint.socket_dir().context("a private cluster has a socket")?.display().to_string();
        let socket = socket.replace('/', "%2F");
        let database_url = format!("postgres://hvflvspot_cluster@{socket}/hvflvspot");
        let (sms, push) = (
            Recorder::start((201, r#"{"sid":"SM1","status":"queued"}"#)).await?,
            Recorder::start((201, "")).await?,
        );
        let mail = MailServer::start().await?;
        let client = reqwest::Client::new();
        let server = start(&folder, &database_url, &mail, &sms, &push, "").await?;
        let db = PgConnection::connect_with(&endpoint.owner()).await?;
        let mut stage = Self {
            folder,
            database_url,
            db,
            client,
            mail,
            sms,
            push,
            event_id: String::new(),
            ticket_type_id: String::new(),
            readers: Vec::new(),
            mails: BTreeMap::new(),
            twice: 0,
        };
        let owner = stage.sign_up(&server.url, "owner@letters.example").await?;
        let profile = json!({ "name": "Letters", "contact_email": "office@letters.example" });
        stage.call(Method::PUT, &server.url, "/organizer/profile", &owner, profile).await?;
        let starts = SystemClock.now() + time::Duration::days(9);
        let event = json!({
            "title": "Night of letters", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
            "starts_at": starts.format(&Rfc3339)?,
        });
        let event = stage.call(Method::POST, &server.url, "/organizer/events/create", &owner, event).await?;
        stage.event_id = text(&event, "event_id");
        let path = format!("/organizer/events/{}", stage.event_id);
        let kind = json!({
            "name": "Standing", "capacity": 500, "price": { "amount_minor": 2_500, "currency": "EUR" },
            "fee": { "amount_minor": 150, "currency": "EUR" }, "tax": { "rate_bp": 700, "inclusive": true },
        });
        let kind =
            stage.call(Method::POST, &server.url, &format!("{path}/ticket-types"), &owner, kind).await?;
        stage.ticket_type_id = text(&kind, "ticket_type_id");
        stage.call(Method::POST, &server.url, &format!("{path}/publish"), &owner, json!({})).await?;
        for n in 0..STEPS.len() + KILLS {
            let reader = stage.reader(&server.url, n).await?;
            stage.readers.push(reader);
        }
        stage.wait_until_delivered().await?;
        server.stop().await?;
        Ok(stage)
    }

    /// The real server, to die at `step`.
    async fn start(&self, step: &str) -> Result<ServerProcess> {
        start(&self.folder, &self.database_url, &self.mail, &self.sms, &self.push, step).await
    }

    async fn call(&self, method: Method, url: &str, path: &str, token: &str, body: Value) -> Result<Value> {
        let request = self.client.request(method, format!("{url}{path}")).json(&body).bearer_auth(token);
        let reply = request.send().await?;
        let (status, text) = (reply.status(), reply.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn sign_up(&self, url: &str, email: &str) -> Result<String> {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self.client.post(format!("{url}/auth/v1/signup")).json(&body).send().await?;
        Ok(text(&reply.error_for_status()?.json().await?, "access_token"))
    }

    async fn reader(&mut self, url: &str, n: usize) -> Result<Reader> {
        let email = format!("reader{n}@letters.example");
        let token = self.sign_up(url, &email).await?;
        let path = format!("/browser/{n}");
        // The key of RFC 8291's example.
        let key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let browser = json!({
            "endpoint": format!("{}{path}", self.push.url),
            "keys": { "p256dh": key, "auth": URL_SAFE_NO_PAD.encode([7; 16]) },
        });
        self.call(Method::POST, url, "/notifications/push", &token, browser).await?;
        let on = json!({ "preferences": [{ "type": "bookings", "channel": "sms", "enabled": true }] });
        self.call(Method::PUT, url, "/notifications/preferences", &token, on).await?;
        let number = format!("+4366400000{n:02}");
        sqlx::query(
            "insert into phones (user_id, number, verified_at, created_at)
             select id, $2, now(), now() from users where email = $1::citext",
        )
        .bind(&email)
        .bind(&number)
        .execute(&mut self.db)
        .await?;
        Ok(Reader { email, token, number, path })
    }

    fn purchase(&self, url: &str, email: &str) -> RequestBuilder {
        let order = json!({
            "event_id": self.event_id, "email": email,
            "items": [{ "ticket_type_id": self.ticket_type_id, "quantity": 1 }],
            "payment": { "method": "simulated", "token": "tok_always_succeeds" },
        });
        self.client.post(format!("{url}/tickets/purchase")).json(&order)
    }

    /// The reader buys, and a guest; the server may die under it.
    async fn buy(&self, url: &str, reader: &Reader) {
        drop(self.purchase(url, &reader.email).bearer_auth(&reader.token).send().await);
        drop(self.purchase(url, &format!("guest.of.{}", reader.email)).send().await);
    }

    /// Dies at a step; how many messages came twice.
    async fn die_at(&mut self, step: &str, reader: usize) -> Result<usize> {
        let reader = self.readers[reader].clone();
        if step == "outbox.noticed" {
            // The organizer is to hear of its first sale: here there must be one already.
            let server = self.start("").await?;
            self.buy(&server.url, &reader).await;
            self.wait_until("the first sale", "select count(*) = 0 from outbox where kind = 'sales.first'")
                .await?;
            self.wait_until_delivered().await?;
            server.stop().await?;
            sqlx::query("delete from noticed where kind = 'sales.first'").execute(&mut self.db).await?;
            sqlx::query("delete from outbox where kind = 'sales.first'").execute(&mut self.db).await?;
            // Jobs run while it starts: it dies before it answers, or right after.
            if let Ok(mut server) = self.start(step).await {
                server.ended().await.context("the server does not die")?;
            }
        } else {
            let mut server = self.start(step).await?;
            self.buy(&server.url, &reader).await;
            let ended = server.ended().await.context("the server does not die")?;
            ensure!(ended.signal() == Some(9), "it ended otherwise: {ended}");
        }
        self.recover(&reader).await
    }

    /// Is killed some time after something was bought; how many messages came twice.
    async fn die_after(&mut self, after: Duration, reader: usize) -> Result<usize> {
        let reader = self.readers[reader].clone();
        let server = self.start("").await?;
        self.buy(&server.url, &reader).await;
        tokio::time::sleep(after).await;
        server.kill().await?;
        self.recover(&reader).await
    }

    /// Starts again; everything must arrive. How many messages came twice by this death.
    async fn recover(&mut self, reader: &Reader) -> Result<usize> {
        // The leases of whoever died end.
        sqlx::query("update outbox set leased_until = leased_until - interval '1 hour' where leased_until is not null")
            .execute(&mut self.db)
            .await?;
        let server = self.start("").await?;
        self.wait_until("the first sale", "select count(*) = 0 from outbox where kind = 'sales.first'")
            .await?;
        self.wait_until_delivered().await?;
        let channels: i64 = sqlx::query_scalar(
            "select count(distinct channel) from outbox o join users u on u.id = o.user_id
              where u.email = $1::citext and o.kind = 'booking.paid'",
        )
        .bind(&reader.email)
        .fetch_one(&mut self.db)
        .await?;
        ensure!(channels == 3, "the booking of {} is told on {channels} channels", reader.email);
        // A mail that goes after all others: once it is here, they have been read.
        let told = self.purchase(&server.url, "last@letters.example").send().await?;
        ensure!(told.status() == 201, "{}", told.status());
        self.wait_until_delivered().await?;
        server.stop().await?;
        let twice = self.count_twice().await?;
        let of_this = twice - self.twice;
        self.twice = twice;
        Ok(of_this)
    }

    async fn wait_until(&mut self, what: &str, not_yet: &'static str) -> Result<()> {
        let db = &mut self.db;
        until_within(what, PATIENCE, async || {
            Ok(!sqlx::query_scalar::<_, bool>(not_yet).fetch_one(&mut *db).await?)
        })
        .await
    }

    /// Until nothing waits; then every message must have come once or twice.
    async fn wait_until_delivered(&mut self) -> Result<()> {
        let waiting = "select count(*) > 0 from outbox where status in ('queued', 'failed') or to_copy";
        self.wait_until("messages on their way", waiting).await?;
        self.check().await
    }

    async fn count_twice(&mut self) -> Result<usize> {
        let mails = self.mails.values().filter(|times| **times == 2).count();
        let sent: i64 =
            sqlx::query_scalar("select count(*) from outbox where channel <> 'email' and status = 'sent'")
                .fetch_one(&mut self.db)
                .await?;
        let came: usize = self.readers.iter().map(|r| self.texts(r) + self.pushes(r)).sum();
        Ok(mails + came - usize::try_from(sent)?)
    }

    async fn check(&mut self) -> Result<()> {
        // The demonstration's are nobody's here.
        let ids: Vec<(String, String)> = sqlx::query_as(
            "select id::text, status from outbox where channel = 'email' and event_id = $1::uuid",
        )
        .bind(&self.event_id)
        .fetch_all(&mut self.db)
        .await?;
        for (id, status) in &ids {
            ensure!(status == "sent", "the mail {id} is {status}");
            while !self.mails.contains_key(id) {
                self.next_mail().await.with_context(|| format!("the mail {id} is lost"))?;
            }
        }
        ensure!(self.mails.values().all(|times| *times <= 2), "a mail came three times: {:?}", self.mails);
        for reader in &self.readers {
            let wanted: i64 = sqlx::query_scalar(
                "select count(*) from outbox o join users u on u.id = o.user_id
                  where u.email = $1::citext and o.channel = 'sms' and o.status = 'sent'",
            )
            .bind(&reader.email)
            .fetch_one(&mut self.db)
            .await?;
            let wanted = usize::try_from(wanted)?;
            for (what, times) in [("texts", self.texts(reader)), ("pushes", self.pushes(reader))] {
                ensure!(
                    (wanted..=2 * wanted).contains(&times),
                    "{}: {times} {what} for {wanted}",
                    reader.email
                );
            }
        }
        Ok(())
    }

    async fn next_mail(&mut self) -> Result<()> {
        let mail = self.mail.next().await?;
        let id = text(&mail, "message_id");
        let id = id.trim_start_matches('<').split('@').next().unwrap_or_default().to_owned();
        *self.mails.entry(id).or_default() += 1;
        Ok(())
    }

    fn texts(&self, reader: &Reader) -> usize {
        let to = Some(reader.number.clone());
        self.sms.recorded().iter().filter(|text| text.field("To") == to).count()
    }

    fn pushes(&self, reader: &Reader) -> usize {
        self.push.recorded().iter().filter(|push| push.path() == reader.path).count()
    }
}

async fn start(
    folder: &tempfile::TempDir,
    database_url: &str,
    mail: &MailServer,
    sms: &Recorder,
    push: &Recorder,
    step: &str,
) -> Result<ServerProcess> {
    let key = "07".repeat(32);
    let smtp = format!("smtp://127.0.0.1:{}", mail.port);
    let settings = [
        ("HVFLVSPOT_DATABASE_URL", database_url),
        ("HVFLVSPOT_MASTER_KEY", &key),
        ("HVFLVSPOT_MAIL_SMTP_URL", &smtp),
        ("HVFLVSPOT_SMS_ACCOUNT_SID", "AC1"),
        ("HVFLVSPOT_SMS_AUTH_TOKEN", "token"),
        ("HVFLVSPOT_SMS_FROM", "Tickets"),
        ("HVFLVSPOT_SMS_API_BASE", &sms.url),
        ("HVFLVSPOT_OUTSIDE_EXCEPTIONS", &push.url),
        ("HVFLVSPOT_DATABASE_CONNECTIONS", "8"),
        ("HVFLVSPOT_LOG", "warn,hvflvspot=error"),
        ("HVFLVSPOT_FAULT", step),
    ];
    ServerProcess::start(&folder.path().join("server"), &settings).await
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
