//! Label selectors with all four operators.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Selects by labels; without requirements it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    /// Holds too where the label is missing.
    NotIn(Vec<String>),
    Exists,
    Missing,
    /// An operator that this program does not know: selects nothing.
    Unknown,
}

impl Selector {
    /// From the API's form.
    pub fn of(selector: &LabelSelector) -> Selector {
        let equal = selector.match_labels.iter().flatten().map(|(k, v)| Requirement { key: k.clone(), test: Test::In(vec![v.clone()]) });
        let expressions = selector.match_expressions.iter().flatten().map(|e| {
            let values = e.values.clone().unwrap_or_default();
            let test = match e.operator.as_str() {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                _ => Test::Unknown,
            };
            Requirement { key: e.key.clone(), test }
        });
        Selector(equal.chain(expressions).collect())
    }

    /// Whether it selects what carries these labels.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|r| match (labels.get(&r.key), &r.test) {
            (Some(value), Test::In(values)) => values.contains(value),
            (Some(value), Test::NotIn(values)) => !values.contains(value),
            (Some(_), Test::Exists) | (None, Test::NotIn(_) | Test::Missing) => true,
            _ => false,
        })
    }
}
