//! What the functions under way give beside what they return: pairs that they emit, effects, an end
//! that they ask for. The global functions have no other way to who called.

use std::cell::RefCell;

use boa_engine::{JsError, JsNativeError, JsValue};

use super::waiting::Waiting;
use crate::gather::Gather;
use crate::native::job::Given;
use crate::{Effects, FailureCause, LogLine, Row, WriteOp, limits};

/// See the module. One batch of calls is under way in a thread.
#[derive(Default)]
pub(super) struct Batch {
    target: Target,
    effects: Effects,
    /// About the bytes of the effects.
    bytes: usize,
    /// Most bytes that one call may give in this way.
    most: u64,
    /// How often a combiner was called.
    combined: u64,
    call: Call,
}

/// Where emitted pairs go.
#[derive(Default)]
pub(super) enum Target {
    /// Nowhere: `emit` throws.
    #[default]
    Nothing,
    /// Among the results, as `[key,value]`.
    Rows(Vec<Row>),
    /// Among pairs.
    Pairs(Box<Pairs>),
}

/// Pairs of the batch.
pub(super) struct Pairs {
    pub(super) string_keys: bool,
    /// The number of the input that the function is called with.
    pub(super) input: u32,
    pub(super) into: PairsInto,
}

/// What becomes of pairs.
pub(super) enum PairsInto {
    /// They leave as they are, or folded.
    Gather(Gather),
    /// They wait for a combiner.
    Waiting(Waiting),
}

/// What becomes of emitted pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `emit` throws.
    None,
    /// They are results.
    Rows,
    /// They are grouped.
    Keys(PairKind),
    /// They are grouped by keys that are strings.
    Strings(PairKind),
}

/// What of a value is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairKind {
    /// Its JSON.
    Text,
    /// Its JSON, but numbers as they are.
    Number,
    /// A plain copy.
    Value,
}

impl PairKind {
    pub(super) fn keeps_values(self) -> bool {
        self == Self::Value
    }

    pub(super) fn takes_numbers(self) -> bool {
        self == Self::Number
    }
}

/// The call under way.
#[derive(Default)]
struct Call {
    left: u64,
    /// Whether it has called one of the functions that give something.
    touched: bool,
    /// What it said when it asked for the end.
    end: Option<(FailureCause, String)>,
    /// The state of its random numbers.
    random: u64,
}

thread_local! {
    static BATCH: RefCell<Batch> = RefCell::default();
}

/// Begins a batch; gives the one that there was, which has ended.
pub(super) fn open(target: Target, most: u64) -> Batch {
    BATCH.replace(Batch { target, most, ..Batch::default() })
}

/// Ends the batch; gives what its calls asked for, and where pairs went.
pub(super) fn close() -> (Effects, Target) {
    let Batch { effects, target, .. } = BATCH.take();
    (effects, target)
}

/// About the bytes of what the calls of the batch have asked for, and of pairs.
pub(super) fn bytes() -> usize {
    BATCH.with_borrow(|batch| {
        let pairs = match &batch.target {
            Target::Pairs(pairs) => match &pairs.into {
                PairsInto::Gather(gather) => gather.bytes(),
                PairsInto::Waiting(waiting) => waiting.bytes(),
            },
            _ => 0,
        };
        batch.bytes + pairs
    })
}

/// Begins a call, whose random numbers follow from `seed`.
pub(super) fn begin_call(seed: u64) {
    BATCH.with_borrow_mut(|batch| {
        batch.call = Call { left: batch.most, random: seed, ..Call::default() };
    });
}

/// Counts a call of a combiner.
pub(super) fn count_combined() {
    BATCH.with_borrow_mut(|batch| batch.combined += 1);
}

/// How often a combiner was called.
pub(super) fn combined() -> u64 {
    BATCH.with_borrow(|batch| batch.combined)
}

/// Ends a call; gives what it said if it asked for the end.
pub(super) fn end_call() -> Option<(FailureCause, String)> {
    BATCH.with_borrow_mut(|batch| batch.call.end.take())
}

/// Whether the call under way has given something.
pub(super) fn is_touched() -> bool {
    BATCH.with_borrow(|batch| batch.call.touched)
}

/// Notes that the call asks for the end.
pub(super) fn ask_for_end(cause: FailureCause, message: String) {
    BATCH.with_borrow_mut(|batch| {
        batch.call.end.get_or_insert((cause, message));
    });
}

/// What becomes of emitted pairs.
pub(super) fn way() -> Way {
    BATCH.with_borrow(|batch| {
        let pairs = match &batch.target {
            Target::Nothing => return Way::None,
            Target::Rows(_) => return Way::Rows,
            Target::Pairs(pairs) => pairs,
        };
        let kind = match &pairs.into {
            PairsInto::Waiting(_) => PairKind::Value,
            PairsInto::Gather(gather) if gather.takes_numbers() => PairKind::Number,
            PairsInto::Gather(_) => PairKind::Text,
        };
        if pairs.string_keys { Way::Strings(kind) } else { Way::Keys(kind) }
    })
}

