//! Landlock: no path at all, whatever the user of the process may do.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetStatus, Scope,
};

use super::layer::{LayerState, Taken};

/// What is forbidden, where the kernel knows it; the first version has the paths already. Later ones
/// restrict what is done with paths that are open, of which there is none.
const VERSION: ABI = ABI::V6;

/// Forbids every path, TCP ports, abstract sockets of others, and signals to others: all of it is
/// handled, and no rule permits any.
pub(super) fn forbid_all() -> Taken {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(VERSION)))
        .and_then(|rules| rules.scope(Scope::from_all(VERSION)))
        .and_then(Ruleset::create)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    match restricted.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(LayerState::Held),
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock, or it is off".to_owned()),
    }
}
