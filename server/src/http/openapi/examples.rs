//! Examples made from schemas: what a field's own example, format or name suggests.

use serde_json::{Map, Value, json};

const REF: &str = "#/components/schemas/";
/// Schemas nest less; one that contains itself stops here.
const DEPTH: usize = 16;

pub(super) struct Examples<'a> {
    schemas: &'a Value,
}

impl<'a> Examples<'a> {
    pub(super) fn new(schemas: &'a Value) -> Self {
        Self { schemas }
    }

    /// A value of the schema.
    pub(super) fn of(&self, schema: &Value) -> Value {
        self.make(schema, "", 0)
    }

    fn make(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if let Some(given) = schema.get("example").or_else(|| schema["examples"].get(0)) {
            return given.clone();
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|r| r.strip_prefix(REF)) {
            return if depth > DEPTH {
                Value::Null
            } else {
                self.make(&self.schemas[target], name, depth + 1)
            };
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                if let Value::Object(members) = self.make(part, name, depth + 1) {
                    whole.extend(members);
                }
            }
            return Value::Object(whole);
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(first) =
                schema[choice].as_array().and_then(|all| all.iter().find(|s| s["type"] != "null"))
            {
                return self.make(first, name, depth + 1);
            }
        }
        if let Some(first) = schema["enum"].get(0).or_else(|| schema.get("const")) {
            return first.clone();
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or("null")
            }
            _ => "object",
        };
        match kind {
            "object" => self.object(schema, depth),
            "array" if depth > DEPTH => json!([]),
            "array" => json!([self.make(&schema["items"], name, depth + 1)]),
            "integer" => integer(schema, name),
            "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(48.2)),
            "boolean" => json!(false),
            "string" => Value::from(text(schema, name)),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let mut members: Map<String, Value> =
            properties.iter().map(|(name, of)| (name.clone(), self.make(of, name, depth + 1))).collect();
        if let (true, of @ Value::Object(_)) = (members.is_empty(), &schema["additionalProperties"]) {
            members.insert("name".to_owned(), self.make(of, "", depth + 1));
        }
        Value::Object(members)
    }
}

fn integer(schema: &Value, name: &str) -> Value {
    let least = schema["minimum"].as_i64().unwrap_or(1);
    let usual = match name {
        "amount_minor" => 2_500,
        "capacity" => 500,
        "expires_at" => 1_798_138_800,
        "expires_in" => 3_600,
        "hold_secs" | "extension_secs" => 900,
        "rate_bp" => 700,
        _ => least.max(1),
    };
    json!(schema["maximum"].as_i64().map_or(usual, |most| usual.min(most)).max(least))
}

fn text(schema: &Value, name: &str) -> String {
    match schema["format"].as_str() {
        Some("uuid") => return uuid(name),
        Some("date-time") => return "2026-12-24T19:00:00Z".to_owned(),
        Some("date") => return "2026-12-24".to_owned(),
        _ => {}
    }
    match name {
        "email" | "contact_email" => "ada@example.org",
        "password" | "current_password" => "correct-horse-battery-staple",
        "currency" => "EUR",
        "country" => "AT",
        "city" => "Vienna",
        "time_zone" => "Europe/Vienna",
        "website" | "url" | "link" => "https://example.org",
        "category_id" => "music",
        "pin" => "2468",
        "digits" => "123456",
        "code" => "HV1:…",
        "next_cursor" | "cursor" => "5cUy1QAAAAAAAAAAF6pC",
        "token" | "access_token" | "refresh_token" | "booking_secret" => "…",
        // A field whose words are few says them: "`payment` or `refund`".
        other => return quoted(schema).unwrap_or_else(|| other.replace('_', " ")),
    }
    .to_owned()
}

/// The first word that a field's description quotes.
fn quoted(schema: &Value) -> Option<String> {
    schema["description"]
        .as_str()?
        .split('`')
        .nth(1)
        .filter(|word| !word.contains([' ', '/']))
        .map(str::to_owned)
}

/// The same thing has the same id in every example.
fn uuid(name: &str) -> String {
    let number: u32 = name.bytes().fold(7, |n: u32, b| n.wrapping_mul(31).wrapping_add(b.into())) % 0xffff;
    format!("0192f0c1-0000-7000-8000-00000000{number:04x}")
}
