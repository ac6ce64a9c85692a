//! What is wrong with a document, and where.

use std::cell::RefCell;
use std::fmt;

use mapring_mapred::Rejection;
use serde_json::{Value, json};

use crate::limits;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the member, such as `inputs.random.count` or `query[1].reduce`; empty for the
    /// document as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A document that is refused, with all that was found to be wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(Vec<Problem>);

impl Invalid {
    /// A document with one thing wrong.
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Problem { field: field.into(), message: message.into() }])
    }

    /// All that is wrong with a document that was looked at elsewhere; nothing where it is right.
    pub fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.truncate(limits::PROBLEMS);
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// A document whose query is refused.
    pub fn rejected(rejection: &Rejection) -> Self {
        Self::one(rejection.place.as_str(), words(rejection))
    }

    /// The same where the document lies at a path within another.
    #[must_use]
    pub fn within(self, at: &str) -> Self {
        let placed = |Problem { field, message }| Problem { field: below(at, &field), message };
        Self(self.0.into_iter().map(placed).collect())
    }

    /// What is wrong, at least one thing, at most
    /// [`limits::PROBLEMS`].
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// The body of the answer: `{"error":"bad_request","field":…,"message":…}` tells the first
    /// problem; where there are more, `problems` has all of them.
    pub fn json(&self) -> Value {
        let first = self.0.first();
        let mut body = json!({
            "error": "bad_request",
            "field": first.map(|problem| problem.field.as_str()),
            "message": first.map(|problem| problem.message.as_str()),
        });
        if self.0.len() > 1 {
            let all = self
                .0
                .iter()
                .map(|problem| json!({ "field": problem.field, "message": problem.message }));
            body["problems"] = all.collect();
        }
        body
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if at > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Where problems are noted while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(crate) fn note(&self, field: impl Into<String>, message: impl Into<String>) {
        let mut problems = self.0.borrow_mut();
        if problems.len() < limits::PROBLEMS {
            problems.push(Problem { field: field.into(), message: message.into() });
        }
    }

    /// Notes why a query is refused, where what it is read from lies at `within`.
    pub(crate) fn rejected(&self, within: &str, rejection: &Rejection) {
        self.note(below(within, &rejection.place), words(rejection));
    }

    /// Notes the problems of a document that lies at `within`.
    pub(crate) fn inside(&self, within: &str, invalid: Invalid) {
        for Problem { field, message } in invalid.0 {
            self.note(below(within, &field), message);
        }
    }

    /// What was read, if nothing was wrong.
    pub(crate) fn unless<T>(self, read: impl FnOnce() -> Option<T>) -> Result<T, Invalid> {
        let problems = self.0.into_inner();
        match problems.is_empty().then(read).flatten() {
            Some(read) => Ok(read),
            None if problems.is_empty() => Err(Invalid::one("", "the document cannot be read")),
            None => Err(Invalid(problems)),
        }
    }

    /// Everything that was noted.
    pub(crate) fn all(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// Why a query is refused, without where.
pub(crate) fn words(rejection: &Rejection) -> String {
    let said = rejection.to_string();
    let place = format!("{}: ", rejection.place);
    let said = said.strip_prefix(&place).filter(|_| !rejection.place.is_empty()).unwrap_or(&said);
    let given = rejection.given.as_ref().map_or(String::new(), |given| format!(": {given}"));
    let hint = if rejection.hint.is_empty() { "" } else { ". " };
    format!("{said}{given}{hint}{}", rejection.hint)
}

/// The path of a member.
pub(crate) fn member(within: &str, name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@');
    let shown = mapring_types::quote(name);
    match (within, !name.is_empty() && name.chars().all(plain)) {
        ("", true) => shown,
        (_, true) => format!("{within}.{shown}"),
        (_, false) => format!("{within}[{}]", Value::from(shown)),
    }
}

/// The path of an element.
pub(crate) fn element(within: &str, at: usize) -> String {
    format!("{within}[{at}]")
}

/// The path `inner` of something that lies at `within`.
pub(crate) fn below(within: &str, inner: &str) -> String {
    match (within, inner) {
        ("", inner) => inner.trim_start_matches('.').to_owned(),
        (within, "") => within.to_owned(),
        (within, inner) if inner.starts_with(['.', '[']) => format!("{within}{inner}"),
        (within, inner) => format!("{within}.{inner}"),
    }
}

/// Whether one of two paths lies within the other, or they are the same.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short)
        .is_some_and(|rest| short.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_together() {
        assert_eq!(member("", "a"), "a");
        assert_eq!(member("a[1]", "b-c"), "a[1].b-c");
        assert_eq!(member("a", "b.c"), r#"a["b.c"]"#);
        assert_eq!(below("job", ".inputs[0]"), "job.inputs[0]");
        assert_eq!(below("", ".inputs"), "inputs");
        assert_eq!(below("job", "[0]"), "job[0]");
        assert!(overlap("a.b", "a") && overlap("a[0]", "a") && overlap("", "a"));
        assert!(overlap("a", "a") && !overlap("ab", "a") && !overlap("a.b", "a.c"));
    }

    #[test]
    fn an_answer_tells_the_first_problem_and_all_of_several() {
        let one = Invalid::one("rate", "is a number");
        let expect = json!({"error": "bad_request", "field": "rate", "message": "is a number"});
        assert_eq!(one.json(), expect);
        let field = one.within("steps.a.job").problems()[0].field.clone();
        assert_eq!(field, "steps.a.job.rate");
        let problems = Problems::default();
        problems.note("a", "b");
        problems.note("c", "d");
        let refused = problems.unless(|| Some(())).unwrap_err();
        assert_eq!(refused.json()["field"], "a");
        assert_eq!(refused.json()["problems"][1], json!({"field": "c", "message": "d"}));
    }
}
