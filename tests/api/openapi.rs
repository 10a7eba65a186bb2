//! The OpenAPI document: complete, stable, and equal to the checked-in copy. What it says of answers is checked by every
//! API test (see `support::documented`), and from outside by scripts/third/schemathesis.
//! `OPENAPI=write cargo nextest run -p hvflvspot-tests --test openapi` writes the copy anew, as `make gen` does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

struct Operation {
    name: String,
    path: String,
    of: Value,
}

fn document() -> Result<Value> {
    Ok(serde_json::from_str(&hvflvspot::http::openapi::document().to_json()?)?)
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, of) in item.as_object().into_iter().flatten() {
            all.push(Operation {
                name: format!("{} {path}", method.to_uppercase()),
                path: path.clone(),
                of: of.clone(),
            });
        }
    }
    all
}

/// Fails with all complaints at once.
fn none(complaints: &[String]) -> Result<()> {
    anyhow::ensure!(complaints.is_empty(), "\n  {}", complaints.join("\n  "));
    Ok(())
}

#[test]
fn the_checked_in_document_is_what_the_routes_say() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    if std::env::var("OPENAPI").is_ok_and(|v| v == "write") {
        std::fs::write(path, format!("{}\n", hvflvspot::http::openapi::document().to_pretty_json()?))?;
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let now = document()?;
    if kept == now {
        return Ok(());
    }
    let names = |d: &Value| operations(d).into_iter().map(|o| (o.name, o.of)).collect::<BTreeMap<_, _>>();
    let (old, new) = (names(&kept), names(&now));
    let differs: Vec<&str> = new
        .keys()
        .chain(old.keys())
        .filter(|name| old.get(*name) != new.get(*name))
        .map(String::as_str)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    anyhow::bail!(
        "docs/openapi.json is not what the routes say: run `make gen`, look at the difference, commit it.\n\
         Operations that differ: {}",
        if differs.is_empty() { "none, but their schemas".to_owned() } else { differs.join(", ") }
    );
}

#[test]
fn every_operation_has_a_stable_name_of_its_own() -> Result<()> {
    let document = document()?;
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for operation in operations(&document) {
        let id = operation.of["operationId"].as_str().unwrap_or_default().to_owned();
        let snake =
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !snake {
            wrong.push(format!("{}: operation_id {id:?} is not snake_case", operation.name));
        }
        names.entry(id).or_default().push(operation.name);
    }
    for (id, of) in names.iter().filter(|(_, of)| of.len() > 1) {
        wrong.push(format!("operation_id {id:?} is shared by {}: give each its own", of.join(", ")));
    }
    none(&wrong)
}

#[test]
fn every_operation_says_what_it_does_and_where_it_belongs() -> Result<()> {
    let document = document()?;
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .context("tags")?
        .iter()
        .filter(|t| t["description"].as_str().is_some_and(|d| !d.is_empty()))
        .filter_map(|t| t["name"].as_str())
        .collect();
    let schemes = document["components"]["securitySchemes"].as_object().context("schemes")?;
    let mut wrong = Vec::new();
    for Operation { name, of, .. } in operations(&document) {
        if of["summary"].as_str().unwrap_or_default().is_empty() {
            wrong.push(format!("{name}: no summary"));
        }
        match of["tags"].as_array().map(Vec::as_slice) {
            Some([tag]) if tags.contains(tag.as_str().unwrap_or_default()) => {}
            other => wrong.push(format!("{name}: tags {other:?}; one, described in http/openapi/mod.rs")),
        }
        match of["security"].as_array() {
            None => wrong.push(format!("{name}: says nothing of security")),
            Some(ways) => wrong.extend(
                ways.iter()
                    .filter_map(Value::as_object)
                    .flat_map(|w| w.keys())
                    .filter(|way| !schemes.contains_key(*way))
                    .map(|way| format!("{name}: unknown security {way}")),
            ),
        }
        for parameter in of["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" && parameter["description"].as_str().unwrap_or_default().is_empty()
            {
                wrong.push(format!("{name}: query parameter {} has no description", parameter["name"]));
            }
        }
    }
    none(&wrong)
}

#[test]
fn every_answer_is_described_and_every_refusal_has_codes() -> Result<()> {
    let document = document()?;
    let mut wrong = Vec::new();
    for Operation { name, path, of } in operations(&document) {
        let answers = of["responses"].as_object().context("responses")?;
        for needed in ["500", "503"] {
            if !answers.contains_key(needed) {
                wrong.push(format!("{name}: no {needed}"));
            }
        }
        if !answers.keys().any(|status| status.starts_with('2')) {
            wrong.push(format!("{name}: never succeeds"));
        }
        for (status, answer) in answers {
            let shared = answer["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
            let answer = shared.and_then(|r| document.pointer(r)).unwrap_or(answer);
            if answer["description"].as_str().unwrap_or_default().is_empty() {
                wrong.push(format!("{name} {status}: no description"));
            }
            let refused = status.as_str() >= "400";
            let health = path == "/health";
            if refused && !health && answer["x-error-codes"].as_array().is_none_or(Vec::is_empty) {
                wrong.push(format!("{name} {status}: name its codes in backticks"));
            }
            for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                let problem = if path.starts_with("/auth/v1/") {
                    "application/json"
                } else {
                    "application/problem+json"
                };
                if refused && !health && kind != problem {
                    wrong.push(format!("{name} {status}: {kind} instead of {problem}"));
                }
                let shown = content.get("example").is_some() || content.get("examples").is_some();
                if kind.ends_with("json") && !shown {
                    wrong.push(format!("{name} {status}: no example"));
                }
            }
        }
        for (kind, content) in of["requestBody"]["content"].as_object().into_iter().flatten() {
            if kind == "application/json" && content.get("example").is_none() {
                wrong.push(format!("{name}: no example of its body"));
            }
        }
    }
    none(&wrong)
}

