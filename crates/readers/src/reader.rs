//! The stack of layers as one.

use bytes::Bytes;

use crate::cursor::{Cursor, Places};
use crate::documents::{Documents, Position, stop};
use crate::error::{FormatError, Pull, ReadError, Stop};
use crate::format::{self, Format, Root};
use crate::input::Input;
use crate::limits;
use crate::split::Piece;

/// What an item's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// Text.
    Text,
    /// A JSON value as text.
    Json,
    /// Whatever the root or a member holds.
    Bytes,
}

/// What a reader gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key, where it has one of its own: a record's, a field's name.
    pub key: Option<String>,
    /// Where it is in the root, as a JSON object; `None` for a root as it is.
    pub position: Option<String>,
    /// Its bytes.
    pub data: Bytes,
    /// What they are.
    pub kind: ItemKind,
}

/// What comes of a pull.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The next item.
    Item(Item),
    /// The root's bytes from this one on are needed.
    Need(u64),
    /// There are no more.
    End,
}

/// Reads a root.
pub struct Reader {
    top: Box<dyn Documents>,
    kind: ItemKind,
    /// The bytes so far of the item that is being read.
    open: Option<Vec<u8>>,
}

impl Reader {
    /// Over a root, the lowest layer first.
    ///
    /// # Errors
    /// When there can be no such stack, or the piece or the cursor is none of it.
    pub fn new(
        formats: &[Format],
        root: &Root,
        piece: &Piece,
        cursor: Option<&Cursor>,
    ) -> Result<Self, FormatError> {
        format::check(formats)?;
        let mut top: Box<dyn Documents> = Box::new(Input::new(root.length));
        let mut piece = Some(piece);
        for format in formats {
            top = format.over(top, piece.take().unwrap_or(&Piece::Whole), root)?;
        }
        if let Some(cursor) = cursor {
            let mut places: Places = cursor.places()?;
            top.resume(&mut places);
        }
        let last = formats.iter().rev().find(|format| !matches!(format, Format::Sample { .. }));
        let kind = match last {
            Some(Format::Lines(_)) => ItemKind::Text,
            Some(Format::Csv { .. } | Format::Records) => ItemKind::Json,
            _ => ItemKind::Bytes,
        };
        Ok(Self { top, kind, open: None })
    }

    /// Takes bytes of the root from the byte on that [`Pulled::Need`] has named: at least one.
    pub fn feed(&mut self, at: u64, bytes: Bytes) {
        self.top.feed(at, bytes);
    }

    /// The next item.
    ///
    /// # Errors
    /// Damage: the reader goes on behind it when it is pulled again.
    pub fn pull(&mut self) -> Result<Pulled, ReadError> {
        match self.item() {
            Ok(Some(item)) => Ok(Pulled::Item(item)),
            Ok(None) => Ok(Pulled::End),
            Err(Stop::Need(at)) => Ok(Pulled::Need(at)),
            Err(Stop::Broken(error)) => {
                self.open = None;
                Err(error)
            }
        }
    }

    /// The place from which a reader elsewhere goes on: after an item or an error.
    pub fn cursor(&self) -> Cursor {
        let mut places = Vec::new();
        self.top.place_after(&mut places);
        Cursor::of(&places)
    }

    fn item(&mut self) -> Pull<Option<Item>> {
        if self.open.is_none() {
            if !self.top.next()? {
                return Ok(None);
            }
            self.open = Some(Vec::new());
        }
        let top = self.top.as_mut();
        if let Some(data) = &mut self.open {
            while top.fill()? {
                let ready = top.bytes();
                let count = ready.len();
                if data.len() + count > limits::ITEM_BYTES {
                    let most = limits::ITEM_BYTES;
                    return stop(top, top.at(), format!("it is longer than {most} bytes"));
                }
                data.extend_from_slice(ready);
                top.consume(count);
            }
        }
        let mut position = Position::default();
        top.position(&mut position);
        Ok(Some(Item {
            key: top.key().map(str::to_owned),
            position: position.into_json(),
            data: self.open.take().unwrap_or_default().into(),
            kind: self.kind,
        }))
    }
}
