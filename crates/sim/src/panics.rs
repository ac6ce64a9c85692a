//! Panics in any task, which the runtime would swallow.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Takes note of the panics of this thread from now on.
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            HEARD.with_borrow_mut(|heard| match heard {
                Some(heard) => heard.push(panic.to_string()),
                None => usual(panic),
            });
        }));
    });
    HEARD.set(Some(Vec::new()));
}

/// The panics since, and no more.
pub(crate) fn heard() -> Vec<String> {
    HEARD.take().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn panics_are_heard() {
        super::listen();
        let caught = std::panic::catch_unwind(|| panic!("help"));
        let heard = super::heard();
        assert!(caught.is_err() && heard.len() == 1 && heard[0].contains("help"), "{heard:?}");
        assert!(super::heard().is_empty());
    }
}
