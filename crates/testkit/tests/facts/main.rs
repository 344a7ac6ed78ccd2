//! Facts about AWS, as others recorded them, put to what we run in its place: the local cloud's endpoint and the models
//! behind it, and the Terraform.
//!
//! `facts/*.json` holds a file an area and an object a fact. `put_to` names what it is put to, `given` says what is done
//! there. `aws` maps JMESPath expressions over what came out, the answers, to what they gave on AWS; where that is what
//! another answer held, it is a template (see [`filled_in`]). A fact that we do not follow says why in `differs`, one
//! that is put to nothing says why in `not_run`. Changing sides fails here.

mod admission;
mod endpoint;
mod fidelity;
mod mapping;
mod terraform;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cloudsim::admission::{MAPPING_RULES, Source};
use jmespath::Variable;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

/// One fact.
#[expect(dead_code, reason = "for who reads the file")]
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fact {
    id: String,
    says: String,
    put_to: Option<Subject>,
    given: Value,
    aws: BTreeMap<String, Value>,
    differs: Option<String>,
    not_run: Option<String>,
    matters: Matters,
    confidence: Confidence,
    source: Origin,
}

/// What a fact is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Subject {
    Admission,
    Endpoint,
    QueueMapping,
    StreamMapping,
    Terraform,
}

/// What goes wrong where the fact is not known: a deployment or an event (A), a conclusion (B), nothing but form (C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Matters {
    A,
    B,
    C,
}

/// How a fact is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Confidence {
    /// The answer itself lies in a file.
    Recorded,
    /// Somebody ran the assertion on AWS.
    ValidatedTest,
    Documented,
}

/// Where a fact was read.
#[expect(dead_code, reason = "for who reads the file")]
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    repository: String,
    path: String,
    r#where: String,
    recorded: Option<String>,
    licence: String,
}

impl Fact {
    /// Does what is given and returns the answers. `given.cases` lists what differs from case to case; the answers are
    /// then a list.
    async fn run(&self) -> Option<Value> {
        let subject = self.put_to?;
        let Some(cases) = self.given.get("cases") else { return Some(subject.answers(&self.given).await) };
        let mut answers = Vec::new();
        for case in cases.as_array().expect("given.cases is a list") {
            let mut given = self.given.clone();
            merge(&mut given, case);
            answers.push(subject.answers(&given).await);
        }
        Some(Value::Array(answers))
    }

    /// Returns how the answers differ from what AWS gave; nothing where they are the same.
    fn differences(&self, answers: &Value) -> Vec<String> {
        let differ = |(expression, expected): (&String, &Value)| {
            let expected = &filled_in(expected, answers);
            let actual = search(expression, answers);
            let says_nothing = is_same(&search(expression, &Value::Null), expected);
            let difference = || format!("{expression}: AWS {expected}, here {actual}");
            (says_nothing || !is_same(&actual, expected)).then(difference)
        };
        self.aws.iter().filter_map(differ).collect()
    }

    /// Says what is wrong with a fact that was run.
    fn complaint(&self, answers: Option<&Value>) -> Option<String> {
        let what = match (answers, &self.differs, &self.not_run) {
            (None, None, Some(_)) => return None,
            (None, ..) => "is put to nothing: say to what in put_to, or why not in not_run".to_owned(),
            (Some(_), _, Some(_)) => "says not_run and put_to at once".to_owned(),
            (Some(answers), differs, None) => {
                let differences = self.differences(answers);
                match (differences.is_empty(), differs) {
                    (true, None) | (false, Some(_)) => return None,
                    (true, Some(_)) => "holds now: take `differs` away".to_owned(),
                    (false, None) => format!("{}\n  answers: {:.2000}", differences.join("\n  "), answers.to_string()),
                }
            }
        };
        Some(format!("{}: {}\n  {what}", self.id, self.says))
    }
}

impl Subject {
    async fn answers(self, given: &Value) -> Value {
        match self {
            Self::Admission => admission::answers(given),
            Self::Endpoint => endpoint::answers(given).await,
            Self::QueueMapping => mapping::answers_of_queue(given),
            Self::StreamMapping => mapping::answers_of_stream(given),
            Self::Terraform => terraform::answers(),
        }
    }
}

