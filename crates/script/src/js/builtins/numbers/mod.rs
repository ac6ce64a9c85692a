//! `toLocaleString` of numbers, in en-US: decimals, percentages and amounts of money.

mod currency;
mod format;

use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsResult, JsString, JsValue, NativeFunction,
};

use super::options::{Options, check_locales, range};
use crate::js::method::put_method;
use format::{Format, Grouping, Precision, Sign, Style};

/// Puts the method into `Number.prototype`.
pub(in crate::js) fn install(context: &Context) {
    let prototype = context.intrinsics().constructors().number().prototype();
    let function = NativeFunction::from_fn_ptr(text);
    let key = JsString::from("toLocaleString").into();
    put_method(&prototype, key, ("toLocaleString", 0), function, context);
}

fn text(this: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let number = match this.as_object() {
        None => this.as_number(),
        Some(object) => object.downcast_ref::<f64>().map(|number| *number),
    };
    let Some(number) = number else {
        return Err(JsNativeError::typ().with_message("'this' is not a number").into());
    };
    check_locales(arguments.get_or_undefined(0), context)?;
    let options = Options::new(arguments.get_or_undefined(1), context)?;
    let format = format_of(&options, context)?;
    Ok(JsString::from(format.text(number)).into())
}

/// Reads the options, each once. What is not known here is refused rather than passed over.
fn format_of(options: &Options, context: &mut Context) -> JsResult<Format> {
    options.choice("localeMatcher", &[("lookup", ()), ("best fit", ())], context)?;
    options.only("numberingSystem", "latn", context)?;
    let styles = [("decimal", 0_u8), ("percent", 1), ("currency", 2)];
    let style = options.choice("style", &styles, context)?.unwrap_or(0);
    let currency = match options.text("currency", context)? {
        Some(code) => Some(currency::code(&code).ok_or_else(|| wrong_currency(&code))?),
        None => None,
    };
    let displays = [("symbol", true), ("code", false)];
    let symbol = options.choice("currencyDisplay", &displays, context)?.unwrap_or(true);
    let signs = [("standard", false), ("accounting", true)];
    let accounting = options.choice("currencySign", &signs, context)?.unwrap_or(false);
    let (style, least, most) = match (style, currency) {
        (2, None) => {
            let message = "style currency needs option currency, such as 'USD'";
            return Err(JsNativeError::typ().with_message(message).into());
        }
        (2, Some(code)) => {
            let digits = currency::digits(&code);
            let text = if symbol { currency::symbol(&code).to_owned() } else { code };
            (Style::Currency { text, accounting }, digits, digits)
        }
        (1, _) => (Style::Percent, 0, 0),
        _ => (Style::Decimal, 0, 3),
    };
    options.only("notation", "standard", context)?;
    let integers = options.whole("minimumIntegerDigits", 1, 21, context)?.unwrap_or(1);
    let precision = precision(options, least, most, context)?;
    options.only("roundingMode", "halfExpand", context)?;
    options.only("roundingPriority", "auto", context)?;
    options.whole("roundingIncrement", 1, 1, context)?;
    let strips = [("auto", false), ("stripIfInteger", true)];
    let strip = options.choice("trailingZeroDisplay", &strips, context)?.unwrap_or(false);
    let grouping = grouping(options, context)?;
    let signs = [
        ("auto", Sign::Auto),
        ("always", Sign::Always),
        ("never", Sign::Never),
        ("exceptZero", Sign::ExceptZero),
        ("negative", Sign::Negative),
    ];
    let sign = options.choice("signDisplay", &signs, context)?.unwrap_or(Sign::Auto);
    Ok(Format { style, integers, precision, strip, grouping, sign })
}

fn wrong_currency(code: &str) -> JsError {
    let code: String = code.chars().take(100).collect();
    range(format!("'{code}' is no code of a currency: it has three letters"))
}

fn precision(
    options: &Options,
    least: usize,
    most: usize,
    context: &mut Context,
) -> JsResult<Precision> {
    let low = options.whole("minimumFractionDigits", 0, 20, context)?;
    let high = options.whole("maximumFractionDigits", 0, 20, context)?;
    let few = options.whole("minimumSignificantDigits", 1, 21, context)?;
    let many = options.whole("maximumSignificantDigits", 1, 21, context)?;
    let below = |kind| Err(range(format!("option maximum{kind} is below minimum{kind}")));
    if few.is_some() || many.is_some() {
        let (few, many) = (few.unwrap_or(1), many.unwrap_or(21));
        if few > many {
            return below("SignificantDigits");
        }
        return Ok(Precision::Significant { least: few, most: many });
    }
    let (least, most) = match (low, high) {
        (None, None) => (least, most),
        (Some(low), None) => (low, most.max(low)),
        (None, Some(high)) => (least.min(high), high),
        (Some(low), Some(high)) if low > high => return below("FractionDigits"),
        (Some(low), Some(high)) => (low, high),
    };
    Ok(Precision::Fraction { least, most })
}

fn grouping(options: &Options, context: &mut Context) -> JsResult<Grouping> {
    let Some(value) = options.get("useGrouping", context)? else { return Ok(Grouping::Thousands) };
    if value.is_boolean() || !value.to_boolean() {
        return Ok(if value.to_boolean() { Grouping::Thousands } else { Grouping::None });
    }
    let words = [
        ("auto", Grouping::Thousands),
        ("always", Grouping::Thousands),
        ("true", Grouping::Thousands),
        ("false", Grouping::Thousands),
        ("min2", Grouping::TenThousands),
    ];
    Ok(options.choice("useGrouping", &words, context)?.unwrap_or(Grouping::Thousands))
}
