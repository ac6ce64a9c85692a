//! TOML: the same values as YAML, with dates as texts.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::places::{Budget, Mistake, Mistakes, Path, Place, Places, Tree, number, too_deep};
use super::places::{below_element, below_member};
use crate::limits;

pub(super) fn read(text: &str) -> Result<Tree, Mistakes> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    let mut reader = Reader {
        text,
        lines: starts.collect(),
        places: Places::default(),
        budget: Budget::default(),
        mistakes: Vec::new(),
    };
    for error in errors.iter().take(limits::PROBLEMS) {
        let at = error.span().unwrap_or_default().start;
        let message = format!("this is no TOML: {}", error.message());
        reader.mistakes.push(reader.mistake(at, &None, message));
    }
    let value = reader.table(table.get_ref(), &Some(String::new()), 0);
    let Reader { places, mut mistakes, .. } = reader;
    match value {
        Ok(value) if mistakes.is_empty() => return Ok(Tree { value, places }),
        Ok(_) => {}
        Err(last) => mistakes.push(last),
    }
    mistakes.sort_by_key(|mistake| mistake.place);
    Err(Mistakes(mistakes))
}

struct Reader<'t> {
    text: &'t str,
    /// The byte at which each line begins.
    lines: Vec<usize>,
    places: Places,
    budget: Budget,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..at).map_or(0, |before| before.chars().count());
        Place { line, column: before + 1 }
    }

    fn mistake(&self, at: usize, path: &Path, message: String) -> Mistake {
        Mistake { place: self.place(at), field: path.clone().unwrap_or_default(), message }
    }

    fn table(&mut self, table: &DeTable<'_>, path: &Path, depth: usize) -> Result<Value, Mistake> {
        let mut members = Map::new();
        for (name, value) in table {
            let below = below_member(path, name.get_ref());
            let made = self.value(value, &below, depth + 1)?;
            self.places.set(&below, self.place(name.span().start));
            members.insert(name.get_ref().to_string(), made);
        }
        Ok(Value::Object(members))
    }

    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        path: &Path,
        depth: usize,
    ) -> Result<Value, Mistake> {
        let at = value.span().start;
        self.places.set(path, self.place(at));
        if depth > limits::NESTING {
            return Err(self.mistake(at, path, too_deep()));
        }
        let bytes = value.span().len();
        self.budget.take(1, bytes).map_err(|message| self.mistake(at, path, message))?;
        let made = match value.get_ref() {
            DeValue::String(text) => Ok(Value::from(&**text)),
            DeValue::Boolean(truth) => Ok(Value::from(*truth)),
            DeValue::Datetime(time) => Ok(Value::from(time.to_string())),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map(Value::from)
                .map_err(|_| "the number is beyond 64 bits".to_owned()),
            DeValue::Float(digits) => {
                let float = digits.as_str().parse::<f64>();
                float.map_err(|error| error.to_string()).and_then(number)
            }
            DeValue::Array(values) => {
                let mut list = Vec::with_capacity(values.len());
                for value in values.iter() {
                    let path = below_element(path, list.len());
                    list.push(self.value(value, &path, depth + 1)?);
                }
                Ok(Value::Array(list))
            }
            DeValue::Table(table) => return self.table(table, path, depth),
        };
        Ok(made.unwrap_or_else(|message| {
            if self.mistakes.len() < limits::PROBLEMS {
                self.mistakes.push(self.mistake(at, path, message));
            }
            Value::Null
        }))
    }
}
