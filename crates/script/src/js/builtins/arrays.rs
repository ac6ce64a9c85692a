//! Methods of arrays that the engine does item by item through the general access to properties:
//! here on the items as they lie in memory.
//!
//! Only for an array that nothing unusual was done to: its prototype is `Array.prototype`, it has no
//! holes, getters or names of its own, and can grow. Whatever is not so goes to the engine's own
//! method, before anything has happened that a function could notice.

use boa_engine::object::builtins::JsArray;
use boa_engine::object::{IndexPropertyValues, PropertyMap};
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::{
    Context, JsArgs, JsObject, JsResult, JsString, JsSymbol, JsValue, JsVariant, js_string,
};

use super::arrays_garbage as garbage;
use crate::js::build::plain;
use crate::js::method::{Method, method_of, missing, replace};
use crate::limits;

/// What a method here knows: the engine's own, an array that is never changed, and the getter of
/// `Array[Symbol.species]`.
type Known = (JsObject, JsObject, JsObject);

pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let constructor = context.intrinsics().constructors().array();
    let (prototype, constructor) = (constructor.prototype(), constructor.constructor());
    let pattern = JsObject::from(JsArray::from_iter([], context));
    let species = species(&constructor).ok_or_else(|| missing("Array[Symbol.species]"))?;
    let methods: [(&str, usize, Method<Known>); 9] = [
        ("unshift", 1, unshift),
        ("splice", 2, splice),
        ("slice", 2, slice),
        ("concat", 1, concat),
        ("reverse", 0, reverse),
        ("join", 1, join),
        ("indexOf", 1, index_of),
        ("lastIndexOf", 1, last_index_of),
        ("includes", 1, includes),
    ];
    for (name, length, method) in methods {
        let known = |original| (original, pattern.clone(), species.clone());
        replace(&prototype, (name, length), method, known, context)?;
    }
    Ok(())
}

fn species(constructor: &JsObject) -> Option<JsObject> {
    let key = PropertyKey::from(JsSymbol::species());
    constructor.borrow().properties().get(&key)?.get()?.as_object()
}

