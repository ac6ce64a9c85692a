//! `mapring job configs` and `mapring job schedules`.

use clap::{Args, Subcommand};
use mapring_client::{JobConfig, ScheduleShown};

use super::io::read;
use super::nodes::Clients;
use super::text::{page, time};
use crate::failure::{Outcome, print, print_json, print_line};

/// Without a command: the named jobs, with their parameters.
#[derive(Args)]
pub(super) struct Configs {
    #[command(subcommand)]
    command: Option<Command>,
}

/// Without a command: the schedules, with their next runs.
#[derive(Args)]
pub(super) struct Schedules {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print one as JSON
    Show {
        /// Its name
        name: String,
    },
    /// Store one, in place of one of that name
    Put {
        /// Its name
        name: String,
        /// The file with its document; - is standard input
        #[arg(value_name = "FILE.json")]
        file: String,
    },
    /// Remove one; jobs that it has started go on
    #[command(alias = "remove")]
    Rm {
        /// Its name
        name: String,
    },
}

pub(super) async fn configs(arguments: &Configs, nodes: &Clients, json: bool) -> Outcome {
    match &arguments.command {
        Some(Command::Show { name }) => {
            let shown = nodes.ask(async |node| node.job_config_json(name).await).await?;
            print_json(&shown)
        }
        Some(Command::Put { name, file }) => {
            let document = read(file)?;
            nodes.ask(async |node| node.put_job_config(name, document.clone()).await).await?;
            print_line(&format!("stored {name}"))
        }
        Some(Command::Rm { name }) => {
            nodes.ask(async |node| node.remove_job_config(name).await).await?;
            print_line(&format!("removed {name}"))
        }
        None if json => {
            let listed = nodes.ask(async |node| node.job_configs_json().await).await?;
            print_json(&listed)
        }
        None => {
            let listed = nodes.ask(async |node| node.job_configs().await).await?;
            print(page(listed.configs.iter().map(config), "named jobs", None).as_bytes())
        }
    }
}

pub(super) async fn schedules(arguments: &Schedules, nodes: &Clients, json: bool) -> Outcome {
    match &arguments.command {
        Some(Command::Show { name }) => {
            let shown = nodes.ask(async |node| node.schedule_json(name).await).await?;
            print_json(&shown)
        }
        Some(Command::Put { name, file }) => {
            let document = read(file)?;
            nodes.ask(async |node| node.put_schedule(name, document.clone()).await).await?;
            print_line(&format!("stored {name}"))
        }
        Some(Command::Rm { name }) => {
            nodes.ask(async |node| node.remove_schedule(name).await).await?;
            print_line(&format!("removed {name}"))
        }
        None if json => {
            let listed = nodes.ask(async |node| node.schedules_json().await).await?;
            print_json(&listed)
        }
        None => {
            let listed = nodes.ask(async |node| node.schedules().await).await?;
            print(page(listed.schedules.iter().map(schedule), "schedules", None).as_bytes())
        }
    }
}

/// A named job: its name, and its parameters each in a line below.
fn config(config: &JobConfig) -> String {
    let description = config.description.as_ref();
    let description = description.map_or(String::new(), |text| format!("  {text}"));
    let mut text = format!("{}{description}\n", config.name);
    for param in &config.params {
        text.push_str(&format!("    {}: {}", param.name, param.kind));
        match &param.default {
            Some(default) => text.push_str(&format!(", usually {default}")),
            None if param.required => text.push_str(", required"),
            None => {}
        }
        if let Some(description) = &param.description {
            text.push_str(&format!("; {description}"));
        }
        text.push('\n');
    }
    text
}

/// A schedule in a line.
fn schedule(shown: &ScheduleShown) -> String {
    let ScheduleShown { name, cron, time_zone, next_runs_ms, last_error } = shown;
    let zone = time_zone.as_deref().unwrap_or("UTC");
    let next = next_runs_ms.first().map_or("never".to_owned(), |next| time(*next));
    let error = last_error.as_ref().map_or(String::new(), |error| match error.as_str() {
        Some(text) => format!("; {text}"),
        None => format!("; {error}"),
    });
    format!("{name}  {cron} {zone}  next {next}{error}\n")
}

#[cfg(test)]
mod tests {
    use mapring_client::JobParam;
    use serde_json::json;

    use super::*;

    #[test]
    fn named_jobs_and_schedules_are_lines() {
        let param = |name: &str, kind: &str| JobParam {
            name: name.into(),
            kind: kind.into(),
            ..JobParam::default()
        };
        let shown = JobConfig {
            name: "ages".into(),
            description: Some("counts them".into()),
            params: vec![
                JobParam { required: true, ..param("bucket", "string") },
                JobParam {
                    default: Some(json!(0)),
                    description: Some("the youngest".into()),
                    ..param("min_age", "integer")
                },
            ],
        };
        let expect = "ages  counts them\n    bucket: string, required\n    \
                      min_age: integer, usually 0; the youngest\n";
        assert_eq!(config(&shown), expect);
        let shown = ScheduleShown {
            name: "nightly".into(),
            cron: "0 3 * * *".into(),
            time_zone: Some("Europe/Berlin".into()),
            next_runs_ms: vec![0],
            last_error: Some(json!("no job")),
        };
        let expect = "nightly  0 3 * * * Europe/Berlin  next 1970-01-01T00:00:00Z; no job\n";
        assert_eq!(schedule(&shown), expect);
    }
}
