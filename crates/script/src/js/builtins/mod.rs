//! Methods of the language that stand in the place of the engine's own.

mod arrays;
mod arrays_garbage;
mod arrays_sort;
pub(super) mod dates;
mod flags;
mod generics;
mod last_match;
mod numbers;
mod options;
mod text;

use boa_engine::{Context, JsResult};

pub(super) use arrays::private_field;

/// Puts the methods here in the place of the engine's own.
pub(super) fn install(context: &mut Context) -> JsResult<()> {
    arrays::install(context)?;
    arrays_sort::install(context)?;
    dates::install(context)?;
    numbers::install(context);
    text::install(context)?;
    flags::install(context)
}

/// Gives a context what only few texts need, if this is one of them.
pub(super) fn install_for(text: &str, context: &mut Context) -> JsResult<()> {
    if generics::are_named(text) {
        generics::install(context);
    }
    if last_match::is_named(text) { last_match::keep(context) } else { Ok(()) }
}
