//! The command against the local cloud.

mod support;

use local::{
    Cloud, Options, Role,
    command::traffic,
    lambda::{function::invoke, functions},
};
use serde_json::json;
use support::ledgerctl;

async fn cloud() -> Cloud {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    functions::deploy(&cloud).await.unwrap();
    cloud
}

/// Sends bodies straight to the processor.
async fn process(cloud: &Cloud, bodies: &[serde_json::Value]) {
    let record = |(number, body): (usize, &serde_json::Value)| {
        json!({ "messageId": format!("m-{number}"), "body": body.to_string(), "attributes": {
            "MessageGroupId": "a", "SequenceNumber": number.to_string(), "SentTimestamp": "1768469400000"
        }, "messageAttributes": {} })
    };
    let event = json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() });
    let name = cloud.deployment().function_name(Role::Processor);
    let processor = cloud.services().functions.get(&name).unwrap();
    invoke(&processor, event.to_string().into_bytes()).await.unwrap();
    traffic::until_landed(cloud.services()).await.unwrap();
}

fn event(event_id: &str, email: &str) -> serde_json::Value {
    json!({ "tenant_id": "a", "event_id": event_id, "event_type": "user.created", "payload": { "id": "1", "email": email } })
}

#[tokio::test]
async fn an_event_is_explained_from_claim_to_next_step() {
    let cloud = cloud().await;
    process(
        &cloud,
        &[event("1", "ada@example.com"), event("12", "nobody"), event("3", "a@b.co"), event("3", "c@d.co")],
    )
    .await;
    for (event_id, code, expected) in [
        ("1", 0, &["READY", "nothing: the event is READY."][..]),
        ("12", 0, &["INVALID", "/payload/email breaks format", "correct the producer"]),
        ("3", 0, &["READY", "INVALID", "an earlier event has the same", "for different content"]),
        ("4", 1, &["claim    none", "no such event"]),
        ("a#b", 2, &["without `#`"]),
    ] {
        let (ended, listed, said) = ledgerctl(&cloud, &["explain", "a", event_id]).await;
        let text = listed + &said;
        assert_eq!(ended, code, "{text}");
        assert!(expected.iter().all(|part| text.contains(part)), "{event_id}: {text}");
    }
    let (ended, listed, said) = ledgerctl(&cloud, &["--project", "other", "explain", "a", "1"]).await;
    let text = listed + &said;
    assert_eq!(ended, 3, "{text}");
    assert!(text.contains("cannot read other-"), "{text}");
    cloud.stop().await.unwrap();
}