/// The items of an array without holes, as they lie.
pub(super) enum Items<'a> {
    Ints(&'a [i32]),
    Numbers(&'a [f64]),
    Values(&'a [JsValue]),
}

impl<'a> Items<'a> {
    /// `None` when there are holes or unusual properties.
    pub(super) fn of(properties: &'a PropertyMap) -> Option<Self> {
        match properties.index_property_values() {
            IndexPropertyValues::DenseI32(items) => Some(Self::Ints(items.as_slice())),
            IndexPropertyValues::DenseF64(items) => Some(Self::Numbers(items.as_slice())),
            IndexPropertyValues::DenseElement(items) => Some(Self::Values(items.as_slice())),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(items) => items.len(),
            Self::Numbers(items) => items.len(),
            Self::Values(items) => items.len(),
        }
    }

    /// Adds the items from `start` to `end` to a list.
    pub(super) fn copy(&self, start: usize, end: usize, list: &mut Vec<JsValue>) {
        let range = start.min(end)..end;
        match self {
            Self::Ints(items) => list.extend(items[range].iter().map(|&item| JsValue::from(item))),
            Self::Numbers(items) => {
                list.extend(items[range].iter().map(|&item| JsValue::from(item)));
            }
            Self::Values(items) => list.extend_from_slice(&items[range]),
        }
    }

    /// The first item from `start` on that is meant, or the last of those before `end`.
    fn find(
        &self,
        start: usize,
        end: usize,
        last: bool,
        mut is_meant: impl FnMut(&JsValue) -> bool,
    ) -> Option<usize> {
        let range = start.min(end)..end;
        match self {
            Self::Ints(items) => at(&items[range], last, |&item| is_meant(&JsValue::from(item))),
            Self::Numbers(items) => at(&items[range], last, |&item| is_meant(&JsValue::from(item))),
            Self::Values(items) => at(&items[range], last, is_meant),
        }
        .map(|found| found + start)
    }
}

fn at<T>(items: &[T], last: bool, is_meant: impl FnMut(&T) -> bool) -> Option<usize> {
    if last { items.iter().rposition(is_meant) } else { items.iter().position(is_meant) }
}

/// An array that nothing unusual was done to, and its length. `pattern` is one that never changes:
/// what has its shape has its prototype, and a `length` that can be written and nothing beside it.
pub(super) fn usual(value: &JsValue, pattern: &JsObject) -> Option<(JsObject, usize)> {
    let array = value.as_object()?;
    let borrowed = array.borrow();
    let same = array.is_array()
        && borrowed.shape().to_addr_usize() == pattern.borrow().shape().to_addr_usize();
    let length = if same { Items::of(borrowed.properties())?.len() } else { return None };
    drop(borrowed);
    // Holes may be at the end.
    let stated = array.borrow().properties().get(&js_string!("length").into())?;
    (stated.value()?.as_number() == Some(length as f64)).then_some((array, length))
}

/// Whether an array like that may be given other items as if each had been set: it can grow, and no
/// prototype has a say about items.
pub(super) fn is_free(array: &JsObject, context: &mut Context) -> JsResult<bool> {
    let constructors = context.intrinsics().constructors();
    let (own, object) = (constructors.array().prototype(), constructors.object().prototype());
    let has_items = |of: &JsObject| of.borrow().properties().index_property_keys().len() > 0;
    let usual = own.prototype().is_some_and(|next| JsObject::equals(&next, &object))
        && object.prototype().is_none()
        && !has_items(&own)
        && !has_items(&object);
    Ok(usual && array.is_extensible(context)?)
}

/// Gives an array of the usual kind other items from a place on, up to its new end.
pub(super) fn put(
    array: &JsObject,
    start: usize,
    items: Vec<JsValue>,
    context: &mut Context,
) -> JsResult<()> {
    let length = array.borrow().properties().index_property_keys().len();
    let end = start + items.len();
    if items.len() + length.saturating_sub(end) >= limits::SPLICED_ITEMS
        && !context.has_data::<PrivateFields>()
    {
        exchange(array, start, items, context);
        return Ok(());
    }
    for (at, item) in items.into_iter().enumerate() {
        array.insert_property(start + at, plain(item));
    }
    // Only from the end: what becomes a hole makes a table of the list.
    for at in (end..length).rev() {
        array.delete_property_or_throw(at, context)?;
    }
    if end != length {
        let property = PropertyDescriptor::builder().value(end).writable(true);
        let property = property.enumerable(false).configurable(false);
        array.insert_property(js_string!("length"), property.build());
    }
    Ok(())
}

/// Of a context in which a class gave an array a private field, which is neither in its shape nor
/// among its items: arrays are not exchanged from then on.
struct PrivateFields;

/// A class gives an object a private field.
pub(in crate::js) fn private_field(object: &JsObject, context: &mut Context) {
    if object.is_array() {
        context.insert_data(PrivateFields);
    }
}

/// The same by exchanging all that the array is for a new one of the same shape, which takes a third
/// of the time.
fn exchange(array: &JsObject, start: usize, items: Vec<JsValue>, context: &mut Context) {
    let borrowed = array.borrow();
    let Some(old) = Items::of(borrowed.properties()) else { return };
    let bytes = old.len() * size_of::<JsValue>();
    let mut before = Vec::with_capacity(start);
    old.copy(0, start, &mut before);
    drop(borrowed);
    garbage::count(bytes);
    let other = JsArray::from_iter(before.into_iter().chain(items), context);
    std::mem::swap(&mut *array.borrow_mut(), &mut *other.borrow_mut());
}

/// Whether what is made from an array like that is an `Array`.
fn makes_arrays(species_was: &JsObject, context: &Context) -> bool {
    let constructor = context.intrinsics().constructors().array();
    let (prototype, constructor) = (constructor.prototype(), constructor.constructor());
    method_of(&prototype, &js_string!("constructor").into())
        .is_some_and(|now| JsObject::equals(&now, &constructor))
        && species(&constructor).is_some_and(|now| JsObject::equals(&now, species_was))
}

/// A place from the start, or from the end if it is negative. `None` for values that are no numbers:
/// to make one of them may run code.
fn place(value: &JsValue, length: usize, missing: usize) -> Option<usize> {
    let number = match value.variant() {
        JsVariant::Undefined => return Some(missing),
        JsVariant::Integer32(number) => f64::from(number),
        JsVariant::Float64(number) if number.is_nan() => 0.0,
        JsVariant::Float64(number) => number.trunc(),
        _ => return None,
    };
    let length = length as f64;
    let place = if number < 0.0 { (length + number).max(0.0) } else { number.min(length) };
    Some(place as usize)
}

fn unshift(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, _): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    if let Some((array, length)) = usual(this, pattern)
        && !arguments.is_empty()
        && is_free(&array, context)?
    {
        let mut items = Vec::with_capacity(length + arguments.len());
        items.extend_from_slice(arguments);
        copy(&array, 0, length, &mut items);
        let length = items.len();
        put(&array, 0, items, context)?;
        return Ok(JsValue::from(length));
    }
    original.call(this, arguments, context)
}

/// Adds the items from `start` to `end` to a list.
pub(super) fn copy(array: &JsObject, start: usize, end: usize, list: &mut Vec<JsValue>) {
    if let Some(items) = Items::of(array.borrow().properties()) {
        items.copy(start, end, list);
    }
}

fn splice(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, species): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let bounds = || {
        let (array, length) = usual(this, pattern)?;
        let start = place(arguments.first()?, length, 0)?;
        let count = match arguments.get(1) {
            None => length - start,
            Some(count) if count.as_number().is_some_and(|count| count < 0.0) => 0,
            Some(count) => place(count, length, 0)?.min(length - start),
        };
        Some((array, length, start, count))
    };
    if let Some((array, length, start, count)) = bounds()
        && makes_arrays(species, context)
        && is_free(&array, context)?
    {
        let new = arguments.get(2..).unwrap_or_default();
        let mut removed = Vec::with_capacity(count);
        copy(&array, start, start + count, &mut removed);
        if count > 0 || !new.is_empty() {
            let mut items = Vec::with_capacity(new.len() + length - start - count);
            items.extend_from_slice(new);
            copy(&array, start + count, length, &mut items);
            put(&array, start, items, context)?;
        }
        return Ok(list(removed, context));
    }
    original.call(this, arguments, context)
}

