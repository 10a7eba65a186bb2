use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use shared::bytes::{Nonce16, Nonce32};
use shared::wire::enroll::TypedCode;
use shared::wire::gates::{EnrollAnswer, Invitation};

use crate::machine::{Machine, typed};
use crate::venue::Venue;

#[tokio::test]
async fn a_machine_with_the_link_becomes_a_device_when_the_digits_are_confirmed() -> Result<()> {
    let venue = Venue::open().await?;
    let (north, south) = (venue.device("North").await?, venue.device("South").await?);
    let devices = venue.get("/devices").await?.expect(200)?;
    let numbers: Vec<_> =
        devices["items"].as_array().context("items")?.iter().map(|d| &d["number"]).collect();
    assert_eq!(numbers, [1, 2]);
    assert_ne!(north.id, south.id);
    let slot = venue.get("/devices/slots").await?.expect(200)?;
    assert_eq!(slot["items"][0]["state"], "confirmed");
    assert!(slot["items"][0].get("link").is_none(), "secrets are shown once: {slot}");
    Ok(())
}

#[tokio::test]
async fn a_typed_code_does_the_same_and_a_repeated_step_gets_the_same_answer() -> Result<()> {
    let venue = Venue::open().await?;
    let (slot, link) = venue.invite("Typed").await?;
    let machine = Machine::new(&venue);
    let invitation = typed(&slot)?.invitation();
    let first = machine.commit(&venue, invitation.clone()).await?;
    let again = machine.commit(&venue, invitation).await?;
    assert_eq!((first.enrolment, first.server_nonce), (again.enrolment, again.server_nonce));
    for _ in 0..2 {
        assert!(matches!(machine.reveal(&venue, &first).await?.1?, EnrollAnswer::Pending {}));
    }
    let path = format!("/devices/slots/{}/confirm", slot["slot_id"].as_str().context("id")?);
    let digits = machine.digits(&link.trust_root_hash, &first);
    let one = venue.post(&path, json!({ "digits": digits })).await?.expect(200)?;
    let two = venue.post(&path, json!({ "digits": digits })).await?.expect(200)?;
    assert_eq!(one["device_id"], two["device_id"], "confirming twice makes one device");
    for _ in 0..2 {
        assert!(matches!(machine.poll(&venue, &first).await?.1?, EnrollAnswer::Confirmed { .. }));
    }
    Ok(())
}

#[tokio::test]
async fn five_wrong_secrets_kill_a_slot_also_for_who_knows_the_right_one() -> Result<()> {
    let venue = Venue::open().await?;
    let (slot, _) = venue.invite("Guessed").await?;
    let right = typed(&slot)?;
    let wrong = TypedCode {
        secret: if right.secret == "0000" { "0001" } else { "0000" }.into(),
        slot: right.slot.clone(),
    };
    let machine = Machine::new(&venue);
    for _ in 0..5 {
        assert_eq!(machine.try_commit(&venue, wrong.invitation()).await?.0.code(), "invitation_refused");
    }
    assert_eq!(machine.try_commit(&venue, right.invitation()).await?.0.code(), "invitation_refused");
    // A slot that never was gives the same answer.
    let nowhere = Invitation::Link { slot: Nonce16([9; 16]), secret: Nonce16([9; 16]) };
    assert_eq!(machine.try_commit(&venue, nowhere).await?.0.code(), "invitation_refused");
    Ok(())
}

#[tokio::test]
async fn parallel_guesses_get_five_tries_together() -> Result<()> {
    let venue = Venue::open().await?;
    let (slot, link) = venue.invite("Storm").await?;
    let machine = Machine::new(&venue);
    let wrong = || Invitation::Link { slot: link.slot, secret: Nonce16([0; 16]) };
    let guesses = (0..4).map(|_| machine.try_commit(&venue, wrong()));
    let [a, b, c, d]: [_; 4] = guesses.collect::<Vec<_>>().try_into().ok().context("four")?;
    let _ = tokio::join!(a, b, c, d);
    let path = format!("/devices/slots/{}", slot["slot_id"].as_str().context("id")?);
    assert_eq!(venue.get(&path).await?.expect(200)?["tries_left"], 1, "none was lost");
    Ok(())
}

