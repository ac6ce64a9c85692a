//! Operations: what is asked for, with what, and what is answered.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, HttpMethod, Ref, RefOr, Required, Response, ResponseBuilder,
};

use super::schema::{Schema, number, text};
use crate::app::Upload;
use crate::reply::media;
use crate::route::Action;

/// What is answered, by its media type.
pub(super) type Content = (&'static str, Schema);

/// An answer without a body.
pub(super) const EMPTY: [Content; 0] = [];

/// A header of an answer, and what it says.
pub(super) type Header = (&'static str, &'static str);

/// What every operation may be answered with: who asks may not, a defect or a store that fails, nodes
/// that are away.
const ALWAYS: [u16; 3] = [403, 500, 503];

/// … and one that takes a body: it did not come in time, it is too large, packed in an unknown way or of
/// another type.
const OF_BODIES: [u16; 3] = [408, 413, 415];

/// The names in paths.
const NAMES: [(&str, &str); 10] = [
    ("type", "A bucket type."),
    ("bucket", "A bucket: any bytes, percent-encoded."),
    ("key", "A key: any bytes, percent-encoded, a slash among them."),
    ("name", "A name, or an id."),
    ("field", "An index: one whose name ends in `_int` or `_bin`, `$key`, or `$bucket`."),
    ("value", "A term of the index."),
    ("start", "The first term."),
    ("end", "The last term."),
    ("steps", "Steps `bucket,tag,keep`, separated by slashes; `_` stands for any."),
    ("step", "A step of a pipeline."),
];

/// Names that are numbers.
const NUMBERS: [(&str, &str); 1] = [("count", "What is told of has more than that; at least 1.")];

/// An operation, of one path or of several that mean the same.
pub(super) struct Op {
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    about: Option<&'static str>,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    responses: BTreeMap<u16, RefOr<Response>>,
}

impl Op {
    /// An operation of a family, with what it does in a few words.
    pub(super) fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        let (about, parameters, body) = (None, Vec::new(), None);
        Self { tag, id, summary, about, parameters, body, responses: BTreeMap::new() }
    }

    /// More of what it does.
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about: Some(about), ..self }
    }

    /// It has a parameter.
    pub(super) fn query(self, name: &str, schema: Schema, what: &str) -> Self {
        self.parameter(ParameterIn::Query, name, schema, what, Required::False)
    }

    /// It has a parameter, which must be given.
    pub(super) fn needs(self, name: &str, schema: Schema, what: &str) -> Self {
        self.parameter(ParameterIn::Query, name, schema, what, Required::True)
    }

    /// It reads a header.
    pub(super) fn header(self, name: &str, what: &str) -> Self {
        self.parameter(ParameterIn::Header, name, text(""), what, Required::False)
    }

    fn parameter(
        mut self,
        place: ParameterIn,
        name: &str,
        schema: Schema,
        what: &str,
        required: Required,
    ) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(what))
            .schema(Some(schema));
        self.parameters.push(parameter.build());
        self
    }

    /// It takes a body of one of these types.
    pub(super) fn takes<const N: usize>(self, what: &str, of: [Content; N]) -> Self {
        self.body(what, of, Required::True)
    }

    /// It may be sent a body of one of these types.
    pub(super) fn may_take<const N: usize>(self, what: &str, of: [Content; N]) -> Self {
        self.body(what, of, Required::False)
    }

    fn body<const N: usize>(self, what: &str, of: [Content; N], required: Required) -> Self {
        let mut body = RequestBodyBuilder::new().description(Some(what)).required(Some(required));
        for (media, schema) in of {
            body = body.content(media, ContentBuilder::new().schema(Some(schema)).build());
        }
        Self { body: Some(body.build()), ..self }
    }

    /// It is answered so.
    pub(super) fn gives<const N: usize>(
        mut self,
        status: u16,
        what: &str,
        of: [Content; N],
        headers: &[Header],
    ) -> Self {
        self.responses.insert(status, response(what, of, headers).into());
        self
    }

    /// It is answered with a JSON document.
    pub(super) fn shows(self, what: &str, schema: Schema) -> Self {
        self.gives(200, what, [(media::JSON, schema)], &[])
    }

    /// It may be refused with these, in the usual form.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            self.responses.insert(*status, refusal(*status));
        }
        self
    }

    /// The operation at a path, which may be one of several, as the table of routes has it.
    pub(super) fn at(&self, path: &str, action: &Action, is_of_several: bool) -> Operation {
        let variant = if is_of_several { variant(path) } else { "" };
        // One extension each: they are written in no order, and the document has one.
        let permission = Value::from(format!("{:?}", action.permission));
        let permission = ExtensionsBuilder::new().add("x-permission", permission).build();
        let mut body = self.body.clone();
        if let Some(body) = body.as_mut().filter(|_| action.upload.most_bytes() > 0) {
            let most = ExtensionsBuilder::new().add("x-max-bytes", action.upload.most_bytes());
            body.extensions = Some(most.build());
        }
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(format!("{}{variant}", self.id)))
            .summary(Some(self.summary))
            .description(self.about)
            .request_body(body)
            .extensions(Some(permission));
        for name in names(path) {
            operation = operation.parameter(of_path(name));
        }
        for parameter in &self.parameters {
            operation = operation.parameter(parameter.clone());
        }
        for (status, response) in &self.responses {
            operation = operation.response(status.to_string(), response.clone());
        }
        for status in self.usual(path, action) {
            operation = operation.response(status.to_string(), refusal(status));
        }
        operation.build()
    }

    /// With what it may be answered that it does not say itself.
    fn usual(&self, path: &str, action: &Action) -> Vec<u16> {
        let bodies: &[u16] = if action.upload == Upload::Nothing { &[] } else { &OF_BODIES };
        let types: &[u16] = if path.contains("{type}") { &[404] } else { &[] };
        let usual = ALWAYS.iter().chain(bodies).chain(types).copied();
        usual.filter(|status| !self.responses.contains_key(status)).collect()
    }
}

