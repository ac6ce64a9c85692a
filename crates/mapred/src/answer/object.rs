//! A plain answer as an object: each result is a pair, and a member of it. In the order of the names,
//! since only so it is seen in bounded memory that none comes twice.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use mapring_types::quote;

use super::Answer;
use crate::failure::{FailedInput, Failure, FailureKind};
use crate::limits;
use crate::pair::{self, Pair};
use crate::results::{PhaseResults, Results};
use crate::spill::{Purpose, Spill};
use crate::spool::{Sorted, Spool};

/// Runs a query to its end and gives the object of its pairs.
///
/// # Errors
/// The query's failure; that a result is no pair, or has the key of another; that there is no room.
pub(super) async fn collect(spill: &Arc<Spill>, mut results: Results) -> Result<Answer, Failure> {
    let mut spool = Spool::new(spill, Purpose::Answer);
    // The braces, and a comma after each member but the last.
    let (mut length, mut members, mut phase) = (2_u64, 0_u64, 0);
    while let Some(results) = results.next().await {
        let PhaseResults { phase: of, values, .. } = results?;
        phase = of;
        for row in values {
            let Some(Pair { key, value }) = Pair::of(&row) else {
                let message = "a result is no [key, value], and so no member of an object";
                let failure = Failure::new(FailureKind::BadInput, message);
                return Err(failure.in_phase(phase).of(FailedInput::Row(row)));
            };
            let name = if key.starts_with('"') { key.to_owned() } else { pair::quoted(key) };
            let value = [name.as_bytes(), b":", value.as_bytes()];
            length += value.iter().map(|part| part.len() as u64).sum::<u64>() + 1;
            members += 1;
            spool.push(&pair::bytes(key), &value)?;
        }
        spool.settle().await?;
    }
    length -= u64::from(members > 0);
    let mut sorted = spool.finish().await?;
    if let Some(key) = sorted.repeated().await? {
        let key = quote(&String::from_utf8_lossy(&key));
        let message =
            format!("more than one result has the key \"{key}\", and an object has one of a name");
        return Err(Failure::new(FailureKind::BadInput, message).in_phase(phase));
    }
    let body = stream::try_unfold(Some((sorted, true)), |state| async move {
        let Some((mut sorted, first)) = state else { return Ok(None) };
        let (bytes, ended) = next(&mut sorted, first).await?;
        Ok::<_, io::Error>(Some((bytes, (!ended).then_some((sorted, false)))))
    });
    Ok(Answer { length, is_lines: false, body: body.boxed() })
}

/// The next members, or the brace that closes the object where there are no more, and whether that is
/// so.
async fn next(sorted: &mut Sorted, first: bool) -> io::Result<(Bytes, bool)> {
    let records = sorted.next(limits::ANSWER_CHUNK).await;
    let records = records.map_err(|failure| io::Error::other(failure.to_string()))?;
    let mut bytes = BytesMut::new();
    if first {
        bytes.extend_from_slice(b"{");
    }
    for (at, record) in records.iter().enumerate() {
        if at > 0 || !first {
            bytes.extend_from_slice(b",");
        }
        bytes.extend_from_slice(&record.value);
    }
    if records.is_empty() {
        bytes.extend_from_slice(b"}");
    }
    Ok((bytes.freeze(), records.is_empty()))
}
