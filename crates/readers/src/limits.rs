//! Bounds of the formats, with their reasons.

/// Largest item, in bytes: a line, a record, a row, a whole member. Larger: an error that says so. An
/// item goes to a function whole, and a worker has little more memory than a few of them take.
pub const ITEM_BYTES: usize = 16 << 20;

/// Largest document that is held whole, in bytes: an archive inside of another, whose directory stands
/// at its end, or an object whose fields are the items. Larger: an error that says so.
pub const HELD_BYTES: usize = 64 << 20;

/// What a layer that decompresses or decodes holds of its result, in bytes.
pub const BUFFER_BYTES: usize = 64 << 10;

/// Longest line separator, in bytes.
pub const SEPARATOR_BYTES: usize = 256;

/// Most layers over each other. More: refused. Each costs a buffer.
pub const LAYERS: usize = 8;

/// Most columns of a table. More: an error.
pub const COLUMNS: usize = 100_000;

/// Longest name of a member in a message, in characters.
pub const NAME_CHARS: usize = 200;

/// How far before its end an archive may have its end record: the longest comment, the record itself,
/// and the record and locator of the large form before it, in bytes.
pub const ZIP_TAIL_BYTES: u64 = 65_535 + 22 + 20 + 56;

/// What is read of an archive's directory at once, in bytes: the longest entry must fit.
pub const DIRECTORY_BYTES: usize = 256 << 10;

/// Largest count of generated items.
pub const GENERATED: u64 = 1 << 53;

// Name, extra field and comment of an entry of the directory are of 16 bits each.
const _: () = assert!(DIRECTORY_BYTES > 46 + 3 * 65_535);
const _: () = assert!(ITEM_BYTES <= HELD_BYTES);
