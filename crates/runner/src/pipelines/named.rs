//! Named jobs that the steps of a pipeline start: what can be said of them when the pipeline begins. A named
//! job may be another one when its step does: then the step fails.

use mapring_jobs::{Pipeline, Problem};

use crate::check;
use crate::configs::Configs;
use crate::error::JobsError;
use crate::runner::Runner;

/// What is wrong with the named jobs of a pipeline, as far as that is known.
///
/// # Errors
/// Those of the store.
pub(super) async fn check_all(
    runner: &Runner,
    configs: &Configs,
    pipeline: &Pipeline,
) -> Result<Vec<Problem>, JobsError> {
    let mut problems = Vec::new();
    for step in pipeline.steps() {
        let Some(named) = step.named() else { continue };
        let at = format!("steps.{}.job", step.name);
        let config = match configs.get(&named.config).await {
            Ok(config) => config,
            Err(error @ JobsError::NotFound(..)) => {
                let field = format!("{at}.config");
                problems.push(Problem { field, message: error.to_string() });
                continue;
            }
            Err(error) => return Err(error),
        };
        let wrong = match config.resolve_later(&named.params, &named.later) {
            Err(invalid) => invalid.within(&at).problems().to_vec(),
            // What a function makes of them, or other steps give, is known when the step begins.
            Ok(_) if named.is_open || config.validator.is_some() => Vec::new(),
            Ok(values) => match config.fill(&values, &named.over) {
                Ok(document) => check::within(runner, &at, &document),
                Err(invalid) => invalid.within(&at).problems().to_vec(),
            },
        };
        problems.extend(wrong);
    }
    Ok(problems)
}
