//! Results that have become pairs in this process.

use mapring_script::{Mapped, MappedPairs, Row, ScriptError, push_pair};

/// The results of a map as pairs.
pub(crate) fn pairs(mapped: Mapped, string_keys: bool) -> Result<MappedPairs, ScriptError> {
    let Mapped { results, effects, handled } = mapped;
    let mut out = MappedPairs { effects, ..MappedPairs::default() };
    let (begun, rest) = match &handled {
        Some(handled) => (&handled.begun[..], &handled.rest[..]),
        None => (&[][..], &[][..]),
    };
    let last = results.len().saturating_sub(1);
    let all = begun.iter().map(|row| (0, row));
    let all = all.chain(
        results.iter().enumerate().flat_map(|(at, rows)| rows.iter().map(move |row| (at, row))),
    );
    for (at, row) in all.chain(rest.iter().map(|row| (last, row))) {
        let input = u32::try_from(at).unwrap_or(u32::MAX);
        push_pair(&mut out.pairs, input, row, string_keys).map_err(|error| error.at(at))?;
        out.made += 1;
        out.made_bytes += row.bytes() as u64;
    }
    out.inputs = u32::try_from(results.len()).unwrap_or(u32::MAX);
    out.handled = handled.map(|handled| mapring_script::Handled {
        begun: Vec::<Row>::new(),
        rest: Vec::new(),
        ..handled
    });
    Ok(out)
}
