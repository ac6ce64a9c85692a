//! What the calls of a query are held to, and when they have their turn, where that is said of it.

use std::sync::Arc;

use mapring_script::{CallBounds, Priority, QueryTag};

use crate::limits;
use crate::pool::Pool;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTerms {
    /// What its calls are held to.
    pub bounds: CallBounds,
    /// When they have their turn.
    pub priority: Priority,
}

impl CallTerms {
    /// The share of the workers that its query has beside one that somebody waits for, which has
    /// [`limits::WHOLE_SHARE`].
    pub(crate) fn share(&self) -> u32 {
        match self.priority {
            Priority::High => limits::WHOLE_SHARE,
            Priority::Normal => limits::NORMAL_SHARE,
            Priority::Low => limits::LOW_SHARE,
        }
    }
}

/// Terms hold for the calls of a query until this is dropped, and with it all others of the query.
#[derive(Default)]
pub struct Terms(Option<(Arc<Pool>, QueryTag)>);

impl Terms {
    /// Of the calls that a pool makes.
    pub(crate) fn of(pool: &Arc<Pool>, query: QueryTag) -> Self {
        Self(Some((Arc::clone(pool), query)))
    }
}

impl Drop for Terms {
    fn drop(&mut self) {
        if let Some((pool, query)) = self.0.take() {
            pool.release_terms(query);
        }
    }
}
