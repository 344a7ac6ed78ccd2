//! What must hold for any message body. Run by the fuzz target, and on its corpus by an ordinary test of `ledger`.

use ledger::{Body, Message, Status, entry::stored_content, envelope, event::pointer, failure, item, judge, schema};

pub(crate) fn body(bytes: &[u8]) {
    // SQS bodies are text, and Lambda hands them over as such.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let message = Message {
        message_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        body: text.to_owned(),
        group_id: Some("group".to_owned()),
        sequence_number: Some("18849496460467696128".to_owned()),
        sent_at_ms: Some(1_768_469_400_000),
        receive_count: 1,
    };
    let judged = judge(&message, 1_768_469_401_000);
    assert_eq!(judged.content, judge(&message, 0).content, "judging is a function of the body");
    assert_eq!(judged.claim_key.is_none(), judged.entry.is_attributed_by_group);
    if let Status::Invalid(failure) = &judged.entry.status {
        assert!(failure.reason.len() <= failure::REASON_BYTES_MAX);
        assert!(failure.errors.len() <= schema::ERRORS_MAX);
        assert!(failure.errors.iter().all(|error| error.pointer.len() <= pointer::POINTER_BYTES_MAX));
    }

    let conflict_key = judged.entry.key.conflict(judged.content);
    for entry in [judged.entry.clone(), judged.entry.into_conflict(conflict_key)] {
        let entry = entry.fitting(text, judged.content);
        let is_typed = matches!(entry.body, Body::Typed(_));
        let bytes = entry.item_bytes();
        let stored = entry.into_item();
        assert_eq!(item::item_bytes(&stored), bytes);
        assert!(bytes <= item::ITEM_BYTES_MAX, "{bytes} bytes");
        assert_eq!(stored_content(&stored), Some(judged.content), "G8: what is stored has the content of the body");
        if is_typed {
            assert!(envelope::read(text).envelope.is_ok());
        }
    }
}
