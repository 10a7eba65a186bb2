//! What the provider of text messages tells later: believed by its signature alone, in any order, as often as it comes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use support::recorder::Recorder;
use support::server::{Reply, send};

use crate::sms::{NUMBER, PAID, open, reader};
use crate::{Stage, text};

const TOKEN: &str = "hunter2:secret";
const PUBLIC: &str = "https://tickets.example.org";
/// The provider's id of what it takes.
const SM: &str = "SM00000000000000000000000000000007";

/// SHA-1 (FIPS 180-4), written out: the test must not ask the library that it tests.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((8 * message.len() as u64).to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> = block
            .chunks(4)
            .map(|four| four.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)))
            .collect();
        for t in 16..80 {
            w.push((w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in w.into_iter().enumerate() {
            let (f, k) = match t / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999_u32),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, word) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(word);
        }
    }
    let mut digest = [0; 20];
    for (four, word) in digest.chunks_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// HMAC-SHA1 (RFC 2104), base64, for keys of 64 bytes at most.
fn signature(key: &str, signed: &str) -> String {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key.bytes()).for_each(|(at, byte)| *at ^= byte);
        block
    };
    let inner = sha1(&[&pad(0x36)[..], signed.as_bytes()].concat());
    STANDARD.encode(sha1(&[&pad(0x5c)[..], &inner[..]].concat()))
}

/// A callback as the provider makes it: the form, and what is signed.
fn callback(path: &str, status: &str, sid: &str, more: &[(&str, &str)]) -> (String, String) {
    let mut fields = vec![
        ("SmsSid", sid),
        ("SmsStatus", status),
        ("MessageStatus", status),
        ("To", NUMBER),
        ("MessageSid", sid),
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("From", "+15005550006"),
        ("ApiVersion", "2010-04-01"),
    ];
    fields.extend_from_slice(more);
    let mut form = reqwest::Url::parse("form:").expect("a constant");
    form.query_pairs_mut().extend_pairs(&fields);
    fields.sort_unstable();
    let said: String = fields.iter().flat_map(|(name, value)| [*name, *value]).collect();
    (form.query().unwrap_or_default().to_owned(), format!("{PUBLIC}{path}{said}"))
}

async fn post(stage: &Stage, path: &str, body: String, signature: Option<&str>) -> Result<Reply> {
    let request = stage.server.request(Method::POST, path).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    send(match signature {
        Some(signature) => request.header("x-twilio-signature", signature),
        None => request,
    })
    .await
}

/// The provider tells how a message fares.
async fn tell(stage: &Stage, path: &str, status: &str, sid: &str, more: &[(&str, &str)]) -> Result<u16> {
    let (body, signed) = callback(path, status, sid, more);
    let reply = post(stage, path, body, Some(&signature(TOKEN, &signed))).await?;
    Ok(reply.status.as_u16())
}

/// Ada bought, and hears of it: the stage, her token, and where the provider may tell of that message.
async fn told(provider: &Recorder, stage: &Stage) -> Result<(String, String)> {
    let ada = reader(provider, stage, "ada@example.org", NUMBER).await?;
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    stage.deliver().await?;
    Ok((ada, path_of(provider)?))
}

/// The path that the last message named.
fn path_of(provider: &Recorder) -> Result<String> {
    let last = provider.recorded().pop().context("a message")?;
    let address = last.field("StatusCallback").context("an address to tell of it")?;
    Ok(address.strip_prefix(PUBLIC).context("under the public address")?.to_owned())
}

async fn stage() -> Result<(Recorder, Stage)> {
    open(|config| config.public_url = Some(PUBLIC.to_owned())).await
}

/// The notice of the booking by text message, as its account sees it.
async fn notice(stage: &Stage, token: &str) -> Result<Value> {
    let all = stage.server.get_as(token, "/notifications?channel=sms&type=bookings").await?.expect(200)?;
    Ok(all["items"][0].clone())
}