/// Puts the members of `other` into a value; objects are merged, all else is replaced.
fn merge(value: &mut Value, other: &Value) {
    match (value, other) {
        (Value::Object(members), Value::Object(others)) => {
            for (name, other) in others {
                merge(members.entry(name).or_insert(Value::Null), other);
            }
        }
        (value, other) => *value = other.clone(),
    }
}

/// Evaluates a JMESPath expression; one that does not fit the answers gives the reason why.
fn search(expression: &str, answers: &Value) -> Value {
    let compiled = jmespath::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    compiled.search(Plain(answers)).map_or_else(|error| Value::String(error.to_string()), |found| to_value(&found))
}

/// Hands numbers to JMESPath as numbers: with `arbitrary_precision`, `serde_json` hands them over in its own form.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match number.as_i64() {
                Some(number) => serializer.serialize_i64(number),
                None => serializer.serialize_f64(number.as_f64().expect("a JSON number")),
            },
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, Plain(value)))),
            plain => plain.serialize(serializer),
        }
    }
}

fn to_value(found: &Variable) -> Value {
    match found {
        Variable::Null | Variable::Expref(_) => Value::Null,
        Variable::Bool(flag) => Value::Bool(*flag),
        Variable::String(text) => Value::String(text.clone()),
        Variable::Number(number) => Value::Number(number.clone()),
        Variable::Array(items) => items.iter().map(|item| to_value(item)).collect(),
        Variable::Object(members) => members.iter().map(|(name, value)| (name.clone(), to_value(value))).collect(),
    }
}

/// Puts what answers hold into a template: in a text, `{{expression}}` stands for what JMESPath finds in the answers.
/// `{"$repeat": "x", "times": 3}` is the text `xxx`, `{"$list": <template>, "times": 2}` a list with 0 and 1 for `$index`,
/// and `{"$minute": -5}` the start of the minute five minutes before `now_ms`, in seconds since 1970.
pub(crate) fn filled_in(template: &Value, answers: &Value) -> Value {
    let fill = |template: &Value| filled_in(template, answers);
    match template {
        Value::String(text) => match text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
            Some(expression) if !expression.contains("}}") => search(expression, answers),
            _ => Value::String(replaced(text, answers)),
        },
        Value::Array(items) => items.iter().map(fill).collect(),
        Value::Object(members) => {
            let times = members.get("times").and_then(Value::as_u64).unwrap_or_default();
            if let Some(text) = members.get("$repeat") {
                return json!(text.as_str().expect("a text").repeat(times as usize));
            }
            if let Some(item) = members.get("$list") {
                let item = item.to_string();
                let numbered = |index: u64| serde_json::from_str(&item.replace("$index", &index.to_string())).unwrap();
                return (0..times).map(|index| fill(&numbered(index))).collect();
            }
            if let Some(minutes) = members.get("$minute") {
                let now_minute = answers["now_ms"].as_i64().expect("a time") / 60_000;
                return json!((now_minute + minutes.as_i64().expect("minutes")) * 60);
            }
            Value::Object(members.iter().map(|(name, value)| (name.clone(), fill(value))).collect())
        }
        other => other.clone(),
    }
}

fn replaced(text: &str, answers: &Value) -> String {
    let Some((before, rest)) = text.split_once("{{") else { return text.to_owned() };
    let (expression, after) = rest.split_once("}}").unwrap_or_else(|| panic!("an open {{{{ in {text}"));
    let found = search(expression, answers);
    format!("{before}{}{}", found.as_str().map_or_else(|| found.to_string(), str::to_owned), replaced(after, answers))
}

/// Compares by value: 4 is 4.0, as it is in JSON.
fn is_same(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Number(actual), Value::Number(expected)) => actual.as_f64() == expected.as_f64(),
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len()
                && actual.iter().zip(expected).all(|(actual, expected)| is_same(actual, expected))
        }
        (Value::Object(actual), Value::Object(expected)) => {
            let is_there = |(name, expected)| actual.get(name).is_some_and(|actual| is_same(actual, expected));
            actual.len() == expected.len() && expected.iter().all(is_there)
        }
        _ => actual == expected,
    }
}