#[test]
fn every_list_is_paged_in_the_one_way() -> Result<()> {
    let document = document()?;
    let resolve = |schema: &Value| -> Value {
        let target = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next());
        target.map_or_else(|| schema.clone(), |name| document["components"]["schemas"][name].clone())
    };
    let mut wrong = Vec::new();
    let mut lists = 0;
    for Operation { name, of, .. } in operations(&document) {
        let named = &of["responses"]["200"]["content"]["application/json"]["schema"];
        let schema = resolve(named);
        // One person's sessions, one organizer's team: read whole.
        let whole =
            name.contains(" /dev/") || ["GET /auth/sessions", "GET /organizer/members"].contains(&&*name);
        if schema["type"] == "array" && !whole {
            wrong.push(format!("{name}: answers a bare array; use Page"));
        }
        // Whatever is hardly more than its items is a list.
        let members = schema["properties"].as_object().map_or(0, serde_json::Map::len);
        if !schema["properties"]["items"].is_object() || members > 3 {
            continue;
        }
        lists += 1;
        if !schema["properties"]["next_cursor"].is_object() {
            wrong.push(format!("{name}: items without next_cursor; use Page"));
        }
        // A handful that is never more than one page.
        if ["GET /categories", "GET /events/recommended", "GET /organizer/webhooks"].contains(&&*name) {
            continue;
        }
        let parameters = of["parameters"].as_array().context("parameters")?;
        let limit = parameters.iter().find(|p| p["name"] == "limit");
        let bounds = limit.map(|p| (p["schema"]["minimum"].as_i64(), p["schema"]["maximum"].as_i64()));
        if bounds != Some((Some(1), Some(200))) {
            wrong.push(format!("{name}: limit is {bounds:?}, everywhere else 1 to 200"));
        }
        if !parameters.iter().any(|p| p["name"] == "cursor") {
            wrong.push(format!("{name}: takes no cursor"));
        }
    }
    anyhow::ensure!(lists > 10, "the search for lists found {lists}");
    none(&wrong)
}

/// Two types of one name would silently share one schema: the one that comes last describes both.
#[test]
fn every_schema_is_of_one_type() -> Result<()> {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src"));
    let mut folders = vec![root.to_path_buf()];
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path)?;
                let place = path.strip_prefix(root)?.display().to_string();
                for name in schemas_of(&text) {
                    places.entry(name).or_default().push(place.clone());
                }
            }
        }
    }
    anyhow::ensure!(places.len() > 50, "the search for schemas found {}", places.len());
    let twice = places.iter().filter(|(_, of)| of.len() > 1);
    none(
        &twice
            .map(|(name, of)| format!("{name} in {}: #[schema(as = …)]", of.join(", ")))
            .collect::<Vec<_>>(),
    )
}

/// The names of the schemas that a source derives.
fn schemas_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut derived, mut renamed) = (false, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[derive(") {
            (derived, renamed) = (line.contains("ToSchema"), None);
        }
        if let Some((_, name)) = line.split_once("schema(as = ") {
            renamed = name.split([')', ',']).next().map(str::to_owned);
        }
        let mut words = line.split_whitespace().filter(|word| !word.starts_with("pub"));
        if let (true, Some("struct" | "enum"), Some(name)) = (derived, words.next(), words.next()) {
            let own = name.split(['<', '(', ';', '{']).next().unwrap_or(name).to_owned();
            names.push(renamed.take().unwrap_or(own));
            derived = false;
        }
    }
    names
}

/// Of two types with one name the document would keep one, for the routes of both.
#[test]
fn no_two_schemas_have_the_same_name() -> Result<()> {
    fn sources(dir: &std::path::Path, all: &mut Vec<std::path::PathBuf>) -> Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                sources(&path, all)?;
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push(path);
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    sources(concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src").as_ref(), &mut files)?;
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        for item in text.split("#[derive(").skip(1) {
            // From one derive to the item that it is of: its attributes stand between.
            let Some((derives, rest)) = item.split_once(")]") else { continue };
            let name = rest.lines().find_map(|line| {
                let line = line.trim_start();
                let line = line
                    .rsplit_once("struct ")
                    .or_else(|| line.rsplit_once("enum "))
                    .filter(|_| !line.starts_with('/'))?;
                Some(line.1.chars().take_while(|c| c.is_alphanumeric()).collect::<String>())
            });
            let renamed = rest
                .split_once("#[schema(as = ")
                .filter(|(before, _)| !before.contains("struct ") && !before.contains("enum "));
            let renamed =
                renamed.and_then(|(_, after)| after.split_once(')')).map(|(name, _)| name.to_owned());
            if let (true, Some(name)) = (derives.contains("ToSchema"), renamed.or(name)) {
                places.entry(name).or_default().push(file.display().to_string());
            }
        }
    }
    anyhow::ensure!(places.len() > 100, "only {} schemas are seen", places.len());
    let twice = places.iter().filter(|(_, files)| files.len() > 1);
    none(&twice.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect::<Vec<_>>())
}
