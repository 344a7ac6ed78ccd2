//! The corpus of the fuzz target, as an ordinary test.

#[path = "../../../fuzz/checks.rs"]
mod checks;

#[test]
fn every_body_of_the_corpus_keeps_the_rules() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/body");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is in the repository") {
        checks::body(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 40, "only {count} bodies");
}

#[test]
fn very_large_bodies_keep_the_rules() {
    let around = |payload: &str| {
        format!(r#"{{"tenant_id":"a","event_id":"1","event_type":"integrations","payload":{payload}}}"#)
    };
    for payload in [
        format!("{{\"a\":[{}0]}}", "0,".repeat(130_000)),
        format!("{{\"a\":[{}0]}}", "0,".repeat(300_000)),
        format!("{{\"a\":[{}0]}}", "{\"a\":0},".repeat(32_000)),
        format!("{{\"a\":\"{}\"}}", "x".repeat(390_000)),
        format!("{{\"a\":\"{}\"}}", "x".repeat(409_200)),
        format!("{{\"a\":\"{}\"}}", "x".repeat(600_000)),
        format!("{}1{}", "{\"a\":".repeat(40_000), "}".repeat(40_000)),
        "[".repeat(262_000),
    ] {
        checks::body(around(&payload).as_bytes());
    }
}
