//! `mapring repair NODE`.

use clap::Args;
use mapring_client::{Client, Repair};

use crate::Target;
use crate::failure::{Outcome, print, print_line};
use crate::limits;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The name of the node
    node: String,

    /// Print what the node says as JSON, one line for each change
    #[arg(long)]
    json: bool,

    /// Only show how far it is; do not start anything, and do not wait
    #[arg(long)]
    status: bool,

    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let node = arguments.node.as_str();
    if !arguments.status {
        client.start_repair(node).await?;
    }
    let mut shown = String::new();
    loop {
        let (line, complete) = match look(&client, node, arguments.json).await {
            Ok(found) => found,
            // The node may just be away; the others go on knowing that it is not complete.
            Err(error) if arguments.status => return Err(error.into()),
            Err(error @ mapring_client::Error::Status { status: 503 | 504, .. }) => {
                (format!("{node}: {error}"), false)
            }
            Err(error) => return Err(error.into()),
        };
        if line != shown {
            print_line(&line)?;
            shown = line;
        }
        if complete || arguments.status {
            return print(b"");
        }
        tokio::time::sleep(limits::REPAIR_ASK_EVERY).await;
    }
}

async fn look(client: &Client, node: &str, json: bool) -> mapring_client::Result<(String, bool)> {
    let repair = client.repair(node).await?;
    if json {
        let bytes = client.repair_json(node).await?;
        return Ok((String::from_utf8_lossy(&bytes).trim_end().to_owned(), repair.complete));
    }
    Ok((text(&repair), repair.complete))
}

/// One line.
pub(crate) fn text(repair: &Repair) -> String {
    let Repair { node, slices, filled, fetched, compared, .. } = repair;
    let mut text = if !repair.complete {
        format!(
            "{node}: {filled} of {slices} parts filled, {compared} objects compared, {fetched} fetched"
        )
    } else if *compared > 0 {
        format!("{node}: complete; {compared} objects compared, {fetched} fetched")
    } else {
        return format!("{node}: complete");
    };
    for (number, what) in [
        (repair.given, "given to others"),
        (repair.removed, "removed, for they were deleted"),
        (repair.kept, "kept that nobody else knew"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    if !repair.kept_names.is_empty() {
        let more = repair.kept > repair.kept_names.len() as u64;
        let dots = if more { ", …" } else { "" };
        text.push_str(&format!(" ({}{dots})", repair.kept_names.join(", ")));
    }
    if let Some(lost) = &repair.lost {
        text.push_str(&format!("; lost: {lost}"));
    }
    if let Some(why) = &repair.waits_for {
        text.push_str(&format!("; waits: {why}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_line() {
        let mut repair = Repair {
            node: "n1".into(),
            lost: Some("store/sled/db is gone".into()),
            slices: 66,
            filled: 5,
            compared: 120,
            fetched: 100,
            ..Repair::default()
        };
        let line = "n1: 5 of 66 parts filled, 120 objects compared, 100 fetched; \
                    lost: store/sled/db is gone";
        assert_eq!(text(&repair), line);
        repair.waits_for = Some("nobody answers".into());
        assert_eq!(text(&repair), format!("{line}; waits: nobody answers"));
        repair = Repair { complete: true, lost: None, waits_for: None, ..repair };
        assert_eq!(text(&repair), "n1: complete; 120 objects compared, 100 fetched");
        repair = Repair { given: 4, kept: 2, kept_names: vec!["b/k1".into()], ..repair };
        let more = ", 4 given to others, 2 kept that nobody else knew (b/k1, …)";
        assert!(text(&repair).ends_with(more), "{}", text(&repair));
        repair.compared = 0;
        assert_eq!(text(&repair), "n1: complete");
    }
}
