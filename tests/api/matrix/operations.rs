//! The operations of the served document.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::Value;

#[derive(Debug)]
pub struct Operation {
    pub method: Method,
    pub path: String,
    /// Of the document, if it has one.
    pub example: Option<Value>,
    pub takes_organizer: bool,
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

/// Every operation of the document.
pub fn operations(document: &Value) -> Result<Vec<Operation>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(of) = item.get(method) else { continue };
            let content = &of["requestBody"]["content"]["application/json"];
            let schema = content["schema"]["$ref"].as_str().and_then(|r| r.rsplit('/').next());
            let of_schema = schema.map(|name| &document["components"]["schemas"][name]["example"]);
            let example = [Some(&content["example"]), of_schema].into_iter().flatten().find(|e| !e.is_null());
            let parameters = of["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            all.push(Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                example: example.cloned(),
                takes_organizer: path.starts_with("/organizer/")
                    || parameters.iter().any(|p| p["name"] == "Organizer-Id"),
            });
        }
    }
    Ok(all)
}
