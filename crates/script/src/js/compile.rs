//! Texts into scripts: with the syntax of old mended where the parser stops, or refused in words.

use std::path::Path;

use boa_engine::{Context, Script, Source};

use super::builtins;
use super::errors::{parsing, relocated, thrown};
use super::old::{self, Mended, Place};
use crate::ScriptError;

/// What stands before and after a text where it is parsed; the first ends with lines that do not
/// count.
pub(super) type Form = (&'static str, &'static str);

/// A text that parses.
pub(super) struct Compiled {
    pub(super) script: Script,
    /// The text that was parsed, if that is another.
    pub(super) mended: Option<Mended>,
    /// Why it did not parse in the first form.
    pub(super) fault: Option<ScriptError>,
}

/// Parses a text in the first of some forms in which it parses.
///
/// # Errors
/// Why it does not in the first form.
pub(super) fn compile(
    source: &str,
    path: &str,
    forms: &[Form],
    place: Place,
    context: &mut Context,
) -> Result<Compiled, ScriptError> {
    builtins::install_for(source, context).map_err(|error| thrown(&error, context))?;
    if place == Place::Expression {
        for body in old::bodies(source) {
            if let Ok((script, fault)) = parse(body.text(), path, &[old::BODY], context) {
                return Ok(Compiled { script, mended: Some(body), fault });
            }
        }
    }
    if let Some(mended) = old::prepared(source)
        && let Ok((script, fault)) = parse(mended.text(), path, forms, context)
    {
        return Ok(Compiled { script, mended: Some(mended), fault });
    }
    let fault = match parse(source, path, forms, context) {
        Ok((script, fault)) => return Ok(Compiled { script, mended: None, fault }),
        Err(fault) => fault,
    };
    let mut reached = fault;
    if let Some(mended) = old::mend(source, place) {
        match parse(mended.text(), path, forms, context) {
            Ok((script, fault)) => return Ok(Compiled { script, mended: Some(mended), fault }),
            Err(error) => {
                // What is mended is no fault; what comes after it is.
                let further = relocated(error, source, &mended);
                let at = |error: &ScriptError| old::stopped_at(&error.message, source);
                if at(&further) > at(&reached) {
                    reached = further;
                }
            }
        }
    }
    match old::refusal(&reached.message, source) {
        Some(words) => Err(ScriptError { message: format!("SyntaxError: {words}"), ..reached }),
        None => Err(reached),
    }
}

fn parse(
    text: &str,
    path: &str,
    forms: &[Form],
    context: &mut Context,
) -> Result<(Script, Option<ScriptError>), ScriptError> {
    let mut fault = None;
    for (before, after) in forms {
        let whole = format!("{before}{text}{after}");
        let source = Source::from_bytes(&whole).with_path(Path::new(path));
        match Script::parse(source, None, context) {
            Ok(script) => return Ok((script, fault)),
            Err(error) if fault.is_none() => {
                fault = Some(parsing(&error, text, before.matches('\n').count(), context));
            }
            Err(_) => {}
        }
    }
    let none = || ScriptError::new(crate::FailureCause::Syntax, "SyntaxError: no text");
    Err(fault.unwrap_or_else(none))
}
