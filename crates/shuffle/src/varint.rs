//! Lengths and numbers in as few bytes as they need: seven bits a byte, lowest first.

/// Writes a number.
pub(crate) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number and what follows it; `None` when there is none.
pub(crate) fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [first @ 0..0x80, rest @ ..] = bytes {
        return Some((u64::from(*first), rest));
    }
    let mut number = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        let moved = bits << (7 * at);
        if moved >> (7 * at) != bits {
            return None;
        }
        number |= moved;
        if byte < 0x80 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// Reads a length and so many bytes, and what follows them; `None` when they are not there.
pub(crate) fn read_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// Writes a length and the bytes.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_what_is_none_is_refused() {
        for number in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), None);
            }
            bytes.push(7);
            assert_eq!(read(&bytes), Some((number, &[7][..])));
        }
        assert_eq!(read(&[0xff; 11]), None);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
        assert_eq!(read_bytes(&[2, 5]), None);
        assert_eq!(read_bytes(&[2, 5, 6, 7]), Some((&[5, 6][..], &[7][..])));
    }
}
