//! The operations of all families, each at the paths that the table of routes has for it.

use http::Method;
use utoipa::openapi::Paths;

use super::operation::{Op, documented};
use crate::reply::Stop;
use crate::route::{Action, Resource};

/// How a request finds its route.
pub(crate) type Find = fn(&Method, &str) -> Result<(&'static Resource, &'static Action), Stop>;

/// What is described so far.
pub(super) struct Interface {
    find: Find,
    pub(super) paths: Paths,
}

impl Interface {
    pub(super) fn new(find: Find) -> Self {
        Self { find, paths: Paths::new() }
    }

    /// Adds an operation at some paths. What the table does not have is left out, which tests find.
    pub(super) fn add(&mut self, method: &Method, paths: &[&str], operation: &Op) {
        let Some(documented) = documented(method) else { return };
        for path in paths {
            let found = (self.find)(method, &sample(path));
            debug_assert!(found.is_ok(), "{method} {path} is no route");
            let Ok((_, action)) = found else { continue };
            let known = self.paths.get_path_operation(path, documented.clone());
            debug_assert!(known.is_none(), "{method} {path} is described twice");
            let operation = operation.at(path, action, paths.len() > 1);
            self.paths.add_path_operation(path, vec![documented.clone()], operation);
        }
    }
}

/// A path that is like a described one.
pub(super) fn sample(path: &str) -> String {
    path.replace(['{', '}'], "")
}