/// Puts another target in the place of the one that there is.
pub(super) fn redirect(target: Target) -> Target {
    BATCH.with_borrow_mut(|batch| std::mem::replace(&mut batch.target, target))
}

/// The pairs that come are of that input.
pub(super) fn set_input(input: usize) {
    BATCH.with_borrow_mut(|batch| {
        if let Target::Pairs(pairs) = &mut batch.target {
            pairs.input = u32::try_from(input).unwrap_or(u32::MAX);
        }
    });
}

/// Adds a pair.
pub(super) fn push_pair(key: &[u8], value: Given<'_>) -> Result<(), JsError> {
    BATCH.with_borrow_mut(|batch| {
        // A number costs no more than its shortest text, so that a call may give as much either way.
        batch.spend(key.len() + if value.is_number() { 1 } else { value.bytes() })?;
        let Target::Pairs(pairs) = &mut batch.target else { return Ok(()) };
        let PairsInto::Gather(gather) = &mut pairs.into else { return Ok(()) };
        let pushed = gather.push(pairs.input, key, value);
        pushed.map_err(|error| JsNativeError::typ().with_message(error.message).into())
    })
}

/// Adds a pair whose value waits for a combiner, and weighs so much.
pub(super) fn push_value(key: &[u8], value: JsValue, weight: u64) -> Result<(), JsError> {
    BATCH.with_borrow_mut(|batch| {
        batch.spend(key.len() + usize::try_from(weight).unwrap_or(usize::MAX / 2))?;
        if let Target::Pairs(pairs) = &mut batch.target
            && let PairsInto::Waiting(waiting) = &mut pairs.into
        {
            waiting.push(pairs.input, key, value, weight);
        }
        Ok(())
    })
}

/// Looks at the pairs that wait for a combiner.
pub(super) fn with_waiting<T>(look: impl FnOnce(&mut Waiting) -> T) -> Option<T> {
    BATCH.with_borrow_mut(|batch| match &mut batch.target {
        Target::Pairs(pairs) => match &mut pairs.into {
            PairsInto::Waiting(waiting) => Some(look(waiting)),
            PairsInto::Gather(_) => None,
        },
        _ => None,
    })
}

/// Adds a result.
pub(super) fn push_row(row: Row) {
    BATCH.with_borrow_mut(|batch| {
        if let Target::Rows(rows) = &mut batch.target {
            rows.push(row);
        }
    });
}

/// The results of the call so far.
pub(super) fn take_rows() -> Vec<Row> {
    BATCH.with_borrow_mut(|batch| match &mut batch.target {
        Target::Rows(rows) => std::mem::take(rows),
        Target::Nothing | Target::Pairs(_) => Vec::new(),
    })
}

/// Takes so many bytes of what the call may give. Beyond that it has failed, whatever it catches.
pub(super) fn spend(bytes: usize) -> Result<(), JsError> {
    BATCH.with_borrow_mut(|batch| batch.spend(bytes))
}

impl Batch {
    fn spend(&mut self, bytes: usize) -> Result<(), JsError> {
        self.call.touched = true;
        let Some(left) = self.call.left.checked_sub(bytes as u64 + 1) else {
            let message = format!("the call emits and writes more than {} bytes", self.most);
            self.call.end.get_or_insert((FailureCause::ResultSize, message.clone()));
            return Err(JsNativeError::range().with_message(message).into());
        };
        self.call.left = left;
        Ok(())
    }
}

/// Adds to a count.
pub(super) fn count(name: String, delta: i64) -> Result<(), JsError> {
    BATCH.with_borrow_mut(|batch| {
        batch.call.touched = true;
        let counts = &batch.effects.counts;
        if !counts.contains_key(&name) {
            if counts.len() >= limits::COUNT_NAMES {
                let most = limits::COUNT_NAMES;
                let message = format!("count: more than {most} names are counted");
                return Err(JsNativeError::range().with_message(message).into());
            }
            batch.bytes += name.len();
        }
        batch.effects.count(name, delta);
        Ok(())
    })
}

/// Adds a write.
pub(super) fn write(write: WriteOp) -> Result<(), JsError> {
    let bytes = write.bytes();
    spend(bytes)?;
    BATCH.with_borrow_mut(|batch| {
        batch.bytes += bytes;
        batch.effects.writes.push(write);
    });
    Ok(())
}

/// Adds a line of the log.
pub(super) fn log(line: LogLine) {
    BATCH.with_borrow_mut(|batch| {
        batch.bytes += line.message.len();
        batch.effects.log(line);
    });
}

/// The next random number of the call: 0 or more, below 1 (SplitMix64).
#[allow(clippy::cast_precision_loss)] // 53 bits are kept.
pub(super) fn random() -> f64 {
    BATCH.with_borrow_mut(|batch| {
        batch.call.random = batch.call.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(batch.call.random) >> 11) as f64 / (1u64 << 53) as f64
    })
}

/// Spreads the bits of a number.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What the random numbers of a call follow from: a job's seed, and what the call is about.
pub(super) fn seed<'a>(job: u64, parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for byte in part.len().to_le_bytes().iter().chain(part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(hash ^ mix(job))
}