/// A new array.
fn list(items: Vec<JsValue>, context: &mut Context) -> JsValue {
    garbage::count(items.len() * size_of::<JsValue>());
    JsArray::from_iter(items, context).into()
}

fn slice(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, species): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let bounds = || {
        let (array, length) = usual(this, pattern)?;
        let start = place(arguments.get_or_undefined(0), length, 0)?;
        let end = place(arguments.get_or_undefined(1), length, length)?;
        Some((array, start, end))
    };
    if let Some((array, start, end)) = bounds()
        && makes_arrays(species, context)
    {
        let mut items = Vec::with_capacity(end.saturating_sub(start));
        copy(&array, start, end, &mut items);
        return Ok(list(items, context));
    }
    original.call(this, arguments, context)
}

fn concat(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, species): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let parts = || -> Option<Vec<JsValue>> {
        usual(this, pattern)?;
        let mut items = Vec::new();
        for part in std::iter::once(this).chain(arguments) {
            match usual(part, pattern) {
                Some((array, length)) => copy(&array, 0, length, &mut items),
                None if part.is_object() => return None,
                None => items.push(part.clone()),
            }
        }
        Some(items)
    };
    // Nothing says that an array is to be taken for one item.
    let spreads = |context: &Context| {
        let constructors = context.intrinsics().constructors();
        let key = PropertyKey::from(JsSymbol::is_concat_spreadable());
        [constructors.array().prototype(), constructors.object().prototype()]
            .iter()
            .all(|prototype| !prototype.borrow().properties().contains_key(&key))
            && constructors
                .array()
                .prototype()
                .prototype()
                .is_some_and(|next| JsObject::equals(&next, &constructors.object().prototype()))
    };
    if makes_arrays(species, context)
        && spreads(context)
        && let Some(items) = parts()
    {
        return Ok(list(items, context));
    }
    original.call(this, arguments, context)
}

