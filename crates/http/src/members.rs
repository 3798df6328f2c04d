//! The members of a JSON object that a caller sent, taken one by one, strictly: nothing twice at any depth, nothing of
//! another type, and nothing left over that nobody asked for.

use jose::Algorithm;
use jose::error::JsonError;
use jose::json;
use serde_json::{Map, Value};

use crate::refusal::{Reason, Refusal};

/// No honest request has more.
const MOST: usize = 1024;

/// What has not been taken yet.
pub(crate) struct Members {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Members {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        json::object_of(MOST, body, |_, _| Ok::<_, JsonError>(())).map_err(Reason::NotAnObject)?;
        match serde_json::from_slice(body) {
            Ok(Value::Object(left)) => Ok(Self { left, known: Vec::new() }),
            _ => Err(Reason::NotAnObject(JsonError::NotAnObject).into()),
        }
    }

    /// The members of an object within the body.
    pub(crate) fn of(left: Map<String, Value>) -> Self {
        Self { left, known: Vec::new() }
    }

    /// The value of a member, if it is there.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name)
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.value(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong_type(name, what))
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        self.take(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(crate) fn integer(&mut self, name: &'static str) -> Result<Option<i64>, Refusal> {
        self.take(name, "a whole number", |value| value.as_i64())
    }

    pub(crate) fn switch(&mut self, name: &'static str) -> Result<bool, Refusal> {
        Ok(self.take(name, "true or false", |value| value.as_bool())?.unwrap_or(false))
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        self.take(name, "an array of strings", |value| match value {
            Value::Array(values) => values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect(),
            _ => None,
        })
    }

    pub(crate) fn object(&mut self, name: &'static str) -> Result<Option<Map<String, Value>>, Refusal> {
        self.take(name, "an object", |value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        })
    }

    pub(crate) fn objects(&mut self, name: &'static str) -> Result<Option<Vec<Map<String, Value>>>, Refusal> {
        let object = |value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        };
        self.take(name, "an array of objects", |value| match value {
            Value::Array(values) => values.into_iter().map(object).collect(),
            _ => None,
        })
    }

    pub(crate) fn algorithm(&mut self, name: &'static str) -> Result<Option<Algorithm>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Algorithm::find_by_name(&text).map(Some).ok_or_else(|| wrong_type(name, "an algorithm that is known here"))
    }

    /// Whether a member is there and null, which asks for something to be removed.
    pub(crate) fn is_null(&mut self, name: &'static str) -> bool {
        let null = self.left.get(name) == Some(&Value::Null);
        if null {
            self.value(name);
        }
        null
    }

    /// That a member is there.
    pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, Refusal> {
        let missing = || Reason::Member { code: "member_missing", detail: format!("{name} is missing") };
        value.ok_or_else(|| missing().into())
    }

    /// That nothing is left.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        if self.left.is_empty() {
            return Ok(());
        }
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        let detail = format!("there is a member that is not known here; known are {known}");
        Err(Reason::Member { code: "member_unknown", detail }.into())
    }
}

fn wrong_type(name: &str, what: &str) -> Refusal {
    Reason::Member { code: "member_type", detail: format!("{name} is not {what}") }.into()
}
