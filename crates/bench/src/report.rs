//! What was found, row by row.

use std::path::Path;

use serde_json::{Value, json};

use crate::machine;
use crate::outcome::Outcome;

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The group that it belongs to.
    pub(crate) group: String,
    /// What was done. With the group, what tells it from all others.
    pub(crate) what: String,
    /// The main figure; less is better.
    pub(crate) figure: f64,
    /// Its unit, such as `µs/request`.
    pub(crate) unit: String,
    /// What it is compared with, and its figure.
    pub(crate) base: Option<(String, f64)>,
    /// What was aimed at, and whether it was reached.
    pub(crate) target: Option<(String, bool)>,
    /// Rates and times by the clock.
    pub(crate) clock: String,
}

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(group: &str, what: impl Into<String>, figure: f64, unit: &str) -> Self {
        Self {
            group: group.to_owned(),
            what: what.into(),
            figure,
            unit: unit.to_owned(),
            base: None,
            target: None,
            clock: String::new(),
        }
    }

    #[must_use]
    pub(crate) fn against(mut self, name: &str, figure: f64) -> Self {
        self.base = Some((name.to_owned(), figure));
        self
    }

    #[must_use]
    pub(crate) fn target(mut self, target: impl Into<String>, met: bool) -> Self {
        self.target = Some((target.into(), met));
        self
    }

    #[must_use]
    pub(crate) fn clock(mut self, clock: impl Into<String>) -> Self {
        self.clock = clock.into();
        self
    }

    /// How much of the speed of what it is compared with it has.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.base.as_ref().map(|(_, base)| base / self.figure)
    }

    fn to_json(&self) -> Value {
        json!({
            "group": self.group,
            "what": self.what,
            "figure": self.figure,
            "unit": self.unit,
            "base": self.base.as_ref().map(|(name, figure)| json!([name, figure])),
            "ratio": self.ratio(),
            "target": self.target.as_ref().map(|(target, met)| json!([target, met])),
            "clock": self.clock,
        })
    }

    /// What later runs are compared with.
    fn of_json(json: &Value) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let figure = json.get("figure")?.as_f64()?;
        Some(Self::new(text("group")?, text("what")?, figure, text("unit")?))
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { machine: machine::describe(), rows: Vec::new() }
    }

    pub(crate) fn to_json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        format!("{:#}\n", json!({ "machine": self.machine, "rows": rows }))
    }

    /// Reads what [`Report::to_json`] gave.
    pub(crate) fn read(file: &Path) -> Outcome<Self> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        let machine = json.get("machine").and_then(Value::as_str).unwrap_or_default().to_owned();
        let rows = json.get("rows").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| failed(&"not the result of an earlier run"))?;
        Ok(Self { machine, rows: rows.iter().filter_map(Row::of_json).collect() })
    }

    /// The figure of the same row.
    pub(crate) fn figure(&self, row: &Row) -> Option<f64> {
        let same = |other: &&Row| other.group == row.group && other.what == row.what;
        self.rows.iter().find(same).map(|row| row.figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_back_as_far_as_they_are_compared() {
        let row = Row::new("kv", "GET", 20.0, "µs").against("axum", 10.0).target("≥ 0.6", false);
        assert_eq!(row.ratio(), Some(0.5));
        let report = Report { machine: "m".into(), rows: vec![row.clone()] };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), report.to_json()).unwrap();
        let read = Report::read(file.path()).unwrap();
        assert_eq!(read.figure(&row), Some(20.0));
        assert_eq!(read.figure(&Row::new("kv", "PUT", 1.0, "µs")), None);
        std::fs::write(file.path(), "{}").unwrap();
        assert!(Report::read(file.path()).is_err());
    }
}