#[tokio::test]
async fn an_invitation_is_used_once_and_ends_after_ten_minutes() -> Result<()> {
    let venue = Venue::open().await?;
    let (_, link) = venue.invite("Once").await?;
    let (first, second) = (Machine::new(&venue), Machine::new(&venue));
    first.commit(&venue, link.invitation()).await?;
    assert_eq!(second.try_commit(&venue, link.invitation()).await?.0.code(), "invitation_used");

    let (_, link) = venue.invite("Late").await?;
    venue.clock.advance(Duration::from_secs(600));
    assert_eq!(second.try_commit(&venue, link.invitation()).await?.0.code(), "invitation_expired");
    Ok(())
}

#[tokio::test]
async fn another_key_or_nonce_than_committed_to_is_refused() -> Result<()> {
    let venue = Venue::open().await?;
    let (slot, link) = venue.invite("Tampered").await?;
    let machine = Machine::new(&venue);
    let challenge = machine.commit(&venue, link.invitation()).await?;
    let other_key = Machine { nonce: machine.nonce, ..Machine::new(&venue) };
    assert_eq!(other_key.reveal(&venue, &challenge).await?.0.code(), "enrolment_refused");
    let other_nonce = Machine { nonce: Nonce32([7; 32]), key: machine.key.clone() };
    assert_eq!(other_nonce.reveal(&venue, &challenge).await?.0.code(), "enrolment_refused");
    // A proof for another enrolment does not pass for this one.
    let mut elsewhere = challenge.clone();
    elsewhere.server_nonce = Nonce32([0; 32]);
    assert_eq!(machine.reveal(&venue, &elsewhere).await?.0.code(), "enrolment_refused");
    // None of that harmed the honest machine.
    machine.reveal(&venue, &challenge).await?.1?;
    // Who does not hold the key learns nothing by polling.
    assert_eq!(other_key.poll(&venue, &challenge).await?.0.code(), "enrolment_refused");

    let path = format!("/devices/slots/{}", slot["slot_id"].as_str().context("id")?);
    for _ in 0..5 {
        let reply = venue.post(&format!("{path}/confirm"), json!({ "digits": "0" })).await?;
        assert_eq!(reply.code(), "digits_differ");
    }
    let digits = machine.digits(&link.trust_root_hash, &challenge);
    assert_eq!(venue.post(&format!("{path}/confirm"), json!({ "digits": digits })).await?.code(), "declined");
    assert!(matches!(machine.poll(&venue, &challenge).await?.1?, EnrollAnswer::Declined {}));
    Ok(())
}

#[tokio::test]
async fn only_managers_and_owners_of_that_organizer_invite_and_confirm() -> Result<()> {
    let venue = Venue::open().await?;
    let (slot, _) = venue.invite("Mine").await?;
    let door = venue.member("door").await?;
    let slots = venue.path("/devices/slots");
    let body = json!({ "label": "x" });
    assert_eq!(venue.server.post_as(&door, &slots, &body).await?.status, 403);
    let confirm = format!("{slots}/{}/confirm", slot["slot_id"].as_str().context("id")?);
    assert_eq!(venue.server.post_as(&door, &confirm, &json!({ "digits": "000000" })).await?.status, 403);
    assert_eq!(venue.server.post(&slots, &body).await?.status, 401);
    assert_eq!(venue.post("/devices/slots", json!({ "label": " " })).await?.status, 422);

    let stranger = Venue::seeded(2).await?;
    let reply = stranger.server.post_as(&stranger.owner, &slots, &body).await?;
    assert_eq!(reply.status, 404, "another organizer's event does not exist for them");
    Ok(())
}
