//! TOML text which knows on what line each field stands.

use crate::error::{Error, Fault};
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

/// The longest file that is read, in bytes: 128 validators and a long allow-list fit many times.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// One file's text.
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    /// Refuses a file of a format that this program does not know, before its other keys confuse
    /// anyone.
    pub(crate) fn format(&self, known: u16) -> Result<(), Error> {
        let table = DeTable::parse(self.text).map_err(|error| self.syntax(&error))?;
        let given = match table.get_ref().get("format").map(|value| value.get_ref()) {
            Some(DeValue::Integer(number)) => number.as_str().parse::<u64>().ok(),
            Some(_) => None,
            None => {
                let remedy = format!("add `format = {known}` at the top");
                return Err(self.fault(Fault::new("format", "is missing", remedy)));
            }
        };
        match given {
            Some(format) if format == u64::from(known) => Ok(()),
            Some(format) if format > u64::from(known) => {
                let problem =
                    format!("{format} is newer than {known}, the newest this program knows");
                Err(self.fault(Fault::new("format", problem, "use a newer quorate")))
            }
            _ => {
                let remedy = format!("set it to {known}");
                Err(self.fault(Fault::new("format", "is no format that ever was", remedy)))
            }
        }
    }

    /// Reads the whole text as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        toml::from_str(self.text).map_err(|error| self.syntax(&error))
    }

    /// Says where a fault is.
    pub(crate) fn fault(&self, fault: Fault) -> Error {
        Error::Field {
            file: self.file.into(),
            line: self.line_of(&fault.field),
            field: fault.field,
            problem: fault.problem,
            remedy: fault.remedy,
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> Error {
        Error::Syntax {
            file: self.file.into(),
            line: error.span().map(|span| self.line_at(span.start)),
            message: error.message().replace('\n', ", "),
        }
    }

    fn line_at(&self, byte: usize) -> usize {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// The line of a field such as `limits.key_bytes` or `validators[2].address`, if it is
    /// written out; else that of what holds it.
    fn line_of(&self, field: &str) -> Option<usize> {
        let table = DeTable::parse(self.text).ok()?;
        let (mut table, mut line) = (table.get_ref(), None);
        for step in field.split('.') {
            let (name, index) = match step.trim_end_matches(']').split_once('[') {
                Some((name, index)) => (name, index.parse::<usize>().ok()),
                None => (step, None),
            };
            let Some((key, mut value)) = table.get_key_value(name) else {
                return line;
            };
            let mut start = key.span().start;
            if let (Some(index), DeValue::Array(array)) = (index, value.get_ref()) {
                let Some(item) = array.get(index) else {
                    return line;
                };
                (value, start) = (item, item.span().start);
            }
            line = Some(self.line_at(start));
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => return line,
            }
        }
        line
    }
}
