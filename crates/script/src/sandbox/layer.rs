//! The layers of the jail, and what became of each.

use serde::{Deserialize, Serialize};

/// Whether workers are jailed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sandbox {
    /// Not at all: for a look at a worker with a debugger, say.
    Off,
    /// By as many layers as the kernel offers.
    #[default]
    On,
    /// By all layers that are required ([`Layer::is_required`]), or they do not start.
    Required,
}

impl Sandbox {
    /// As the setting has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Required => "required",
        }
    }
}

/// A layer of the jail: each keeps by itself what it forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// Network, interprocess communication and host name of its own, all empty.
    Namespaces,
    /// A user of its own, where the node is root.
    User,
    /// No capability, and none to be had.
    Capabilities,
    /// No rights by what is executed.
    NoNewPrivileges,
    /// No path, no TCP port, no abstract socket, and no signal to others.
    Landlock,
    /// No calls of the system but those that the interpreter needs.
    Seccomp,
}

impl Layer {
    /// All, in the order in which they are taken.
    pub const ALL: [Self; 6] = [
        Self::Namespaces,
        Self::User,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// As status and logs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::User => "user",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no_new_privs",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// Whether [`Sandbox::Required`] asks for it. Namespaces are what containers refuse their
    /// processes, and forbid nothing that the other layers do not.
    pub fn is_required(self) -> bool {
        self != Self::Namespaces
    }
}

/// What became of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerState {
    /// It holds.
    Held,
    /// There is nothing for it to forbid.
    NotNeeded,
    /// The process does without it, for this reason.
    Missing(String),
}

impl LayerState {
    /// In a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotNeeded => "not_needed",
            Self::Missing(_) => "missing",
        }
    }
}

/// What became of a layer, or why the process does without it.
pub(super) type Taken = Result<LayerState, String>;

/// A layer with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReport {
    /// The layer.
    pub layer: Layer,
    /// What became of it.
    pub state: LayerState,
}

impl LayerReport {
    pub(super) fn new(layer: Layer, taken: Taken) -> Self {
        Self { layer, state: taken.unwrap_or_else(LayerState::Missing) }
    }

    /// Why the process does without the layer, if it does.
    pub fn missing(&self) -> Option<&str> {
        match &self.state {
            LayerState::Missing(why) => Some(why),
            LayerState::Held | LayerState::NotNeeded => None,
        }
    }
}
