//! Rows of the table: a request, the fact of Riak's interface that says what must come back, and
//! what that is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::Check;
use crate::wire::Request;

/// Which servers a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Everyone who has Riak's interface.
    Everyone,
    /// mapring alone: its own options, or what the facts leave open.
    Mapring,
    /// Riak alone: what mapring deliberately does otherwise, for this reason.
    Riak(&'static str),
}

/// What a server must have so that a case makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// JavaScript phases: gone from Riak 3.0 on.
    Javascript,
    /// The active bucket type [`crate::fixtures::TYPE`].
    BucketType,
    /// Secondary indexes: not every backend of Riak has them.
    Indexes,
    /// Tombstones that stay (`delete_mode` `keep`).
    Tombstones,
    /// The active bucket types [`crate::fixtures::DATATYPES`].
    DataTypes,
    /// Archives made by the system's `zip` and `gzip`.
    Archives,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) topic: &'static str,
    /// The number of a fact of Riak's interface (`docs/compatibility.md`); none for what mapring
    /// alone has.
    pub(crate) fact: Option<u32>,
    pub(crate) name: String,
    pub(crate) request: Request,
    pub(crate) checks: Vec<Check>,
    /// What is asked after it, in this order, if all was well so far.
    pub(crate) steps: Vec<Step>,
    pub(crate) whose: Whose,
    needs: Vec<Need>,
}

/// A further request of a row.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) request: Request,
    pub(crate) checks: Vec<Check>,
}

/// The rows of a topic.
pub(crate) struct Topic {
    name: &'static str,
    fact: Option<u32>,
    pub(crate) cases: Vec<Case>,
}

impl Topic {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, fact: None, cases: Vec::new() }
    }

    /// Names the fact that the rows below it follow.
    pub(crate) fn fact(&mut self, number: u32) {
        self.fact = Some(number);
    }

    /// Any request.
    pub(crate) fn ask(&mut self, name: &str, request: Request) -> &mut Case {
        self.cases.push(Case {
            topic: self.name,
            fact: self.fact,
            name: name.to_owned(),
            request,
            checks: Vec::new(),
            steps: Vec::new(),
            whose: Whose::Everyone,
            needs: Vec::new(),
        });
        self.cases.last_mut().unwrap()
    }

    /// A body posted to `/mapred`.
    pub(crate) fn post(&mut self, name: &str, body: impl Into<Vec<u8>>) -> &mut Case {
        self.ask(name, Request::new("POST", "/mapred").body("application/json", body))
    }

    /// A query: `inputs` as JSON, and phases as JSON.
    pub(crate) fn query(&mut self, name: &str, inputs: &str, phases: &[String]) -> &mut Case {
        self.post(name, query(inputs, phases))
    }

    /// A query whose answer comes in parts.
    pub(crate) fn chunked(&mut self, name: &str, inputs: &str, phases: &[String]) -> &mut Case {
        let request = Request::new("POST", "/mapred?chunked=true");
        self.ask(name, request.body("application/json", query(inputs, phases)))
    }
}

