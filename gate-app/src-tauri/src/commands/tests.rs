//! The commands of the page and those of the app are the same: by name, by argument, and by permission.

use super::NAMES;
use std::collections::{BTreeMap, BTreeSet};

const CONTRACT: &str = include_str!("../../../ui/src/lib/contract.ts");
const COMMANDS: &str = include_str!("mod.rs");
const CAPABILITY: &str = include_str!("../../capabilities/main.json");

type Arguments = BTreeMap<String, BTreeSet<String>>;

/// The interface `Commands`: a method is one line, its arguments one object, a place, or a picture.
fn of_the_page() -> Arguments {
    let (_, from) = CONTRACT.split_once("export interface Commands {\n").unwrap();
    let (interface, _) = from.split_once("\n}\n").unwrap();
    let methods = interface.lines().map(str::trim).filter(|line| line.ends_with(';'));
    methods
        .map(|method| {
            let (name, rest) = method.split_once('(').unwrap();
            let (arguments, _) = rest.split_once("):").unwrap();
            (name.to_owned(), arguments_of(arguments))
        })
        .collect()
}

fn arguments_of(arguments: &str) -> BTreeSet<String> {
    let named = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    match arguments {
        "" => named(&[]),
        "args: Place" => named(&["log_no", "seq"]),
        "frame: GrayFrame" => named(&["request"]),
        object => {
            let fields = object.strip_prefix("args: { ").and_then(|o| o.strip_suffix(" }")).unwrap();
            fields.split("; ").map(|field| field.split_once(':').unwrap().0.to_owned()).collect()
        }
    }
}

/// The functions of this module, without what the app itself hands in.
fn of_the_app() -> Arguments {
    COMMANDS
        .split("\nasync fn ")
        .skip(1)
        .map(|function| {
            let (name, rest) = function.split_once('(').unwrap();
            let (arguments, _) = rest.split_once(") -> ").unwrap();
            let names = arguments.split(',').filter_map(|argument| argument.split_once(':'));
            let names = names.map(|(name, _)| name.trim().to_owned());
            (name.to_owned(), names.filter(|n| !matches!(n.as_str(), "desk" | "window")).collect())
        })
        .collect()
}

#[test]
fn the_page_and_the_app_name_the_same_commands_and_arguments() {
    let page = of_the_page();
    assert_eq!(page.len(), 27);
    assert_eq!(page, of_the_app());
}

#[test]
fn every_command_is_registered_once() {
    let registered: BTreeSet<String> = NAMES.iter().map(|&n| n.to_owned()).collect();
    assert_eq!(registered.len(), NAMES.len());
    assert_eq!(registered, of_the_page().into_keys().collect());
}

/// Arguments travel as they are called in Rust; what takes any says so.
#[test]
fn commands_with_arguments_keep_their_names() {
    for function in COMMANDS.split("#[command").skip(1) {
        let (head, _) = function.split_once(" -> ").unwrap();
        let (attribute, signature) = head.split_once("async fn ").unwrap();
        let (name, _) = signature.split_once('(').unwrap();
        let takes = of_the_app()[name].iter().any(|argument| argument != "request");
        assert_eq!(attribute.contains(r#"rename_all = "snake_case""#), takes, "{name}");
    }
}

#[test]
fn the_window_may_call_its_commands_and_hear_events_and_nothing_more() {
    let capability: serde_json::Value = serde_json::from_str(CAPABILITY).unwrap();
    let granted: BTreeSet<&str> =
        capability["permissions"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    let own: Vec<String> = NAMES.iter().map(|name| format!("allow-{}", name.replace('_', "-"))).collect();
    let events = ["core:event:allow-listen", "core:event:allow-unlisten"];
    assert_eq!(granted, own.iter().map(String::as_str).chain(events).collect());
    assert_eq!(capability["windows"], serde_json::json!([crate::window::MAIN]));
    assert!(capability.get("remote").is_none());
}
