//! `mapring cluster choose NODE`, and what `mapring cluster status` says of the metadata.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use mapring_client::{Chosen, Follower, Metadata, MetadataMember};

use crate::Target;
use crate::failure::{Failure, Outcome, print};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The name of the node whose metadata all shall have
    node: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let node = arguments.node.as_str();
    let status = client.cluster().await?;
    if !status.members.iter().any(|member| member.name == node) {
        return Err(Failure::failed(format!("there is no node {node} in the cluster")));
    }
    if status.metadata.has_leader {
        return Err(Failure::failed("the metadata has a leader: there is nothing to choose"));
    }
    print(preview(node, &status.metadata).as_bytes())?;
    if !arguments.yes {
        confirm(node)?;
    }
    print(report(&client.choose(node).await?).as_bytes())
}

/// Asks on the terminal.
fn confirm(node: &str) -> Outcome {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage("this drops decisions of other nodes: confirm it with --yes"));
    }
    let question = format!("Make the metadata of {node} that of all nodes? Type its name: ");
    let mut terminal = io::stderr().lock();
    let asked = terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| stdin.lock().read_line(&mut answer));
    read.map_err(|error| Failure::failed(format!("cannot ask: {error}")))?;
    if answer.trim() == node { Ok(()) } else { Err(Failure::failed("nothing is done")) }
}

/// What would be kept and what dropped.
fn preview(node: &str, metadata: &Metadata) -> String {
    let mut text = String::new();
    for member in &metadata.members {
        text.push_str(&line(member));
    }
    let place = |member: &MetadataMember| member.term.zip(member.index);
    let own = metadata.members.iter().find(|member| member.name == node).and_then(place);
    for member in metadata.members.iter().filter(|member| place(member) > own) {
        text.push_str(&format!(
            "warning  {} has a longer log than {node}: what it has more would be dropped\n",
            member.name
        ));
    }
    text
}

/// What was kept and what dropped.
fn report(chosen: &Chosen) -> String {
    let Chosen { node, index, continues_at, nodes, missing } = chosen;
    let mut text = format!(
        "all nodes go on from entry {index} of {node}; the next entries begin after {continues_at}\n"
    );
    for Follower { node, dropped } in nodes {
        match dropped {
            Some((first, last)) => {
                text.push_str(&format!("dropped  {node}: entries {first} to {last}\n"));
            }
            None => text.push_str(&format!("follows  {node}: it had nothing more\n")),
        }
    }
    for node in missing {
        text.push_str(&format!("missing  {node}: it was not reached, and follows when it is\n"));
    }
    text
}

/// One line on a node that has something to say of.
fn line(member: &MetadataMember) -> String {
    let MetadataMember { name, index, once, remembered_by, differs_at, .. } = member;
    let at = index.map_or_else(|| "not heard".to_owned(), |index| format!("at entry {index}"));
    let behind = once.map_or_else(String::new, |once| {
        let by = remembered_by.join(", ");
        format!(", behind its own past: it once was at {once}, which {by} remembers")
    });
    let differs = differs_at.map_or_else(String::new, |index| {
        format!(", DIFFERS from the answering node up to entry {index}")
    });
    format!("history  {name}: {at}{behind}{differs}\n")
}

/// The lines on the metadata in `mapring cluster status`: one, and one for each node that is not as
/// it should be.
pub(crate) fn history(metadata: &Metadata) -> String {
    let Metadata { has_leader, leader, needs_choice, term, index, hash, members } = metadata;
    let leader = match leader {
        Some(leader) => format!("has the leader {leader}"),
        None if *has_leader => "has a leader".to_owned(),
        None => "HAS NO LEADER: nothing can be changed".to_owned(),
    };
    let hash = hash.as_deref().and_then(|hash| hash.get(..8)).unwrap_or("none");
    let mut text = format!("metadata {leader}; entry {index} of term {term}, hash {hash}\n");
    if *needs_choice {
        text.push_str(
            "metadata what was decided is held by no node that answers: bring back the nodes that \
             remember it, or see `mapring cluster choose --help`\n",
        );
    }
    let is_odd = |member: &&MetadataMember| member.once.is_some() || member.differs_at.is_some();
    let shown: Vec<&MetadataMember> = if *needs_choice {
        members.iter().collect()
    } else {
        members.iter().filter(is_odd).collect()
    };
    text.extend(shown.into_iter().map(line));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, index: u64, once: Option<u64>) -> MetadataMember {
        MetadataMember {
            name: name.to_owned(),
            index: Some(index),
            term: Some(3),
            once,
            remembered_by: once.map(|_| "n2".to_owned()).into_iter().collect(),
            ..MetadataMember::default()
        }
    }

    #[test]
    fn what_is_well_takes_one_line() {
        let metadata = Metadata {
            has_leader: true,
            leader: Some("n2".to_owned()),
            index: 60,
            term: 3,
            hash: Some("0123456789abcdef".to_owned()),
            members: vec![member("n1", 60, None)],
            ..Metadata::default()
        };
        assert_eq!(
            history(&metadata),
            "metadata has the leader n2; entry 60 of term 3, hash 01234567\n"
        );
    }

    #[test]
    fn who_is_behind_and_who_differs_is_named() {
        let mut odd = member("n3", 60, None);
        odd.differs_at = Some(57);
        let metadata =
            Metadata { members: vec![member("n1", 49, Some(60)), odd], ..Metadata::default() };
        let text = history(&metadata);
        assert!(text.contains(
            "history  n1: at entry 49, behind its own past: it once was at 60, which n2 remembers\n"
        ));
        assert!(text.contains("history  n3: at entry 60, DIFFERS from the answering node up to"));
        assert!(text.contains("HAS NO LEADER"));
    }

    #[test]
    fn a_longer_log_is_warned_of() {
        let members = vec![member("n1", 49, Some(60)), member("n3", 50, None)];
        let metadata = Metadata { members, ..Metadata::default() };
        assert!(preview("n1", &metadata).contains("warning  n3 has a longer log than n1"));
        assert!(!preview("n3", &metadata).contains("warning"));
    }
}
