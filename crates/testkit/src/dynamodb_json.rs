//! Items as DynamoDB writes them in JSON, which is how a stream's records bear them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ledger::{Attribute, Item};
use serde_json::{Map, Value, json};

pub fn image(item: &Item) -> Value {
    let attribute = |attribute: &Attribute| match attribute {
        Attribute::S(text) => json!({ "S": text }),
        Attribute::N(number) => json!({ "N": number }),
        Attribute::B(bytes) => json!({ "B": STANDARD.encode(bytes) }),
        Attribute::M(members) => of_members(members),
    };
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Map<_, _>>().into()
}

fn of_members(members: &Map<String, Value>) -> Value {
    json!({ "M": members.iter().map(|(name, value)| (name.clone(), of(value))).collect::<Map<_, _>>() })
}

fn of(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(truth) => json!({ "BOOL": truth }),
        Value::Number(number) => json!({ "N": number.as_str() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(elements) => json!({ "L": elements.iter().map(of).collect::<Vec<_>>() }),
        Value::Object(members) => of_members(members),
    }
}
