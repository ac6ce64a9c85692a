//! `sort` and `toSorted` of arrays and typed arrays.
//!
//! The engine's own give the comparator to a sort that ends the process when the comparator is no
//! consistent order, and leaves a list as it is when it says `true` and `false`. Functions written
//! for Riak rest on the order that SpiderMonkey 1.8 gave for any comparator: here is that sort.

use boa_engine::object::builtins::JsArray;
use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsArgs, JsNativeError, JsObject, JsResult, JsString, JsValue};

use super::arrays::{self, Items};
use crate::js::method::{Method, method_of, missing, replace};
use crate::js::write::length;
use crate::limits;

/// What a method of arrays knows: the engine's own, and an array that is never changed.
type Known = (JsObject, JsObject);

pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let pattern = JsObject::from(JsArray::from_iter([], context));
    let constructors = context.intrinsics().constructors();
    let (arrays, typed) =
        (constructors.array().prototype(), constructors.typed_array().prototype());
    let methods: [(&str, usize, Method<Known>); 2] =
        [("sort", 1, sort), ("toSorted", 1, to_sorted)];
    for (name, length, method) in methods {
        replace(&arrays, (name, length), method, |own| (own, pattern.clone()), context)?;
    }
    // The engine's own copy of a typed array that is sorted by number.
    let key = PropertyKey::from(JsString::from("toSorted"));
    let copy = method_of(&typed, &key).ok_or_else(|| missing("toSorted"))?;
    let methods: [(&str, usize, Method<Known>); 2] =
        [("sort", 1, sort_typed), ("toSorted", 1, to_sorted_typed)];
    for (name, length, method) in methods {
        replace(&typed, (name, length), method, |own| (own, copy.clone()), context)?;
    }
    Ok(())
}

/// The comparator; `None` when there is none.
fn comparator(arguments: &[JsValue]) -> JsResult<Option<JsObject>> {
    let value = arguments.get_or_undefined(0);
    if value.is_undefined() {
        return Ok(None);
    }
    let wrong = "The comparison function must be either a function or undefined";
    value.as_callable().map(Some).ok_or_else(|| JsNativeError::typ().with_message(wrong).into())
}

/// `Array.prototype.sort`.
fn sort(
    this: &JsValue,
    arguments: &[JsValue],
    (_, pattern): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let compare = comparator(arguments)?;
    let array = this.to_object(context)?;
    let length = length(&array, context)?;
    let items = present(&array, length, pattern, context)?;
    let items = sorted(items, compare.as_ref(), context)?;
    let count = items.len() as u64;
    let now = JsValue::from(array.clone());
    if let Some((array, length)) = arrays::usual(&now, pattern)
        && length as u64 == count
        && arrays::is_free(&array, context)?
    {
        arrays::put(&array, 0, items, context)?;
        return Ok(now);
    }
    for (at, item) in items.into_iter().enumerate() {
        array.set(at, item, true, context)?;
    }
    remove(&array, count, length, context)?;
    Ok(now)
}

/// `Array.prototype.toSorted`.
fn to_sorted(
    this: &JsValue,
    arguments: &[JsValue],
    (_, pattern): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let compare = comparator(arguments)?;
    let array = this.to_object(context)?;
    let length = length(&array, context)?;
    let mut items = Vec::new();
    if let Some((array, length)) = arrays::usual(this, pattern) {
        room(length as u64)?;
        arrays::copy(&array, 0, length, &mut items);
    } else {
        room(length)?;
        for at in 0..length {
            items.push(array.get(at, context)?);
        }
    }
    let items = sorted(items, compare.as_ref(), context)?;
    Ok(JsArray::from_iter(items, context).into())
}

/// `%TypedArray%.prototype.sort`.
fn sort_typed(
    this: &JsValue,
    arguments: &[JsValue],
    (original, copy): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let Some(compare) = comparator(arguments)? else {
        return original.call(this, arguments, context);
    };
    let Some((array, _, items)) = typed(this, &compare, copy, context)? else {
        return original.call(this, &[], context);
    };
    for (at, item) in items.into_iter().enumerate() {
        array.set(at, item, true, context)?;
    }
    Ok(this.clone())
}

