//! What a busy server writes into its log names nobody and opens nothing.

use anyhow::{Context, Result, ensure};
use hvflvspot::clock::{Clock as _, SharedRng, SystemClock};
use hvflvspot::tour::api::{Api, text};
use hvflvspot::tour::gate::Gate;
use hvflvspot::tour::venue::{self, PIN, Plan};
use serde_json::json;
use support::process::{ServerProcess, reachable_dir};

const EMAIL: &str = "log-reader@demo.example";
const PASSWORD: &str = "not-for-the-log-9441";
const WRONG: &str = "a-wrong-guess-not-for-the-log-7713";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_personal_data_reaches_the_log() -> Result<()> {
    let folder = reachable_dir()?;
    let log = folder.path().join("server.log");
    let settings = [("HVFLVSPOT_LOG", "debug"), ("HVFLVSPOT_AUTH_LOGINS_PER_MINUTE", "50")];
    let stderr = std::fs::File::create(&log)?;
    let server = ServerProcess::start_logging(&folder.path().join("server"), &settings, stderr).await?;
    let api = Api::new(&server.url)?;
    let rng = SharedRng::seeded(9_441);

    // Accounts: made, wrongly and rightly signed in, refreshed.
    let session = api.post("/auth/v1/signup", json!({ "email": EMAIL, "password": PASSWORD })).await?;
    let wrong = json!({ "email": EMAIL, "password": WRONG });
    ensure!(api.post("/auth/v1/token?grant_type=password", wrong).await.is_err());
    let me = venue::sign_in(&api, EMAIL, PASSWORD).await?;
    let refresh = text(&session, "/refresh_token")?.to_owned();
    let body = json!({ "refresh_token": refresh });
    let again = api.post("/auth/v1/token?grant_type=refresh_token", body).await?;
    me.get("/auth/verify").await?;

    // A sale, looked at, validated, refunded; and requests that are refused.
    let organizer = venue::new_organizer(&api, &rng).await?;
    let plan = Plan { title: "Logs", capacity: 10, gates: &["Door"], reentry: false };
    let show = venue::put_on_sale(&organizer, SystemClock.now(), plan).await?;
    let bought = venue::buy(&api, &show, 2, "0192f0c1-0000-7000-8000-00000000aaaa").await?;
    let guest = api.with_booking_secret(&bought.secret);
    guest.get(&format!("/bookings/{}", bought.booking)).await?;
    guest.bytes(&format!("/tickets/{}/qr.svg", bought.tickets[0].id)).await?;
    let check = json!({ "event_id": show.event, "code": bought.tickets[1].code, "email": EMAIL });
    ensure!(organizer.post("/tickets/validate", check).await.is_err(), "an unknown field passes");
    ensure!(api.get(&format!("/bookings/{}?secret={}", bought.booking, bought.secret)).await.is_err());

    // A gate: enrolled, in use, synchronised.
    let gate = Gate::new("door", folder.path(), server.address()?);
    venue::enroll(&organizer, &show, &gate).await?;
    gate.json(&["sync"]).await?;
    let mut scanning = gate.scanning(&["--list", &show.list, "--gate", &show.gates[0]])?;
    scanning.scan(&bought.tickets[0].code).await?;
    ensure!(scanning.finish().await?.success());
    gate.json(&["sync"]).await?;
    let refund = json!({ "booking_id": bought.booking, "reason": "Not for the log" });
    organizer.post_once("/payment/refund", "0192f0c1-0000-7000-8000-00000000bbbb", refund).await?;
    ensure!(server.stop().await?.success());

    let written = std::fs::read_to_string(&log)?;
    ensure!(written.lines().count() > 50, "the server said next to nothing: {written}");
    ensure!(written.contains("/tickets/purchase"), "the requests are not in the log");
    let secrets = [
        ("an address", EMAIL),
        ("an address's domain", "demo.example"),
        ("a password", PASSWORD),
        ("a wrong password", WRONG),
        ("an access token", text(&session, "/access_token")?),
        ("a refresh token", refresh.as_str()),
        ("the next refresh token", text(&again, "/refresh_token")?),
        ("a booking's secret", bought.secret.as_str()),
        ("a ticket's code", bought.tickets[0].code.as_str()),
        ("a ticket's code", bought.tickets[1].code.as_str()),
        ("the beginning of codes", "HV1:"),
        ("a PIN", PIN),
        ("a reason", "Not for the log"),
    ];
    for (what, secret) in secrets {
        if let Some(line) = written.lines().find(|line| line.contains(secret)) {
            // The line itself would carry it further.
            let at = written.lines().position(|l| l == line).context("it was found")?;
            anyhow::bail!("{what} stands in line {} of the log", at + 1);
        }
    }
    Ok(())
}
