//! A transaction as JSON.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde::Deserialize;
use std::io::Read as _;
use std::path::Path;
use storage::kv::{Relation, Test};
use storage::{Compare, Operation, Request, Span};

/// The help's example.
pub(super) const HELP: &str = r#"Example: move 10 from alice to bob if alice still has 30
  echo '{"if":   [{"key": "alice", "value": "30"}],
         "then": [{"put": {"key": "alice", "value": "20"}},
                  {"put": {"key": "bob", "value": "10"}}],
         "else": [{"get": "alice"}]}' | quorate client txn -

Conditions: "exists": true, "value", "version", "create_revision", "mod_revision" with a value (equal)
or an object like {"<": 5}, {">": 5}, {"!=": 5}.
Operations: "put", "delete": KEY, "get": KEY, "range": {"prefix": P, "limit": N}."#;

/// Reads a file, or stdin if it is `-`.
pub(super) fn read(file: &Path) -> Result<Request> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read stdin")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    parse(&text).with_context(|| {
        format!(
            "{} is no transaction (see `quorate client txn --help`)",
            file.display()
        )
    })
}

/// Reads the JSON that `quorate client txn` takes. Whether it keeps to a chain's limits is not looked at.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str) -> Result<Request> {
    let file: File = serde_json::from_str(text)?;
    Ok(Request {
        compares: file
            .conditions
            .into_iter()
            .flat_map(Condition::compares)
            .collect(),
        then: file.then.into_iter().map(Step::operation).collect(),
        otherwise: file.otherwise.into_iter().map(Step::operation).collect(),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "if")]
    conditions: Vec<Condition>,
    then: Vec<Step>,
    #[serde(default, rename = "else")]
    otherwise: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    key: String,
    exists: Option<bool>,
    value: Option<Against<String>>,
    version: Option<Against<u64>>,
    create_revision: Option<Against<u64>>,
    mod_revision: Option<Against<u64>>,
}

impl Condition {
    /// One compare for each thing that is said of the key.
    fn compares(self) -> Vec<Compare> {
        let key = Bytes::from(self.key);
        let number = |test: fn(Relation, u64) -> Test, against: Option<Against<u64>>| {
            against.map(|against| {
                let (relation, given) = against.parts();
                test(relation, given)
            })
        };
        let value = self.value.map(|against| {
            let (relation, given) = against.parts();
            Test::Value(relation, given.into())
        });
        [
            self.exists.map(Test::Exists),
            value,
            number(Test::Version, self.version),
            number(Test::Created, self.create_revision),
            number(Test::Modified, self.mod_revision),
        ]
        .into_iter()
        .flatten()
        .map(|test| Compare {
            key: key.clone(),
            test,
        })
        .collect()
    }
}

/// `5`, or `{"<": 5}`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Against<T> {
    Equal(T),
    Related(Related<T>),
}

#[derive(Debug, Deserialize)]
enum Related<T> {
    #[serde(rename = "=")]
    Equal(T),
    #[serde(rename = "!=")]
    Different(T),
    #[serde(rename = "<")]
    Less(T),
    #[serde(rename = ">")]
    Greater(T),
}

impl<T> Against<T> {
    fn parts(self) -> (Relation, T) {
        match self {
            Self::Equal(given) | Self::Related(Related::Equal(given)) => (Relation::Equal, given),
            Self::Related(Related::Different(given)) => (Relation::Different, given),
            Self::Related(Related::Less(given)) => (Relation::Less, given),
            Self::Related(Related::Greater(given)) => (Relation::Greater, given),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Step {
    Put {
        key: String,
        value: String,
    },
    Delete(String),
    Get(String),
    Range {
        prefix: String,
        #[serde(default)]
        limit: u32,
    },
}

impl Step {
    fn operation(self) -> Operation {
        let read = |span, limit| Operation::Range {
            span,
            limit,
            revision: 0,
        };
        match self {
            Step::Put { key, value } => Operation::Put {
                key: key.into(),
                value: value.into(),
            },
            Step::Delete(key) => Operation::Delete { key: key.into() },
            Step::Get(key) => read(Span::only(key), 1),
            Step::Range { prefix, limit } => read(Span::prefix(prefix), limit),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_example_of_the_help_is_a_transaction() {
        let start = HELP.find('{').unwrap();
        let end = HELP.find("' |").unwrap();
        let request = parse(&HELP[start..end]).unwrap();
        assert_eq!(request.compares.len(), 1);
        assert_eq!(request.then.len(), 2);
        assert_eq!(request.otherwise.len(), 1);
        assert!(request.check(&storage::Limits::default()).is_ok());
    }

    #[test]
    fn every_condition_and_operation_is_read() {
        let request = parse(
            r#"{"if": [{"key": "a", "exists": true, "version": {">": 3}, "mod_revision": {"!=": 9}}],
                "then": [{"delete": "a"}, {"range": {"prefix": "b/"}}]}"#,
        )
        .unwrap();
        let tests: Vec<_> = request.compares.iter().map(|c| c.test.clone()).collect();
        assert_eq!(
            tests,
            [
                Test::Exists(true),
                Test::Version(Relation::Greater, 3),
                Test::Modified(Relation::Different, 9)
            ]
        );
        assert_eq!(request.then.len(), 2);
    }

    #[test]
    fn what_is_not_known_is_refused_and_named() {
        let error = parse(r#"{"then": [{"increment": "a"}]}"#).unwrap_err();
        assert!(format!("{error:#}").contains("increment"));
        let error = parse(r#"{"then": [], "when": []}"#).unwrap_err();
        assert!(format!("{error:#}").contains("when"));
    }
}
