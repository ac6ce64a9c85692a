//! The order of inputs, which the values of a group follow however many maps are between: an input that
//! a map gave has the place of the input that it came of, and its own among what that gave.
//!
//! All inputs of a stage that came in one way have orders of one length, which compare as bytes. Those of a
//! source came in several: all begin with the number of a unit then, by which these are told apart.

use mapring_types::{Error, Result};

/// Where an input stands among all of its stage.
pub(in super::super) type Order = Box<[u8]>;

/// Of an input that stands so far behind the first.
pub(super) fn of_place(place: u64) -> Order {
    place.to_be_bytes().into()
}

/// Of an input of a list that has the number of a unit.
pub(in super::super) fn of_listed(unit: u32, place: u64) -> Order {
    [&unit.to_be_bytes()[..], &place.to_be_bytes()].concat().into()
}

/// Of results of a unit whose inputs are read in order, as many before them.
pub(super) fn of_unit(unit: u32, before: u64, results: usize) -> Vec<Order> {
    (before..).take(results).map(|at| of_listed(unit, at)).collect()
}

/// Of the results of inputs that have orders, by how many each gave.
///
/// # Errors
/// `Corrupt` when the numbers do not add up.
pub(super) fn of_inputs<'a>(
    inputs: impl ExactSizeIterator<Item = &'a Order>,
    gave: &[u32],
    results: usize,
) -> Result<Vec<Order>> {
    let all: u64 = gave.iter().map(|&gave| u64::from(gave)).sum();
    if inputs.len() != gave.len() || all != results as u64 {
        let told = gave.len();
        let words = format!("{told} of {} inputs gave {all} of {results} results", inputs.len());
        return Err(Error::corrupt(words));
    }
    let orders = inputs.zip(gave).flat_map(|(order, &gave)| {
        (0..gave).map(move |at| [&order[..], &at.to_be_bytes()].concat().into())
    });
    Ok(orders.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_go_up_and_numbers_add_up() {
        let units = [of_unit(1, 0, 2), of_unit(1, 2, 1), of_unit(300, 0, 1)].concat();
        assert!(units.is_sorted() && units.len() == 4, "{units:?}");
        let inputs = [of_place(7), of_place(300), of_place(301)];
        let orders = of_inputs(inputs.iter(), &[2, 0, 1], 3).unwrap();
        assert!(orders.is_sorted() && orders.len() == 3, "{orders:?}");
        for (gave, results) in [(&[2, 0][..], 2), (&[2, 0, 1], 4), (&[u32::MAX, u32::MAX, 2], 0)] {
            assert!(of_inputs(inputs.iter(), gave, results).is_err(), "{gave:?}");
        }
    }
}
