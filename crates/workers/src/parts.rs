//! Large batches go to a worker in several requests.

use crate::limits;

/// Divides inputs into requests of at most [`limits::REQUEST_BYTES`]; a larger input goes alone.
pub(crate) fn parts<T>(inputs: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for input in inputs {
        let own = size(&input);
        if bytes + own > limits::REQUEST_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += own;
        part.push(input);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_by_bytes() {
        let sizes = |inputs: &[usize]| -> Vec<usize> {
            parts(inputs.to_vec(), |size| *size).iter().map(Vec::len).collect()
        };
        let half = limits::REQUEST_BYTES / 2;
        assert_eq!(sizes(&[]), [0usize; 0]);
        assert_eq!(sizes(&[1, 1, 1]), [3]);
        assert_eq!(sizes(&[half, half, 1]), [2, 1]);
        assert_eq!(sizes(&[limits::REQUEST_BYTES * 3, 1]), [1, 1]);
    }
}
