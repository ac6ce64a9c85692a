//! Callbacks: which requests jobs and pipelines may send, to whom, and how a receiver knows them.
//!
//! A callback is an HTTP request by a node, from within the operator's network, to a URL that a user
//! wrote. So it goes only where the operator said ([`Allowed`]), which is asked twice: for the URL when
//! the document is taken, and for the address when the name has been resolved, right before the
//! connection is made to exactly that address. Redirects are not followed: whoever is allowed could
//! name somebody who is not. A receiver knows by a signature who sent it ([`signature`]).

mod address;
mod allowed;
mod signature;
mod target;

pub use allowed::{Allowed, Refusal};
pub use signature::{SIGNATURE_HEADER, signature};
pub use target::{Host, Target};

use serde_json::Value;

use crate::limits;
use crate::members::Members;
use crate::problem::Problems;

/// The header that tells whose callback it is; App Engine's.
pub const ID_HEADER: &str = "Mapreduce-Id";

/// A request that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Where to.
    pub target: Target,
    /// How.
    pub method: Method,
}

/// The method of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// With a body.
    #[default]
    Post,
    /// With a body.
    Put,
    /// Without a body: the header alone tells whose it is.
    Get,
}

impl Callback {
    /// Reads `{"url":…,"method":"POST"}`.
    pub(crate) fn read(at: &str, value: &Value, problems: &Problems) -> Option<Self> {
        let members = Members::of(at, value, &["url", "method"], problems)?;
        let words = [("POST", Method::Post), ("PUT", Method::Put), ("GET", Method::Get)];
        let method = members.word("method", &words).unwrap_or_default();
        members.required("url")?;
        let url = members.text("url", limits::URL_BYTES)?;
        match Target::parse(url) {
            Ok(target) => Some(Self { target, method }),
            Err(why) => {
                members.note("url", why);
                None
            }
        }
    }
}
