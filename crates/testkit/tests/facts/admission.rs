//! Puts a fact to the rules that AWS checks event source mappings by: `given.request` is what `CreateEventSourceMapping`
//! is asked for, or `UpdateEventSourceMapping` where `given.update` holds what is changed; `given.looked_up` is what AWS
//! finds then.
//!
//! The answer is the mapping, or a refusal, with its `status`.

use cloudsim::admission::{MAPPING_RULES, MappingSettings, check};
use serde_json::{Value, json};

pub(crate) fn answers(given: &Value) -> Value {
    let mut request = given["request"].as_object().expect("given.request is an object").clone();
    if let Some(update) = given["update"].as_object() {
        request.remove("FunctionName");
        request.extend(update.clone());
    }
    let mut settings: MappingSettings = serde_json::from_value(request.into()).unwrap();
    if let Some(looked_up) = given.get("looked_up") {
        settings.looked_up = serde_json::from_value(looked_up.clone()).unwrap();
    }
    match check(MAPPING_RULES, &settings) {
        Ok(()) => {
            let mut answer = serde_json::to_value(settings).unwrap();
            answer["status"] = json!(202);
            answer
        }
        Err(refusal) => json!({
            "status": refusal.code.status(),
            "code": format!("{:?}", refusal.code),
            "message": refusal.text,
        }),
    }
}
