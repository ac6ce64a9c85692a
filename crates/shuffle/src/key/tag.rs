//! The first byte of each value in a key. Their order is the order of the kinds of values.

/// Ends an array, an object, a string, or the digits of a number. Below all that can stand in its
/// place, so that what ends early comes first.
pub(super) const END: u8 = 0;

pub(super) const NULL: u8 = 2;
pub(super) const FALSE: u8 = 3;
pub(super) const TRUE: u8 = 4;
pub(super) const NEGATIVE: u8 = 5;
pub(super) const ZERO: u8 = 6;
pub(super) const POSITIVE: u8 = 7;
pub(super) const STRING: u8 = 8;
pub(super) const ARRAY: u8 = 9;
pub(super) const OBJECT: u8 = 10;

/// In a string, stands before what is left of the bytes 0 and 1, plus one: so no string has an
/// [`END`] in it, and the order stays.
pub(super) const ESCAPE: u8 = 1;