/// `%TypedArray%.prototype.toSorted`.
fn to_sorted_typed(
    this: &JsValue,
    arguments: &[JsValue],
    (original, copy): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let Some(compare) = comparator(arguments)? else {
        return original.call(this, arguments, context);
    };
    let Some((_, copy, items)) = typed(this, &compare, copy, context)? else {
        return original.call(this, &[], context);
    };
    for (at, item) in items.into_iter().enumerate() {
        copy.set(at, item, true, context)?;
    }
    Ok(copy.into())
}

/// A typed array, a copy of it, and its items in the comparator's order. The copy is made by the
/// engine, which so sees whether it is one.
fn typed(
    this: &JsValue,
    compare: &JsObject,
    copy: &JsObject,
    context: &mut Context,
) -> JsResult<Option<(JsObject, JsObject, Vec<JsValue>)>> {
    let copy = copy.call(this, &[], context)?;
    let (Some(array), Some(copy)) = (this.as_object(), copy.as_object()) else { return Ok(None) };
    let length = length(&copy, context)?;
    room(length)?;
    let mut items = Vec::new();
    for at in 0..length {
        items.push(array.get(at, context)?);
    }
    let items = by_comparator(items, compare, context)?;
    Ok(Some((array, copy, items)))
}

/// An error when so many items cannot be sorted.
fn room(count: u64) -> JsResult<()> {
    if count <= limits::SORT_ITEMS as u64 {
        return Ok(());
    }
    let message = format!("more than {} items cannot be sorted", limits::SORT_ITEMS);
    Err(JsNativeError::range().with_message(message).into())
}

/// The items that an object has below a length.
fn present(
    array: &JsObject,
    length: u64,
    pattern: &JsObject,
    context: &mut Context,
) -> JsResult<Vec<JsValue>> {
    let mut items = Vec::new();
    if let Some((array, length)) = arrays::usual(&array.clone().into(), pattern) {
        room(length as u64)?;
        arrays::copy(&array, 0, length, &mut items);
        return Ok(items);
    }
    if let Some(places) = places(array, 0, length) {
        room(places.len() as u64)?;
        for at in places {
            items.push(array.get(at, context)?);
        }
        return Ok(items);
    }
    for at in 0..length {
        if array.has_property(at, context)? {
            room(items.len() as u64 + 1)?;
            items.push(array.get(at, context)?);
        }
    }
    Ok(items)
}

/// Removes the items from a place on, which are left over when there were holes.
fn remove(array: &JsObject, start: u64, end: u64, context: &mut Context) -> JsResult<()> {
    if let Some(places) = places(array, start, end) {
        // From the end: removing another one would make a table of a list.
        for at in places.into_iter().rev() {
            array.delete_property_or_throw(at, context)?;
        }
        return Ok(());
    }
    for at in start..end {
        array.delete_property_or_throw(at, context)?;
    }
    Ok(())
}

/// The places, in order, where an object has items of its own. `None` when it may have others, when
/// to look at one may run code, or when one may refuse to go. A `length` may be far greater than the
/// number of items.
fn places(object: &JsObject, start: u64, end: u64) -> Option<Vec<u32>> {
    let is_plain = |object: &JsObject| {
        let plain = object.is_ordinary() || object.is_array();
        // Items beyond the last index are properties like others.
        plain
            && (end <= u64::from(u32::MAX) || !object.borrow().shape().keys().iter().any(is_number))
    };
    if !is_plain(object) {
        return None;
    }
    let mut prototype = object.prototype();
    while let Some(next) = prototype {
        if !is_plain(&next) || next.borrow().properties().index_property_keys().len() > 0 {
            return None;
        }
        prototype = next.prototype();
    }
    let borrowed = object.borrow();
    let properties = borrowed.properties();
    let range = start..end;
    if let Some(items) = Items::of(properties) {
        return Some(
            (0..items.len() as u32).filter(|&at| range.contains(&u64::from(at))).collect(),
        );
    }
    let mut places = Vec::new();
    for (at, property) in properties.index_properties() {
        if range.contains(&u64::from(at)) {
            let simple = property.is_data_descriptor() && property.configurable() == Some(true);
            places.push(simple.then_some(at)?);
        }
    }
    places.sort_unstable();
    Some(places)
}

/// Whether a name may be that of an item.
fn is_number(key: &PropertyKey) -> bool {
    let first = |name: &JsString| name.code_unit_at(0);
    matches!(key, PropertyKey::String(name) if first(name).is_some_and(|unit| (0x30..0x3a).contains(&unit)))
}