/// The answer to what is not done, as it stands among the components.
fn refusal(status: u16) -> RefOr<Response> {
    Ref::from_response_name(format!("E{status}")).into()
}

/// An answer.
pub(super) fn response<const N: usize>(
    what: &str,
    of: [Content; N],
    headers: &[Header],
) -> Response {
    let mut response = ResponseBuilder::new().description(what);
    for (media, schema) in of {
        response = response.content(media, ContentBuilder::new().schema(Some(schema)).build());
    }
    for (name, what) in headers {
        let header = HeaderBuilder::new().schema(Some(text(""))).description(Some(*what));
        response = response.header(*name, header.build());
    }
    response.build()
}

/// Tells paths of one operation apart.
fn variant(path: &str) -> &'static str {
    let typed = path.contains("{type}");
    match (path.starts_with("/riak"), path.ends_with("/{end}")) {
        (true, _) => "Old",
        (_, true) if typed => "RangeTyped",
        (_, true) => "Range",
        _ if typed => "Typed",
        _ => "",
    }
}

/// The names in a path.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn of_path(name: &str) -> Parameter {
    let described = |table: &[(&str, &'static str)]| {
        table.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
    };
    let (schema, what) = match described(&NUMBERS) {
        Some(what) => (number(""), what),
        None => (text(""), described(&NAMES).unwrap_or_default()),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(what))
        .schema(Some(schema))
        .build()
}

/// The method as documents name it; `None` for one that they leave to GET, or that there is not.
pub(super) fn documented(method: &Method) -> Option<HttpMethod> {
    match *method {
        Method::GET => Some(HttpMethod::Get),
        Method::PUT => Some(HttpMethod::Put),
        Method::POST => Some(HttpMethod::Post),
        Method::DELETE => Some(HttpMethod::Delete),
        _ => None,
    }
}
