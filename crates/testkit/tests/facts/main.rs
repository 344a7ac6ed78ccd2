//! Facts about AWS, as others recorded them, put to what we run in its place: the local cloud's endpoint and the models
//! behind it, and the Terraform.
//!
//! `facts/*.json` holds a file an area and an object a fact. `put_to` names what it is put to, `given` says what is done
//! there. `aws` maps JMESPath expressions over what came out, the answers, to what they gave on AWS. A fact that we do
//! not follow says why in `differs`, one that is put to nothing says why in `not_run`. Changing sides fails here.

mod endpoint;

use std::{collections::BTreeMap, fs, path::Path};

use jmespath::Variable;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

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
    source: Source,
}

/// What a fact is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Subject {
    Endpoint,
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
struct Source {
    repository: String,
    path: String,
    r#where: String,
    recorded: Option<String>,
    licence: String,
}

impl Fact {
    /// Does what is given and returns the answers.
    async fn run(&self) -> Option<Value> {
        match self.put_to? {
            Subject::Endpoint => Some(endpoint::answers(&self.given).await),
        }
    }

    /// Returns how the answers differ from what AWS gave; nothing where they are the same.
    fn differences(&self, answers: &Value) -> Vec<String> {
        let differ = |(expression, expected): (&String, &Value)| {
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
                    (false, None) => format!("{}\n  answers: {answers}", differences.join("\n  ")),
                }
            }
        };
        Some(format!("{}: {}\n  {what}", self.id, self.says))
    }
}

/// Evaluates a JMESPath expression; what does not fit the answers finds nothing.
fn search(expression: &str, answers: &Value) -> Value {
    let compiled = jmespath::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    compiled.search(Plain(answers)).map_or(Value::Null, |found| to_value(&found))
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("facts/{area}.json"));
    let text = fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs every fact of an area.
async fn judge(area: &str) {
    let mut complaints = Vec::new();
    for fact in facts_about(area) {
        complaints.extend(fact.complaint(fact.run().await.as_ref()));
    }
    assert!(complaints.is_empty(), "{} facts about {area}:\n{}", complaints.len(), complaints.join("\n"));
}

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