/// The items in order, `undefined` at the end.
fn sorted(
    mut items: Vec<JsValue>,
    compare: Option<&JsObject>,
    context: &mut Context,
) -> JsResult<Vec<JsValue>> {
    let all = items.len();
    items.retain(|item| !item.is_undefined());
    let mut items = match compare {
        Some(compare) => by_comparator(items, compare, context)?,
        None => by_text(items, context)?,
    };
    items.resize(all, JsValue::undefined());
    Ok(items)
}

/// The order without a comparator: that of the items' texts.
fn by_text(items: Vec<JsValue>, context: &mut Context) -> JsResult<Vec<JsValue>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        pairs.push((item.to_string(context)?, item));
    }
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(pairs.into_iter().map(|(_, item)| item).collect())
}

/// The order of a comparator.
fn by_comparator(
    mut items: Vec<JsValue>,
    compare: &JsObject,
    context: &mut Context,
) -> JsResult<Vec<JsValue>> {
    merge_sort(&mut items, &mut |left: &JsValue, right: &JsValue| -> JsResult<bool> {
        let arguments = [left.clone(), right.clone()];
        let answer = compare.call(&JsValue::undefined(), &arguments, context)?;
        // `NaN` counts as no difference.
        Ok(answer.to_number(context)? > 0.0)
    })?;
    Ok(items)
}

/// Sorts by insertion in runs of [`limits::SORT_RUN`], then by merging runs of 4, 8, 16, and so on.
/// The right item goes first only where `is_after(left, right)`; two neighbouring runs that are in
/// order are taken over as they are. The comparisons asked for, and so the outcome for a comparator
/// that is no consistent order, are those of SpiderMonkey 1.8.
fn merge_sort<T: Clone, E>(
    items: &mut Vec<T>,
    is_after: &mut impl FnMut(&T, &T) -> Result<bool, E>,
) -> Result<(), E> {
    for run in items.chunks_mut(limits::SORT_RUN) {
        for end in 1..run.len() {
            let mut at = end;
            while at > 0 && is_after(&run[at - 1], &run[at])? {
                run.swap(at - 1, at);
                at -= 1;
            }
        }
    }
    let mut run = limits::SORT_RUN;
    let mut merged = Vec::with_capacity(items.len());
    while run < items.len() {
        merged.clear();
        for pair in items.chunks(2 * run) {
            let (left, right) = pair.split_at(run.min(pair.len()));
            merge(left, right, &mut merged, is_after)?;
        }
        std::mem::swap(items, &mut merged);
        run *= 2;
    }
    Ok(())
}

fn merge<T: Clone, E>(
    mut left: &[T],
    mut right: &[T],
    merged: &mut Vec<T>,
    is_after: &mut impl FnMut(&T, &T) -> Result<bool, E>,
) -> Result<(), E> {
    if let (Some(last), Some(first)) = (left.last(), right.first())
        && is_after(last, first)?
    {
        while let ([a, others @ ..], [b, others_right @ ..]) = (left, right) {
            if is_after(a, b)? {
                merged.push(b.clone());
                right = others_right;
            } else {
                merged.push(a.clone());
                left = others;
            }
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use super::*;

    fn sorted(items: &[i32], is_after: impl Fn(i32, i32) -> bool) -> Vec<i32> {
        let mut items = items.to_vec();
        let sorted: Result<(), Infallible> =
            merge_sort(&mut items, &mut |left, right| Ok(is_after(*left, *right)));
        sorted.unwrap();
        items
    }

    #[test]
    fn a_consistent_order_is_kept_stable() {
        let items: Vec<i32> = (0..1_000).map(|at| at * 7_919 % 613).collect();
        let mut expected = items.clone();
        expected.sort_by_key(|item| item / 10);
        assert_eq!(sorted(&items, |left, right| left / 10 > right / 10), expected);
    }

    #[test]
    fn any_answers_give_all_items_back() {
        for answer in [true, false] {
            for length in 0..70 {
                let items: Vec<i32> = (0..length).collect();
                let mut out = sorted(&items, |_, _| answer);
                out.sort_unstable();
                assert_eq!(out, items);
            }
        }
    }
}
