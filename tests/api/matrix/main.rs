//! Who gets in where, seen from outside: every operation of the served OpenAPI document × every kind of caller
//! × an object of the caller's own side and one of somebody else's, by real requests, against `matrix.txt`,
//! which a person can read. An operation without a line fails, and so does a line without an operation.
//!
//! Only who is let in is compared: whatever a request meets behind the door (400, 409, 422 …) counts as in.
//! Browsers are the same callers with another credential, and no column: for two of them each operation must let the
//! session's cookie in where it lets the bearer token in, and no page of another site with that cookie.
//! `MATRIX=write cargo nextest run -p hvflvspot-tests --test matrix` writes the table anew, for review.

mod objects;
mod operations;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hvflvspot::domain::access::{self, Scope};
use serde_json::{Value, json};
use support::server::send;

use crate::objects::{body_of, filled, object};
use crate::operations::{Operation, operations};
use crate::world::{PASSWORD, World, sign_in, world};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api/matrix.txt");
const HEAD: &str = "\
# Who gets in where. Two signs a caller: for an object of its own side, and for somebody else's
# (own organizer, own booking; where a path names none, another organizer in the header Organizer-Id).
#   + let in   1 not signed in (401)   3 may not (403)   4 may not know of it (404)
# anon    nobody in particular         guest   holds a booking's secret     user    bought with an account
# door, manager, owner                 members of the organizer
# admin   administrator of the platform, member of none
# system  system account with the scope that the route takes (with all of them, if it takes none)
# bare    system account with another scope alone
# Gates sign their requests: nobody here gets past their routes.
";

const CALLERS: [&str; 9] = ["anon", "guest", "user", "door", "manager", "owner", "admin", "system", "bare"];

fn text(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

/// How an account shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Token,
    /// By the session's cookie, from a page of the server's own.
    Cookie,
    /// By the cookie that another site's page makes the browser send.
    ForeignPage,
}

/// One request; its sign.
async fn ask(world: &mut World, operation: &Operation, who: &str, side: usize, by: By) -> Result<char> {
    let mut secret = world.lasting[0].secret.clone();
    let mut path = operation.path.clone();
    while let Some(at) = path.find('{') {
        let end = at + path[at..].find('}').context("a closing brace")?;
        let name = path[at + 1..end].to_owned();
        let (id, shown) = object(world, operation, &name, side, who).await?;
        if matches!(name.as_str(), "booking_id" | "ticket_id" | "entry_id") {
            secret = shown;
        }
        path.replace_range(at..=end, &id);
    }
    let mut body = filled(world, operation, body_of(operation), side, who, &mut secret).await?;
    match operation.name().as_str() {
        // Whoever is no member anywhere would found an organizer, and be its owner from here on.
        "PUT /organizer/profile" if matches!(who, "user" | "admin") => body = json!({}),
        // Not all of the account's sessions.
        "POST /auth/v1/logout" => path.push_str("?scope=local"),
        _ => {}
    }
    let scope = access::action_of(operation.method.as_str(), &operation.path).and_then(access::Action::scope);
    let ends_session = matches!(operation.path.as_str(), "/auth/v1/logout" | "/auth/session");
    let mut token = match who {
        "user" => Some(world.user.clone()),
        "door" => Some(world.door.clone()),
        "manager" => Some(world.manager.clone()),
        "owner" => Some(world.ours.owner.clone()),
        "admin" => Some(world.admin.clone()),
        "system" => Some(world.system.clone()),
        "bare" => Some(world.bare[usize::from(scope == Some(Scope::EventsRead))].clone()),
        _ => None,
    };
    if ends_session && operation.changes() && token.is_some() && !matches!(who, "system" | "bare") {
        token = Some(sign_in(&world.server, &format!("{who}@matrix.example")).await?);
    }
    let cookie = match by {
        By::Token => None,
        By::Cookie | By::ForeignPage => Some(browse(world, who, ends_session).await?),
    };
    for _ in 0..3 {
        let mut request = world.server.request(operation.method.clone(), &path);
        if let Some(cookie) = &cookie {
            let page = if by == By::Cookie { &world.server.url } else { "https://elsewhere.example" };
            request = request.header("cookie", cookie).header("origin", page);
        } else if let Some(token) = &token {
            request = request.bearer_auth(token);
        } else if who == "guest" {
            request = request.header("booking-secret", &secret);
        }
        if side == 1 && operation.takes_organizer && !path_names_object(operation) {
            request = request.header("organizer-id", &world.theirs.organizer);
        }
        if operation.changes() {
            request = request.json(&body);
        }
        let reply = send(request).await?;
        match reply.status.as_u16() {
            401 => return Ok('1'),
            403 => return Ok('3'),
            404 => return Ok('4'),
            // A limit is no answer: the minute passes.
            429 => world.clock.advance(Duration::from_secs(61)),
            500.. => {
                // The test server puts this in the place of an answer that the document lacks.
                let lacking = reply.text.split_once("does not know this answer of ").map(|(_, of)| of.trim());
                let status = lacking.and_then(|of| of.rsplit_once(": ")).map(|(_, answer)| &answer[..3]);
                let sign = match status {
                    Some("401") => '1',
                    Some("403") => '3',
                    Some("404") => '4',
                    Some(status) if !status.starts_with('5') => '+',
                    _ => bail!("{} {path} as {who}: {}", operation.method, reply.text),
                };
                world.undocumented.extend(lacking.map(|of| format!("the document lacks {of}")));
                return Ok(sign);
            }
            _ => return Ok('+'),
        }
    }
    bail!("{} {path} as {who}: limited again and again", operation.method)
}

