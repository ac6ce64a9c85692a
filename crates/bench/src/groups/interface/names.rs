//! What rows of this group have in common.

/// Its name.
pub(super) const GROUP: &str = "interface";