fn reverse(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, _): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    if let Some((array, length)) = usual(this, pattern)
        && is_free(&array, context)?
    {
        let mut items = Vec::with_capacity(length);
        copy(&array, 0, length, &mut items);
        items.reverse();
        put(&array, 0, items, context)?;
        return Ok(array.into());
    }
    original.call(this, arguments, context)
}

fn join(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, _): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let separator = match arguments.get_or_undefined(0).variant() {
        JsVariant::Undefined => Some(js_string!(",")),
        JsVariant::String(text) => Some(text.clone()),
        _ => None,
    };
    if let Some(separator) = separator
        && let Some((array, length)) = usual(this, pattern)
        && let Some(texts) = texts(&array, length, context)?
    {
        let mut parts = Vec::with_capacity(2 * length);
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                parts.push(separator.as_str());
            }
            parts.push(text.as_str());
        }
        return Ok(JsString::concat_array(&parts).into());
    }
    original.call(this, arguments, context)
}

/// The texts of the items; `None` when to make one of them may run code.
fn texts(
    array: &JsObject,
    length: usize,
    context: &mut Context,
) -> JsResult<Option<Vec<JsString>>> {
    let mut items = Vec::with_capacity(length);
    copy(array, 0, length, &mut items);
    if items.iter().any(|item| item.is_object() || item.is_symbol()) {
        return Ok(None);
    }
    let text = |item: JsValue| match item.is_null_or_undefined() {
        true => Ok(JsString::default()),
        false => item.to_string(context),
    };
    items.into_iter().map(text).collect::<JsResult<_>>().map(Some)
}

fn index_of(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, _): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let what = arguments.get_or_undefined(0);
    let found = || {
        let (array, length) = usual(this, pattern)?;
        let start = place(arguments.get_or_undefined(1), length, 0)?;
        let borrowed = array.borrow();
        let items = Items::of(borrowed.properties())?;
        Some(items.find(start, length, false, |item| item.strict_equals(what)))
    };
    match found() {
        Some(found) => Ok(found.map_or_else(|| JsValue::from(-1), JsValue::from)),
        None => original.call(this, arguments, context),
    }
}

fn last_index_of(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, _): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let what = arguments.get_or_undefined(0);
    let found = || {
        // A place is another thing here: the last that counts.
        let (array, length) = usual(this, pattern).filter(|_| arguments.len() < 2)?;
        let borrowed = array.borrow();
        let items = Items::of(borrowed.properties())?;
        Some(items.find(0, length, true, |item| item.strict_equals(what)))
    };
    match found() {
        Some(found) => Ok(found.map_or_else(|| JsValue::from(-1), JsValue::from)),
        None => original.call(this, arguments, context),
    }
}

fn includes(
    this: &JsValue,
    arguments: &[JsValue],
    (original, pattern, _): &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let what = arguments.get_or_undefined(0);
    let found = || {
        let (array, length) = usual(this, pattern)?;
        let start = place(arguments.get_or_undefined(1), length, 0)?;
        let borrowed = array.borrow();
        let items = Items::of(borrowed.properties())?;
        Some(items.find(start, length, false, |item| JsValue::same_value_zero(item, what)))
    };
    match found() {
        Some(found) => Ok(JsValue::from(found.is_some())),
        None => original.call(this, arguments, context),
    }
}