fn path_names_object(operation: &Operation) -> bool {
    operation.path.contains('{')
}

async fn row(world: &mut World, operation: &Operation) -> Result<String> {
    let mut out = format!("{:<78}", operation.name());
    for who in CALLERS {
        let own = ask(world, operation, who, 0, By::Token).await?;
        let others = ask(world, operation, who, 1, By::Token).await?;
        write!(out, " {:>7}", format!("{own}{others}"))?;
    }
    Ok(out)
}

/// What differs between a browser and its account's tokens in an operation whose row is `row`, and should not.
async fn browsers(world: &mut World, operation: &Operation, row: &str) -> Result<Vec<String>> {
    let cells: Vec<Vec<char>> = row[78..].split_whitespace().map(|cell| cell.chars().collect()).collect();
    let column = |who: &str| CALLERS.iter().position(|caller| *caller == who).unwrap_or_default();
    let mut wrong = Vec::new();
    for who in ["user", "owner"] {
        for side in [0, 1] {
            // GoTrue's paths know tokens alone: a cookie is nobody there.
            let like = if operation.path.starts_with("/auth/v1/") { "anon" } else { who };
            let (expected, seen) =
                (cells[column(like)][side], ask(world, operation, who, side, By::Cookie).await?);
            if seen != expected {
                wrong.push(format!("{}: {who} by cookie {seen}, not {expected}", operation.name()));
            }
        }
        if !operation.changes() {
            continue;
        }
        let nobody = cells[column("anon")][0];
        let seen = ask(world, operation, who, 0, By::ForeignPage).await?;
        if seen != '3' && seen != nobody {
            wrong.push(format!("{}: {who} is let in from another site's page: {seen}", operation.name()));
        }
    }
    Ok(wrong)
}

/// `name=text` of a browser session's cookie; of a session of its own if it is to end.
async fn browse(world: &mut World, who: &str, to_end: bool) -> Result<String> {
    if let Some(cookie) = world.cookies.get(who).filter(|_| !to_end) {
        return Ok(cookie.clone());
    }
    let login = json!({ "email": format!("{who}@matrix.example"), "password": PASSWORD });
    let reply = world.server.post("/auth/session", &login).await?;
    let cookie = reply.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    reply.expect(201)?;
    if !to_end {
        world.cookies.insert(who.to_owned(), cookie.clone());
    }
    Ok(cookie)
}

/// What the table inside says of members must be what is seen from outside, for whoever acts on an own object.
fn agrees(operation: &Operation, row: &str) -> Option<String> {
    let action = access::action_of(operation.method.as_str(), &operation.path)?;
    // Everybody may leave, and nobody but owners and managers put others out.
    if !action.is_staff_work() || action == access::Action::EndMembership {
        return None;
    }
    let cells: Vec<&str> = row[78..].split_whitespace().collect();
    for (who, role) in
        [(3, access::OrgRole::Door), (4, access::OrgRole::Manager), (5, access::OrgRole::Owner)]
    {
        // What is open to administrators alone is nothing that members do.
        let told = action.least_role().is_some() && access::member_may(Some(action), role).is_ok();
        if cells[who].starts_with('+') != told {
            return Some(format!(
                "{}: domain::access and the server differ about {role:?}",
                operation.name()
            ));
        }
    }
    let told = action.scope().is_some();
    (cells[7].starts_with('+') != told)
        .then(|| format!("{}: domain::access and the server differ about system accounts", operation.name()))
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() -> Result<()> {
    let mut world = world().await?;
    // A redirect is an answer; where it leads is not ours.
    world.server.client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let document = world.server.get("/openapi.json").await?.expect(200)?;
    let operations = operations(&document)?;
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for operation in &operations {
        let row = row(&mut world, operation).await?;
        wrong.extend(agrees(operation, &row));
        wrong.extend(browsers(&mut world, operation, &row).await?);
        if access::action_of(operation.method.as_str(), &operation.path).is_none() {
            wrong.push(format!("{}: enter it in domain::access::ROUTES", operation.name()));
        }
        seen.insert((operation.path.clone(), operation.method.to_string()), row);
    }
    wrong.extend(std::mem::take(&mut world.undocumented));
    for (method, path, _) in access::ROUTES {
        if !seen.contains_key(&((*path).to_owned(), (*method).to_owned())) {
            wrong.push(format!("{method} {path}: stands in domain::access::ROUTES and in no document"));
        }
    }
    let head = CALLERS.iter().fold(format!("{:<78}", "# operation"), |line, who| format!("{line} {who:>7}"));
    let now: Vec<&String> = seen.values().collect();
    if std::env::var("MATRIX").is_ok_and(|v| v == "write") {
        let rows = now.iter().fold(String::new(), |out, row| format!("{out}{row}\n"));
        std::fs::write(TABLE, format!("{HEAD}{head}\n{rows}"))?;
    }
    let table = std::fs::read_to_string(TABLE)?;
    let lines: Vec<&str> = table.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()).collect();
    for row in &now {
        if !lines.contains(&row.as_str()) {
            wrong.push(format!("+ {row}"));
        }
    }
    for line in lines {
        if !now.iter().any(|row| row.as_str() == line) {
            wrong.push(format!("- {line}"));
        }
    }
    wrong.sort_by_key(|line| line.trim_start_matches(['+', '-', ' ']).to_owned());
    assert!(
        wrong.is_empty(),
        "the table says (-), the server does (+); MATRIX=write writes it anew, for review:\n  {head}\n{}",
        wrong.join("\n")
    );
    Ok(())
}
