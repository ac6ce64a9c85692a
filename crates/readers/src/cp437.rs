//! The character set of the first PCs, in which archives have names that are not UTF-8.

/// The characters of the bytes from 128 on.
const UPPER: [&str; 4] = [
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ",
    "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀",
    "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
];

/// A name as text.
pub(crate) fn decode(name: &[u8]) -> String {
    let char = |byte: &u8| match byte.checked_sub(128) {
        None => char::from(*byte),
        Some(at) => {
            let row = UPPER[usize::from(at / 32)];
            row.chars().nth(usize::from(at % 32)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    };
    name.iter().map(char).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_old_archives() {
        assert_eq!(super::decode(b"a\x80\x84\xe1\xff"), "aÇäß\u{a0}");
    }
}
