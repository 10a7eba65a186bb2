//! Nobody sees another's: through the routes, and when a handler forgets its filter.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use sqlx::PgConnection;
use support::server::send;
use uuid::Uuid;

use crate::{Stage, sign_up, text};

#[tokio::test]
async fn strangers_guests_and_other_organizers_find_nothing() -> Result<()> {
    let stage = Stage::open(10).await?;
    let mine = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let theirs = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let stranger = sign_up(&stage.server, "stranger@example.org").await?;
    let rival = sign_up(&stage.server, "rival@example.org").await?;
    let profile = json!({ "name": "Rival", "contact_email": "rival@example.org" });
    let put = stage.server.request(Method::PUT, "/organizer/profile").bearer_auth(&rival).json(&profile);
    send(put).await?.expect(201)?;

    let ticket = text(&theirs["tickets"][0], "ticket_id");
    let booking = text(&theirs, "booking_id");
    for path in [
        format!("/bookings/{booking}"),
        format!("/tickets/{ticket}"),
        format!("/tickets/{ticket}/qr.svg"),
        format!("/tickets/{ticket}/qr.png"),
    ] {
        assert_eq!(send(stage.as_guest(Method::GET, &path, &mine)).await?.status.as_u16(), 404, "{path}");
        assert_eq!(stage.server.get(&path).await?.status.as_u16(), 401, "{path}");
        for token in [&stranger, &rival] {
            assert_eq!(stage.server.get_as(token, &path).await?.status.as_u16(), 404, "{path}");
        }
        assert!(stage.server.get_as(&stage.owner, &path).await?.status.is_success(), "{path}");
    }
    let refund = json!({ "booking_id": booking });
    assert_eq!(stage.server.post_as(&rival, "/payment/refund", &refund).await?.status.as_u16(), 404);
    assert_eq!(stage.server.post_as(&stranger, "/payment/refund", &refund).await?.status.as_u16(), 404);
    for (method, path) in [
        (Method::GET, format!("/organizer/events/{}", stage.event_id)),
        (Method::PUT, format!("/organizer/events/{}/update", stage.event_id)),
        (Method::GET, format!("/organizer/events/{}/ticket-types", stage.event_id)),
        (Method::POST, format!("/organizer/events/{}/publish", stage.event_id)),
    ] {
        let request = stage.server.request(method, &path).json(&json!({}));
        assert_eq!(send(request.bearer_auth(&rival)).await?.status.as_u16(), 404, "{path}");
    }
    let claimed = stage.server.request(Method::GET, "/payment/history").bearer_auth(&rival);
    let claimed = send(claimed.header("Organizer-Id", stage.organizer_id.to_string())).await?;
    assert_eq!((claimed.status.as_u16(), claimed.code()), (403, "not_a_member"));
    let seen = send(stage.as_guest(Method::GET, "/tickets/view", &mine)).await?.expect(200)?;
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(1), "one's own and no more");
    Ok(())
}

#[tokio::test]
async fn door_staff_may_not_change_the_catalogue_or_refund() -> Result<()> {
    let stage = Stage::open(10).await?;
    let booking = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let door = sign_up(&stage.server, "door@example.org").await?;
    let mut owner = stage.owner_connection().await?;
    sqlx::query("insert into members (organizer_id, user_id, role, created_at) select $1, id, 'door', now() from users where email = 'door@example.org'")
        .bind(stage.organizer_id)
        .execute(&mut owner)
        .await?;
    let path = format!("/organizer/events/{}/gates", stage.event_id);
    let refused = stage.server.post_as(&door, &path, &json!({ "name": "North" })).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden"));
    assert!(stage.server.get_as(&door, &path).await?.status.is_success());
    let refund = json!({ "booking_id": booking["booking_id"] });
    assert_eq!(stage.server.post_as(&door, "/payment/refund", &refund).await?.status.as_u16(), 404);
    Ok(())
}

#[tokio::test]
async fn attendees_and_guests_see_their_rows_alone_when_a_query_forgets_its_filter() -> Result<()> {
    let stage = Stage::open(10).await?;
    let app = &stage.server.app;
    let me = sign_up(&stage.server, "me@example.org").await?;
    let order = stage.order(2, Some("tok_always_succeeds"));
    stage.server.post_as(&me, "/tickets/purchase", &order).await?.expect(201)?;
    let guest = stage.buy(1, Some("tok_always_succeeds")).await?.expect(201)?;
    let user_id: Uuid = sqlx::query_scalar("select id from users where email = 'me@example.org'")
        .fetch_one(&mut stage.owner_connection().await?)
        .await?;
    let hash = {
        use sha2::Digest as _;
        sha2::Sha256::digest(text(&guest, "booking_secret").as_bytes()).into()
    };
    assert_eq!(counts(&mut *app.db.user(user_id).await?).await?, [1, 2, 1]);
    assert_eq!(counts(&mut *app.db.guest(&hash).await?).await?, [1, 1, 1]);
    assert_eq!(counts(&mut *app.db.guest(&[0; 32]).await?).await?, [0, 0, 0]);
    assert_eq!(counts(&mut *app.db.tenant(Uuid::nil()).await?).await?, [0, 0, 0]);
    assert_eq!(counts(&mut *app.db.platform().await?).await?, [0, 0, 0]);
    assert_eq!(counts(&mut *app.db.tenant(stage.organizer_id).await?).await?, [2, 3, 2]);
    // To see is not to change.
    let mut tx = app.db.user(user_id).await?;
    let changed = sqlx::query("update bookings set total_minor = 0").execute(&mut *tx).await?;
    assert_eq!(changed.rows_affected(), 0);
    Ok(())
}

/// Rows of (bookings, tickets, transactions) that a query without any filter finds.
async fn counts(conn: &mut PgConnection) -> Result<[i64; 3]> {
    let mut found = [0; 3];
    for (n, query) in found.iter_mut().zip([
        "select count(*) from bookings",
        "select count(*) from tickets",
        "select count(*) from transactions",
    ]) {
        *n = sqlx::query_scalar(query).fetch_one(&mut *conn).await?;
    }
    Ok(found)
}

#[tokio::test]
async fn public_search_keeps_its_indexes_under_row_level_security() -> Result<()> {
    let stage = Stage::open(10).await?;
    let mut tx = stage.server.app.db.platform().await?;
    sqlx::query("set local enable_seqscan = off").execute(&mut *tx).await?;
    for (query, index) in [
        (
            "explain select event_id from event_search where document @@ websearch_to_tsquery('simple', 'winter')",
            "event_search_document",
        ),
        ("explain select word from search_words where word % 'wintr'", "search_words_trigrams"),
    ] {
        let plan: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *tx).await?;
        let plan = plan.join("\n");
        assert!(plan.contains(index), "{plan}");
    }
    Ok(())
}