/// The text of a query.
pub(crate) fn query(inputs: &str, phases: &[String]) -> String {
    format!(r#"{{"inputs":{inputs},"query":[{}]}}"#, phases.join(","))
}

const JSON: &str = "application/json";

impl Case {
    pub(crate) fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.request = self.request.clone().header(name, Some(value));
        self
    }

    pub(crate) fn without(&mut self, name: &str) -> &mut Self {
        self.request = self.request.clone().header(name, None);
        self
    }

    /// Adds members to the query.
    pub(crate) fn with(&mut self, members: &str) -> &mut Self {
        let body = String::from_utf8(self.request.body.clone()).unwrap();
        self.request.body = body.replacen('{', &format!("{{{members},"), 1).into();
        self
    }

    pub(crate) fn needs(&mut self, need: Need) -> &mut Self {
        self.needs.push(need);
        self
    }

    /// A case of mapring alone.
    pub(crate) fn own(&mut self) -> &mut Self {
        self.whose = Whose::Mapring;
        self
    }

    /// What mapring does otherwise, deliberately.
    pub(crate) fn riak_only(&mut self, reason: &'static str) -> &mut Self {
        self.whose = Whose::Riak(reason);
        self
    }

    /// Adds a check of the last request.
    pub(crate) fn check(&mut self, check: Check) -> &mut Self {
        let checks = match self.steps.last_mut() {
            Some(step) => &mut step.checks,
            None => &mut self.checks,
        };
        checks.push(check);
        self
    }

    /// Another request after all before it; the checks that follow are of its answer.
    pub(crate) fn then(&mut self, request: Request) -> &mut Self {
        self.steps.push(Step { request, checks: Vec::new() });
        self
    }

    /// Another query after all before it.
    pub(crate) fn then_query(&mut self, body: impl Into<Vec<u8>>) -> &mut Self {
        self.then(Request::new("POST", "/mapred").body(JSON, body))
    }

    /// A document sent after all before it.
    pub(crate) fn then_send(
        &mut self,
        method: &'static str,
        path: &str,
        body: impl Into<Vec<u8>>,
    ) -> &mut Self {
        self.then(Request::new(method, path).body(JSON, body))
    }

    /// A GET after all before it; the checks that follow must hold in the end.
    pub(crate) fn then_at_last(&mut self, path: &str) -> &mut Self {
        self.then(Request::new("GET", path).patiently())
    }

    /// The JSON of the last answer has this value at a pointer.
    pub(crate) fn at(&mut self, pointer: &'static str, json: &str) -> &mut Self {
        self.check(Check::At(pointer, value(json)))
    }

    /// 400 in JSON that names a member.
    pub(crate) fn refuses(&mut self, field: &str) -> &mut Self {
        self.status(400)
            .check(Check::At("/error", "bad_request".into()))
            .check(Check::At("/field", field.into()))
    }

    /// A read after all before it: 200 with exactly this text of this type.
    pub(crate) fn then_read(&mut self, path: &str, content_type: &str, text: &str) -> &mut Self {
        self.then(Request::new("GET", path))
            .status(200)
            .check(Check::HeaderStarts("Content-Type", content_type.into()))
            .check(Check::Body(text.into()))
    }

    /// Every request in order, with its checks.
    pub(crate) fn all_steps(&self) -> impl Iterator<Item = (&Request, &[Check])> {
        let more = self.steps.iter().map(|step| (&step.request, step.checks.as_slice()));
        std::iter::once((&self.request, self.checks.as_slice())).chain(more)
    }

    pub(crate) fn status(&mut self, status: u16) -> &mut Self {
        self.check(Check::Status(status))
    }

    /// A header with this value.
    pub(crate) fn has(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.check(Check::Header(name, value.into()))
    }

    /// A header that begins so.
    pub(crate) fn begins(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.check(Check::HeaderStarts(name, value.into()))
    }

    /// No such header.
    pub(crate) fn lacks(&mut self, name: &'static str) -> &mut Self {
        self.check(Check::NoHeader(name))
    }

    /// A body with this text in it.
    pub(crate) fn says(&mut self, text: &str) -> &mut Self {
        self.check(Check::Text(text.into()))
    }

    /// Exactly this body.
    pub(crate) fn exactly(&mut self, body: &str) -> &mut Self {
        self.check(Check::Body(body.into()))
    }

    /// 200 with JSON; what else is to be checked follows.
    pub(crate) fn ok(&mut self) -> &mut Self {
        self.status(200).check(Check::Header("Content-Type", JSON.into()))
    }

    /// 200 with a profile that has these counters.
    pub(crate) fn counts(&mut self, counters: &[(&str, i64)]) -> &mut Self {
        let counters = counters.iter().map(|(name, count)| ((*name).to_owned(), *count));
        self.ok().check(Check::Counters(counters.collect()))
    }

    /// 200 with this JSON.
    pub(crate) fn gives(&mut self, json: &str) -> &mut Self {
        self.ok().check(Check::Json(value(json)))
    }

    /// 200 with exactly this text.
    pub(crate) fn body(&mut self, text: &str) -> &mut Self {
        self.ok().check(Check::Body(text.into()))
    }

    /// 200 with an array of these elements in any order.
    pub(crate) fn any_order(&mut self, json: &str) -> &mut Self {
        self.ok().check(Check::AnyOrder(values(json)))
    }

    /// 200 with an array of arrays, each in any order.
    pub(crate) fn each_any_order(&mut self, json: &str) -> &mut Self {
        let lists = values(json).iter().map(|list| list.as_array().unwrap().clone()).collect();
        self.ok().check(Check::EachAnyOrder(lists))
    }

    /// 400 in plain text with these words.
    pub(crate) fn refused(&mut self, words: &[&str]) -> &mut Self {
        self.status(400).check(Check::HeaderStarts("Content-Type", "text/plain".into()));
        words.iter().fold(self, |case, words| case.check(Check::Text((*words).into())))
    }

    /// 500 with the JSON of a failure in a phase.
    pub(crate) fn fails(&mut self, phase: u64, words: &[&str]) -> &mut Self {
        let words = words.iter().map(|words| (*words).to_owned()).collect();
        self.status(500)
            .check(Check::Header("Content-Type", JSON.into()))
            .check(Check::Failure { phase: Some(phase), words })
    }

    /// 200 in parts: the results of each phase, in any order.
    pub(crate) fn parts(&mut self, phases: &[(u64, &str)]) -> &mut Self {
        let phases: BTreeMap<_, _> =
            phases.iter().map(|(phase, json)| (*phase, values(json))).collect();
        self.status(200).check(Check::Parts(phases))
    }

    /// 200 in at most so many parts, then a bare failure.
    pub(crate) fn breaks(&mut self, most: usize, phase: Option<u64>, words: &[&str]) -> &mut Self {
        let words = words.iter().map(|words| (*words).to_owned()).collect();
        self.status(200).check(Check::PartsThenFailure { phase, words, most })
    }

    /// What the server must have: what was said, and what the query shows.
    pub(crate) fn all_needs(&self) -> Vec<Need> {
        let mut needs = self.needs.clone();
        let bodies = self.all_steps().map(|(request, _)| String::from_utf8_lossy(&request.body));
        let body = bodies.collect::<String>();
        if body.contains("\"javascript\"") {
            needs.push(Need::Javascript);
        }
        if body.contains(crate::fixtures::TYPE) {
            needs.push(Need::BucketType);
        }
        if body.contains("\"index\"") {
            needs.push(Need::Indexes);
        }
        if body.contains(crate::files::ZIPPED) || body.contains(crate::files::GZIPPED) {
            needs.push(Need::Archives);
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }
}

pub(crate) fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn values(json: &str) -> Vec<Value> {
    value(json).as_array().unwrap_or_else(|| panic!("no array: {json}")).clone()
}
