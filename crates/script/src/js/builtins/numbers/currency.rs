//! Currencies as en-US writes them.

/// The code in capitals, if it can be one.
pub(super) fn code(text: &str) -> Option<String> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

/// Digits after the point, as CLDR has them: what is in use, not what the law knows.
pub(super) fn digits(code: &str) -> usize {
    match code {
        "AFN" | "ALL" | "BIF" | "CLP" | "COP" | "DJF" | "GNF" | "HUF" | "IDR" | "IQD" | "IRR"
        | "ISK" | "JPY" | "KMF" | "KPW" | "KRW" | "LAK" | "LBP" | "MGA" | "MMK" | "PKR" | "PYG"
        | "RWF" | "SLL" | "SOS" | "SYP" | "UGX" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" | "YER" => {
            0
        }
        "BHD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// The symbol; the code where there is none.
pub(super) fn symbol(code: &str) -> &str {
    match code {
        "AUD" => "A$",
        "BRL" => "R$",
        "CAD" => "CA$",
        "CNY" => "CN¥",
        "EUR" => "€",
        "GBP" => "£",
        "HKD" => "HK$",
        "ILS" => "₪",
        "INR" => "₹",
        "JPY" => "¥",
        "KRW" => "₩",
        "MXN" => "MX$",
        "NZD" => "NZ$",
        "PHP" => "₱",
        "TWD" => "NT$",
        "USD" => "$",
        "VND" => "₫",
        "XAF" => "FCFA",
        "XCD" => "EC$",
        "XCG" => "Cg.",
        "XOF" => "F\u{202f}CFA",
        "XPF" => "CFPF",
        _ => code,
    }
}
