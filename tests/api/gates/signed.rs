use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hvflvspot::clock::Clock as _;
use reqwest::Method;
use shared::bytes::Nonce16;
use shared::cbor;
use shared::manifest::online::open_time;
use shared::time::UnixMillis;
use shared::wire::gates::{TimeAnswer, UploadAnswer, UploadRequest, WaitAnswer};
use shared::wire::httpsig::{RequestParts, SignatureHeaders, sign_request};

use crate::device::TestDevice;
use crate::venue::Venue;

#[tokio::test]
async fn a_request_counts_for_its_path_query_body_and_device_alone() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut north, south) = (venue.device("North").await?, venue.device("South").await?);
    let ticket = venue.sell(1).await?[0].id;
    north.admit(&venue, ticket);
    let body = cbor::encode(&UploadRequest { run: north.run(1, 1) });
    let signed = north.sign(&venue, "POST", "/gates/log", None, &body);
    let send = async |target: &str, body: Vec<u8>, headers: SignatureHeaders| -> Result<String> {
        let (reply, _) =
            TestDevice::send::<UploadAnswer>(&venue, Method::POST, target, body, &headers).await?;
        Ok(format!("{} {}", reply.status.as_u16(), reply.code()))
    };
    let mut bent = body.clone();
    *bent.last_mut().context("a body")? ^= 1;
    assert_eq!(send("/gates/log", bent, signed.clone()).await?, "401 bad_signature");
    assert_eq!(send("/gates/log?x=1", body.clone(), signed.clone()).await?, "401 bad_signature");
    let elsewhere = north.sign(&venue, "POST", "/gates/wait", None, &body);
    assert_eq!(send("/gates/log", body.clone(), elsewhere).await?, "401 bad_signature");
    let mut other = south.sign(&venue, "POST", "/gates/log", None, &body);
    other.signature_input.clone_from(&signed.signature_input);
    assert_eq!(send("/gates/log", body.clone(), other).await?, "401 bad_signature");
    let unknown = SignatureHeaders {
        signature_input: signed.signature_input.replace(&north.id.to_string(), &venue.event.to_string()),
        ..signed.clone()
    };
    assert_eq!(send("/gates/log", body.clone(), unknown).await?, "401 unknown_device");
    let unsigned = venue.server.request(Method::POST, "/gates/log").body(body.clone()).send().await?;
    assert_eq!(unsigned.status(), 401);

    // The very same request again is the same answer: nothing is stored twice.
    for _ in 0..2 {
        assert_eq!(send("/gates/log", body.clone(), signed.clone()).await?, "200 ");
    }
    assert_eq!(venue.get("/stats").await?.expect(200)?["scans"], 1);
    Ok(())
}

#[tokio::test]
async fn a_wrong_clock_is_told_the_time_and_may_try_again() -> Result<()> {
    let venue = Venue::open().await?;
    let device = venue.device("Skewed").await?;
    let query = "epoch=0&seq=0&as_of=0&scans=0&timeout=0";
    let parts = RequestParts { method: "GET", path: "/gates/wait", query: Some(query), body: &[] };
    let now = UnixMillis(venue.clock.now_ms());
    let late = sign_request(&device.key, device.id, &parts, now.plus_ms(-3_600_000).secs());
    let target = format!("/gates/wait?{query}");
    let (reply, _) = TestDevice::send::<WaitAnswer>(&venue, Method::GET, &target, Vec::new(), &late).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (401, "clock_skew"));
    let signed = STANDARD.decode(reply.body["server_time"].as_str().context("server_time")?)?;
    let own = STANDARD.decode(late.signature.split(':').nth(1).context("signature")?)?;
    let nonce = Nonce16::from_slice(&own[..16]).context("16 bytes")?;
    let time = open_time(&device.trust, &signed, &nonce)?;
    assert_eq!(time.received_at, now);

    let again = sign_request(&device.key, device.id, &parts, time.sent_at.secs());
    let (reply, _) = TestDevice::send::<WaitAnswer>(&venue, Method::GET, &target, Vec::new(), &again).await?;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    Ok(())
}

#[tokio::test]
async fn the_time_is_unsigned_first_and_signed_for_known_devices() -> Result<()> {
    let venue = Venue::open().await?;
    let device = venue.device("Clock").await?;
    let nonce = Nonce16([5; 16]);
    let url = format!("{}/gates/time?nonce={nonce}", venue.server.url);
    let plain = venue.server.client.get(&url).send().await?.bytes().await?;
    let plain: TimeAnswer = cbor::decode(&plain, 1_000)?;
    assert!(plain.signed.is_none());
    let named = venue.server.client.get(format!("{url}&device={}", device.id)).send().await?.bytes().await?;
    let named: TimeAnswer = cbor::decode(&named, 2_000)?;
    let time = open_time(&device.trust, &named.signed.context("signed")?, &nonce)?;
    assert_eq!(time.received_at, UnixMillis(venue.clock.now_ms()));
    assert_eq!(venue.server.get("/gates/time").await?.status, 400, "without a nonce");
    Ok(())
}

#[tokio::test]
async fn a_device_reads_nothing_once_it_is_revoked_or_its_certificate_is_over() -> Result<()> {
    let venue = Venue::open().await?;
    let (mut device, other) = (venue.device("Stolen").await?, venue.device("Kept").await?);
    let ticket = venue.sell(1).await?[0].id;
    device.sync(&venue).await?;
    venue.post(&format!("/devices/{}/revoke", device.id), serde_json::json!({})).await?.expect(200)?;
    let (reply, _) = device.ask(&venue, device.version(), false).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (403, "device_revoked"));
    assert_eq!(device.try_wait(&venue, 0).await?.0.code(), "device_revoked");
    device.admit(&venue, ticket);
    assert_eq!(device.push(&venue).await?.acknowledged, 1, "its log is never refused");

    venue.clock.advance(Duration::from_secs(9 * 86_400));
    assert_eq!(other.try_wait(&venue, 0).await?.0.code(), "certificate_expired");
    Ok(())
}
