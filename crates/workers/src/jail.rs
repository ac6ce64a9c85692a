//! What the jails of the workers are made of, as they say themselves.

use mapring_script::sandbox::{LayerReport, Sandbox};
use parking_lot::Mutex;

/// How workers are jailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxStatus {
    /// What is asked for.
    pub sandbox: Sandbox,
    /// The layers that the worker started last has, or does without; none where nothing is asked for.
    pub layers: Vec<LayerReport>,
}

/// Remembers what the workers say of their jails.
pub(crate) struct Jail {
    sandbox: Sandbox,
    /// `None` until one has said anything.
    layers: Mutex<Option<Vec<LayerReport>>>,
}

impl Jail {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, layers: Mutex::default() }
    }

    /// Takes note of a worker that has started, and tells the log where it is news: all of them lack
    /// the same.
    pub(crate) fn note(&self, layers: &[LayerReport]) {
        let mut known = self.layers.lock();
        if known.as_deref() == Some(layers) {
            return;
        }
        *known = Some(layers.to_vec());
        drop(known);
        if self.sandbox == Sandbox::Off {
            tracing::warn!("script workers are not jailed: script.sandbox is \"off\"");
        }
        for report in layers {
            if let Some(why) = report.missing() {
                let layer = report.layer.name();
                tracing::warn!(layer, why, "the jail of the script workers lacks a layer");
            }
        }
    }

    pub(crate) fn status(&self) -> SandboxStatus {
        let layers = self.layers.lock().clone().unwrap_or_default();
        SandboxStatus { sandbox: self.sandbox, layers }
    }
}

#[cfg(test)]
mod tests {
    use mapring_script::sandbox::{Layer, LayerState};

    use super::*;

    #[test]
    fn the_last_worker_counts() {
        let jail = Jail::new(Sandbox::On);
        assert!(jail.status().layers.is_empty());
        for state in [LayerState::Missing("too old".to_owned()), LayerState::Held] {
            let layers = [LayerReport { layer: Layer::Landlock, state }];
            jail.note(&layers);
            assert_eq!(
                jail.status(),
                SandboxStatus { sandbox: Sandbox::On, layers: layers.into() }
            );
        }
    }
}