#[test]
fn the_tests_own_signature_is_the_published_one() {
    assert_eq!(hex::encode(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    let signed = "https://mycompany.com/myapp.php?foo=1&bar=2CallSidCA1234567890ABCDECaller+14158675309\
                  Digits1234From+14158675309To+18005551212";
    assert_eq!(signature("12345", signed), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
}

#[tokio::test]
async fn a_message_is_delivered_when_its_provider_says_so_in_whatever_order_and_however_often() -> Result<()>
{
    let (provider, stage) = stage().await?;
    let (ada, path) = told(&provider, &stage).await?;
    assert_eq!(notice(&stage, &ada).await?["status"], "sent");
    assert_eq!(tell(&stage, &path, "queued", SM, &[]).await?, 204);
    let new_field = [("Quite", "new & ünknown"), ("RawDlrDoneDate", "2611221200")];
    assert_eq!(tell(&stage, &path, "sent", SM, &new_field).await?, 204);
    assert_eq!(notice(&stage, &ada).await?["status"], "sent");
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(tell(&stage, &path, "delivered", SM, &[]).await?, 204);
    let arrived = notice(&stage, &ada).await?;
    assert_eq!(arrived["status"], "delivered");
    assert!(arrived["sent_at"].as_str() < arrived["delivered_at"].as_str(), "{arrived}");
    // Late ones, doubles, and words that nobody knows.
    stage.clock.advance(Duration::from_secs(5));
    for status in ["sending", "sent", "delivered", "undelivered", "failed", "pigeon"] {
        assert_eq!(tell(&stage, &path, status, SM, &[]).await?, 204, "{status}");
        assert_eq!(notice(&stage, &ada).await?, arrived, "{status}");
    }
    // And nobody is written to again.
    let before = provider.recorded().len();
    stage.deliver().await?;
    assert_eq!(provider.recorded().len(), before);
    Ok(())
}

#[tokio::test]
async fn what_did_not_arrive_is_given_up_until_it_arrives_all_the_same() -> Result<()> {
    let (provider, stage) = stage().await?;
    let (ada, path) = told(&provider, &stage).await?;
    let admin = stage.admin().await?;
    assert_eq!(tell(&stage, &path, "undelivered", "SM9", &[("ErrorCode", "30003")]).await?, 204);
    assert_eq!(notice(&stage, &ada).await?["status"], "sent", "of another attempt");
    assert_eq!(tell(&stage, &path, "undelivered", SM, &[("ErrorCode", "30003")]).await?, 204);
    let lost = notice(&stage, &ada).await?;
    assert_eq!((&lost["status"], &lost["sent_at"]), (&json!("dead"), &Value::Null));
    let dead = stage.server.get_as(&admin, "/admin/notifications/dead").await?.expect(200)?;
    let letter = &dead["items"][0];
    assert_eq!(
        (&letter["because"], &letter["may_replay"], &letter["last_error"]),
        (&json!("undelivered"), &json!(false), &json!("30003: the provider could not deliver it"))
    );
    let replay = format!("/admin/notifications/dead/{}/replay", text(letter, "notification_id"));
    let refused = stage.server.post_as(&admin, &replay, &json!({})).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "not_replayable"));
    assert_eq!(tell(&stage, &path, "delivered", SM, &[]).await?, 204);
    assert_eq!(notice(&stage, &ada).await?["status"], "delivered");
    Ok(())
}

#[tokio::test]
async fn who_answered_stop_meanwhile_gets_nothing_more() -> Result<()> {
    let (provider, stage) = stage().await?;
    let (ada, path) = told(&provider, &stage).await?;
    assert_eq!(tell(&stage, &path, "failed", SM, &[("ErrorCode", "21610")]).await?, 204);
    let phone = stage.server.get_as(&ada, "/notifications/phone").await?.expect(200)?;
    assert!(phone["phone"]["stopped_at"].is_string(), "{phone}");
    let before = provider.recorded().len();
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    stage.deliver().await?;
    assert_eq!(provider.recorded().len(), before);
    Ok(())
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_goes_no_second_time_once_its_provider_tells_of_it() -> Result<()> {
    let (provider, stage) = stage().await?;
    let ada = reader(&provider, &stage, "ada@example.org", NUMBER).await?;
    // The provider took it, and its answer did not come through.
    provider.answer_next(504, "");
    stage.buy(Some(&ada), "ada@example.org", PAID, "en").await?.expect(201)?;
    assert!(stage.deliver().await.is_err());
    assert_eq!(notice(&stage, &ada).await?["status"], "failed");
    let before = provider.recorded().len();
    assert_eq!(tell(&stage, &path_of(&provider)?, "sent", SM, &[]).await?, 204);
    assert_eq!(notice(&stage, &ada).await?["status"], "sent");
    stage.clock.advance(Duration::from_secs(60));
    stage.deliver().await?;
    assert_eq!(provider.recorded().len(), before);
    assert_eq!(tell(&stage, &path_of(&provider)?, "delivered", SM, &[]).await?, 204);
    assert_eq!(notice(&stage, &ada).await?["status"], "delivered");
    Ok(())
}

#[tokio::test]
async fn nobody_else_is_believed_or_learns_which_messages_there_are() -> Result<()> {
    let (provider, stage) = stage().await?;
    let (ada, path) = told(&provider, &stage).await?;
    let unknown = "/notifications/sms/0192f0c1-0000-7000-8000-000000000003/status";
    let refused = async |path: &str, body: String, by: Option<&str>| -> Result<()> {
        let reply = post(&stage, path, body, by).await?;
        ensure!(
            (reply.status.as_u16(), reply.code()) == (400, "invalid_signature"),
            "{path} {by:?}: {reply:?}"
        );
        Ok(())
    };
    for at in [path.as_str(), unknown, "/notifications/sms/nothing/status"] {
        let (body, signed) = callback(at, "delivered", SM, &[]);
        let good = signature(TOKEN, &signed);
        refused(at, body.clone(), None).await?;
        refused(at, body.clone(), Some("")).await?;
        refused(at, body.clone(), Some(&signature("hunter3", &signed))).await?;
        refused(at, body.replace("delivered", "failed"), Some(&good)).await?;
        refused(at, format!("{body}&More=1"), Some(&good)).await?;
        // Good for another server, and for another message.
        refused(at, body.clone(), Some(&signature(TOKEN, &signed.replace("tickets.", "other.")))).await?;
        let (_, elsewhere) = callback("/notifications/sms/else/status", "delivered", SM, &[]);
        refused(at, body, Some(&signature(TOKEN, &elsewhere))).await?;
    }
    assert_eq!(notice(&stage, &ada).await?["status"], "sent");

    // Signed, and about nothing: the same for what is no id, and for what is no text message.
    let mut db = stage.server.db.owner().await?;
    let mail: String = sqlx::query_scalar("select id::text from outbox where channel = 'email' limit 1")
        .fetch_one(&mut db)
        .await?;
    let mail = format!("/notifications/sms/{mail}/status");
    for at in [unknown, "/notifications/sms/nothing/status", &mail] {
        assert_eq!(tell(&stage, at, "delivered", SM, &[]).await?, 404, "{at}");
    }
    let signed = format!("{PUBLIC}{path}MessageSid{SM}");
    let reply = post(&stage, &path, format!("MessageSid={SM}"), Some(&signature(TOKEN, &signed))).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "malformed_event"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_the_provider_does_not_reach_names_no_address_and_takes_no_callback() -> Result<()> {
    for public in [None, Some("https://localhost:3000"), Some("http://tickets.example.org")] {
        let (provider, stage) = open(|config| config.public_url = public.map(str::to_owned)).await?;
        reader(&provider, &stage, "ada@example.org", NUMBER).await?;
        assert_eq!(provider.recorded()[0].field("StatusCallback"), None, "{public:?}");
    }
    let stage = Stage::open(|config| config.public_url = Some(PUBLIC.to_owned())).await?;
    let path = "/notifications/sms/0192f0c1-0000-7000-8000-000000000003/status";
    assert_eq!(tell(&stage, path, "delivered", SM, &[]).await?, 404, "there is no provider");
    Ok(())
}