fn facts_about(area: &str) -> Vec<Fact> {
    let path = root().join(format!("crates/testkit/facts/{area}.json"));
    let text = fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs every fact of an area.
async fn judge(area: &str) {
    let mut complaints = Vec::new();
    for fact in facts_about(area) {
        complaints.extend(fact.complaint(fact.run().await.as_ref()));
    }
    assert!(complaints.is_empty(), "{} facts about {area}:\n{}", complaints.len(), complaints.join("\n"));
}

/// The files of facts, and what they are about.
const AREAS: [(&str, &str); 7] = [
    ("sqs", "queues"),
    ("sqs_mapping", "mappings of queues"),
    ("stream_mapping", "mappings of streams"),
    ("dynamodb", "tables and streams"),
    ("cloudwatch", "metrics and alarms"),
    ("sns", "topics"),
    ("lambda", "functions"),
];

#[tokio::test]
async fn queues_behave_as_recorded() {
    judge("sqs").await;
}

#[tokio::test]
async fn mappings_of_queues_behave_as_recorded() {
    judge("sqs_mapping").await;
}

#[tokio::test]
async fn mappings_of_streams_behave_as_recorded() {
    judge("stream_mapping").await;
}

#[test]
fn every_rule_of_mappings_that_names_a_fact_is_put_to_it() {
    let facts = ["sqs_mapping", "stream_mapping"].map(|area| (area, facts_about(area)));
    for rule in MAPPING_RULES {
        let Source::Fact(source) = rule.source else { continue };
        let is_it = |area: &str, fact: &Fact| format!("{area}/{}", fact.id) == source;
        let is_run = facts
            .iter()
            .any(|(area, facts)| facts.iter().any(|fact| is_it(area, fact) && fact.put_to == Some(Subject::Admission)));
        assert!(is_run, "{}: {source}", rule.claim);
    }
}

#[tokio::test]
async fn tables_behave_as_recorded() {
    judge("dynamodb").await;
}

#[tokio::test]
async fn metrics_behave_as_recorded() {
    judge("cloudwatch").await;
}

#[tokio::test]
async fn topics_behave_as_recorded() {
    judge("sns").await;
}

#[tokio::test]
async fn functions_behave_as_recorded() {
    judge("lambda").await;
}

#[test]
fn each_fact_has_a_name_of_its_own_and_none_that_breaks_a_deployment_differs() {
    let all: Vec<Fact> = AREAS.iter().flat_map(|(area, _)| facts_about(area)).collect();
    let ids: BTreeSet<&str> = all.iter().map(|fact| fact.id.as_str()).collect();
    assert_eq!(ids.len(), all.len());
    let differing: Vec<&Fact> = all.iter().filter(|fact| fact.differs.is_some()).collect();
    assert!(differing.iter().all(|fact| fact.matters != Matters::A), "{differing:?}");
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("facts")).unwrap();
    assert_eq!(files.count(), AREAS.len(), "a file of facts that no test reads");
}

#[tokio::test]
async fn a_change_in_what_aws_answered_is_noticed() {
    const SEED: u64 = 20_261_124;
    let mut random = fastrand::Rng::with_seed(SEED);
    let all = AREAS.iter().flat_map(|(area, _)| facts_about(area));
    let mut held: Vec<Fact> = all.filter(|fact| fact.put_to.is_some() && fact.differs.is_none()).collect();
    random.shuffle(&mut held);
    for mut fact in held.into_iter().take(10) {
        let member = random.usize(..fact.aws.len());
        let (expression, expected) = fact.aws.iter_mut().nth(member).unwrap();
        let (expression, before) = (expression.clone(), expected.clone());
        change(expected, &mut random);
        let complaint = fact.complaint(fact.run().await.as_ref());
        assert!(complaint.is_some(), "{}: {expression} may be {before} or {}", fact.id, fact.aws[&expression]);
    }
}

/// Changes one member, however deep, to another of its kind.
fn change(value: &mut Value, random: &mut fastrand::Rng) {
    match value {
        Value::Null => *value = json!(0),
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(number) => *value = json!(number.as_f64().expect("a JSON number") + 1.0),
        Value::String(text) => text.push('x'),
        Value::Array(items) => match items.len() {
            0 => items.push(json!("one more")),
            length => change(&mut items[random.usize(..length)], random),
        },
        Value::Object(members) => match members.len() {
            0 => drop(members.insert("one more".to_owned(), Value::Null)),
            length => change(members.values_mut().nth(random.usize(..length)).expect("a member"), random),
        },
    }
}
