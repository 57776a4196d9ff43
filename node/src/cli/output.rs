//! What commands print, and how they tell of bytes.

use serde_json::Value;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

/// Writes a line to stdout.
///
/// # Errors
/// If whoever reads it has left.
pub(crate) fn say(line: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_ref())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Shows progress in place, if stderr is a terminal.
pub(crate) fn progress(text: &str) {
    if io::stderr().is_terminal() {
        // Progress that cannot be shown is no failure of the work.
        write!(io::stderr(), "\r\x1b[2K{text}").ok();
    }
}

/// Whether the command failed only because its output was closed (`| head`).
pub(super) fn reader_left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Scripts read one line.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines.join("; ")
}

/// Adds `name` as text, or `name_hex` if the bytes are no UTF-8.
fn insert_bytes(object: &mut serde_json::Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}_hex"), hex::encode(bytes).into()),
    };
}

/// A key with its value; the numbers are the revisions that created it and wrote it last, and its
/// version.
pub(crate) fn pair_object(key: &[u8], value: &[u8], numbers: [u64; 3]) -> Value {
    let mut object = serde_json::Map::new();
    insert_bytes(&mut object, "key", key);
    insert_bytes(&mut object, "value", value);
    let names = ["create_revision", "mod_revision", "version"];
    object.extend(
        names
            .iter()
            .zip(numbers)
            .map(|(name, n)| ((*name).to_owned(), n.into())),
    );
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(
            one_line("no such key\n\n  at line 3\n"),
            "no such key; at line 3"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_told_as_hex() {
        let mut object = serde_json::Map::new();
        insert_bytes(&mut object, "key", b"a");
        insert_bytes(&mut object, "value", &[0xff, 0]);
        assert_eq!(
            Value::Object(object).to_string(),
            r#"{"key":"a","value_hex":"ff00"}"#
        );
    }
}
