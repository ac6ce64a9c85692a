//! What the methods `toLocale…` have in common: locales and the reading of options.

use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue};

/// A RangeError.
pub(super) fn range(message: impl Into<std::borrow::Cow<'static, str>>) -> JsError {
    JsNativeError::range().with_message(message).into()
}

/// Takes locales that mean American English. A format of another country would be wrong without a
/// word, so all others are refused.
pub(super) fn check_locales(locales: &JsValue, context: &mut Context) -> JsResult<()> {
    if locales.is_undefined() {
        return Ok(());
    }
    if let Some(tag) = locales.as_string() {
        return check_tag(&tag);
    }
    let list = locales.to_object(context)?;
    let length = list.get(JsString::from("length"), context)?.to_length(context)?;
    for at in 0..length {
        let key = PropertyKey::from(at);
        if list.has_property(key.clone(), context)? {
            let tag = list.get(key, context)?;
            if !tag.is_string() && !tag.is_object() {
                let message = "a locale is a text such as 'en-US'";
                return Err(JsNativeError::typ().with_message(message).into());
            }
            // The first counts.
            return check_tag(&tag.to_string(context)?);
        }
    }
    Ok(())
}

fn check_tag(tag: &JsString) -> JsResult<()> {
    let text = tag.to_std_string_lossy();
    let known = ["en", "en-US", "en-Latn-US", "en-Latn"];
    if known.iter().any(|known| known.eq_ignore_ascii_case(&text)) {
        return Ok(());
    }
    Err(range(format!("locale '{}' is not known here: only en-US is", cut(&text))))
}

/// The beginning of a text that stands in an error.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The object that options are read from.
pub(super) struct Options {
    object: Option<JsObject>,
}

impl Options {
    pub(super) fn new(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let object = match value.is_undefined() {
            true => None,
            false => Some(value.to_object(context)?),
        };
        Ok(Self { object })
    }

    /// The value; `None` when it is not given.
    pub(super) fn get(&self, name: &str, context: &mut Context) -> JsResult<Option<JsValue>> {
        let Some(object) = &self.object else { return Ok(None) };
        let value = object.get(JsString::from(name), context)?;
        Ok(Some(value).filter(|value| !value.is_undefined()))
    }

    pub(super) fn flag(&self, name: &str, context: &mut Context) -> JsResult<Option<bool>> {
        Ok(self.get(name, context)?.map(|value| value.to_boolean()))
    }

    pub(super) fn text(&self, name: &str, context: &mut Context) -> JsResult<Option<String>> {
        let Some(value) = self.get(name, context)? else { return Ok(None) };
        Ok(Some(value.to_string(context)?.to_std_string_lossy()))
    }

    /// What one of the words stands for; any other word is a RangeError.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        context: &mut Context,
    ) -> JsResult<Option<T>> {
        let Some(text) = self.text(name, context)? else { return Ok(None) };
        if let Some((_, meaning)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*meaning));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let words = words.join(", ");
        Err(range(format!("option {name} takes one of {words} here, not '{}'", cut(&text))))
    }

    /// Only that one word may be given.
    pub(super) fn only(&self, name: &str, word: &str, context: &mut Context) -> JsResult<()> {
        self.choice(name, &[(word, ())], context).map(drop)
    }

    /// A whole number within bounds; anything else is a RangeError.
    pub(super) fn whole(
        &self,
        name: &str,
        low: u8,
        high: u8,
        context: &mut Context,
    ) -> JsResult<Option<usize>> {
        let Some(value) = self.get(name, context)? else { return Ok(None) };
        let number = value.to_number(context)?;
        if !(f64::from(low)..=f64::from(high)).contains(&number) {
            return Err(range(format!("option {name} takes {low} to {high}, not {number}")));
        }
        // Within bounds, so that nothing is lost but a fraction.
        Ok(Some(number as usize))
    }
}
