//! Calls whose requests and answers are tied to each other.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Method, ServiceId};

/// What one node asks of another: the type is the request. Both sides take the operation and the
/// type of the answer from here, so that they cannot differ.
pub trait Call: Serialize + DeserializeOwned + Send + Sync {
    /// Whom it is for.
    const SERVICE: ServiceId;

    /// Its number, which no other call of the service has. It is sent, and so stays.
    const OPERATION: u8;

    /// What comes back.
    type Answer: Serialize + DeserializeOwned + Send;

    /// The operation as the transport takes it.
    fn method() -> Method {
        Method { service: Self::SERVICE, operation: Self::OPERATION }
    }
}

/// Declares the calls of a service: `calls!(SERVICE; Read = 1 => Had, Merge = 2 => ())`. Two of one
/// number do not compile.
#[macro_export]
macro_rules! calls {
    ($service:expr; $($(#[$doc:meta])* $request:ty = $operation:literal => $answer:ty),+ $(,)?) => {
        $(
            $(#[$doc])*
            impl $crate::Call for $request {
                const SERVICE: $crate::ServiceId = $service;
                const OPERATION: u8 = $operation;
                type Answer = $answer;
            }
        )+
        const _: () = assert!($crate::distinct(&[$($operation),+]), "two calls of one number");
    };
}

/// Whether no number is there twice.
pub const fn distinct(numbers: &[u8]) -> bool {
    let mut at = 0;
    while at < numbers.len() {
        let mut other = at + 1;
        while other < numbers.len() {
            if numbers[at] == numbers[other] {
                return false;
            }
            other += 1;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Ask;
    #[derive(Serialize, Deserialize)]
    struct Tell(u8);

    calls!(ServiceId::new(9); Ask = 1 => Option<u8>, Tell = 4 => ());

    #[test]
    fn a_call_knows_its_method() {
        let (ask, tell) = (Ask::method(), Tell::method());
        assert_eq!(ask, Method { service: ServiceId::new(9), operation: 1 });
        assert_eq!(tell, Method { service: ServiceId::new(9), operation: 4 });
        let answer: <Ask as Call>::Answer = Some(Tell(7).0);
        assert_eq!(answer, Some(7));
    }

    #[test]
    fn a_number_is_not_given_twice() {
        assert!(distinct(&[]) && distinct(&[7]) && distinct(&[1, 2, 0]));
        assert!(!distinct(&[1, 2, 1]) && !distinct(&[3, 3]));
    }
}
