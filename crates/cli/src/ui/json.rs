use guru_loader::Event;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::{BoardReport, Message, Out, Report, Screen, SettingLine, Stream, Verbosity};
use crate::config::Source;
use crate::error::Error;

/// One JSON object a line on standard output: events as they come, the result or the error last.
pub struct Json {
    out: Out,
    verbosity: Verbosity,
    report: Option<Report>,
    /// A line of the program on the chip that has not ended.
    printed: Vec<u8>,
}

impl Json {
    /// Writes to standard output, or to standard error where that carries data.
    pub fn new(stream: Stream, verbosity: Verbosity) -> Self {
        Self {
            out: Out::new(stream),
            verbosity,
            report: None,
            printed: Vec::new(),
        }
    }

    /// Tells what was printed, up to the end of the last whole line, or all of it.
    fn tell_printed(&mut self, all: bool) {
        let whole = self.printed.iter().rposition(|byte| *byte == b'\n');
        let end = match whole {
            _ if all => self.printed.len(),
            Some(at) => at + 1,
            None => return,
        };
        let lines: Vec<u8> = self.printed.drain(..end).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            let text = line.to_owned();
            self.line(&Message::Output { text });
        }
    }

    /// What happened with one of several boards.
    fn board_line(&mut self, board: &str, mut value: Value) {
        value["port"] = board.into();
        self.line(&value);
    }

    fn line(&mut self, value: &impl Serialize) {
        // Our own types have string keys and no failing serializers.
        if let Ok(line) = serde_json::to_string(value) {
            self.out.line(&line);
        }
    }
}

impl Screen for Json {
    fn event(&mut self, event: &Event) {
        if self.verbosity > Verbosity::Quiet {
            self.line(&event_value(event));
        }
    }

    fn message(&mut self, message: &Message) {
        // Without its address a simulator is of no use.
        if self.verbosity > Verbosity::Quiet || matches!(message, Message::Simulator { .. }) {
            self.line(message);
        }
    }

    fn report(&mut self, report: Report) {
        self.report = Some(report);
    }

    fn board_event(&mut self, board: &str, event: &Event) {
        if self.verbosity > Verbosity::Quiet {
            self.board_line(board, event_value(event));
        }
    }

    fn board_message(&mut self, board: &str, message: &Message) {
        if self.verbosity > Verbosity::Quiet {
            let value = serde_json::to_value(message).unwrap_or_default();
            self.board_line(board, value);
        }
    }

    fn board_ended(&mut self, board: &BoardReport) {
        let mut value = json!({ "event": "board" });
        if let (Value::Object(all), Ok(Value::Object(fields))) =
            (&mut value, serde_json::to_value(board))
        {
            all.extend(fields);
        }
        self.line(&value);
    }

    fn output(&mut self, bytes: &[u8]) -> bool {
        /// A line that does not end is told in pieces.
        const MAX_LINE: usize = 4096;
        self.printed.extend_from_slice(bytes);
        self.tell_printed(self.printed.len() > MAX_LINE);
        !self.out.is_gone()
    }

    fn end(&mut self, outcome: Result<(), &Error>) -> u8 {
        self.tell_printed(true);
        match outcome {
            Ok(()) => {
                let report = self.report.take();
                self.line(&json!({ "result": report }));
                crate::error::exit::SUCCESS
            }
            Err(error) => {
                let mut value = error_value(error);
                // Those that failed are named beside those that did not, and what can be said without
                // the right ELF file is said.
                if let Some(report @ (Report::Boards { .. } | Report::Explain(_))) = &self.report {
                    value["result"] = serde_json::to_value(report).unwrap_or_default();
                }
                self.line(&value);
                error.exit_code()
            }
        }
    }
}

/// An event as one object. Durations become seconds, and a notice has its text beside it.
pub(super) fn event_value(event: &Event) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        if let Event::Leaving(leaving) = event {
            fields.retain(|key, _| key == "event");
            fields.insert(
                "how".to_owned(),
                serde_json::to_value(leaving).unwrap_or_default(),
            );
        }
        if let Some(elapsed) = fields.remove("elapsed") {
            fields.insert("seconds".to_owned(), seconds(&elapsed));
        }
        if let Event::Notice(notice) = event {
            fields.insert("text".to_owned(), notice.to_string().into());
            fields.insert(
                "severity".to_owned(),
                serde_json::to_value(notice.severity()).unwrap_or_default(),
            );
        }
    }
    value
}

/// An error as the last object of the output.
pub(super) fn error_value(error: &Error) -> Value {
    json!({ "error": error })
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(Some(5))?;
        fields.serialize_entry("kind", &self.kind())?;
        fields.serialize_entry("message", &self.to_string())?;
        fields.serialize_entry("causes", &self.causes())?;
        fields.serialize_entry("hints", &self.hints())?;
        fields.serialize_entry("exit_code", &self.exit_code())?;
        fields.end()
    }
}

impl Serialize for SettingLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match &self.values[..] {
            [] => Value::Null,
            [value] => plain(value),
            values => values.iter().map(|value| plain(value)).collect(),
        };
        let mut fields = serializer.serialize_map(Some(3))?;
        fields.serialize_entry("name", self.name)?;
        fields.serialize_entry("value", &value)?;
        let source = match &self.source {
            None => json!({ "kind": "default" }),
            Some(Source::CommandLine) => json!({ "kind": "command-line" }),
            Some(Source::Environment(variable)) => {
                json!({ "kind": "environment", "variable": variable })
            }
            Some(Source::File { path, line }) => {
                json!({ "kind": "file", "path": path, "line": line })
            }
        };
        fields.serialize_entry("source", &source)?;
        fields.end()
    }
}

/// A number or a truth value where the text is one.
fn plain(text: &str) -> Value {
    let number = || text.parse::<serde_json::Number>().ok();
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => number().map_or_else(|| text.into(), Value::Number),
    }
}

fn seconds(duration: &Value) -> Value {
    let part = |key| duration.get(key).and_then(Value::as_u64).unwrap_or(0) as f64;
    (part("secs") + part("nanos") / 1e9).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use guru_link::LinkError;
    use guru_loader::{Leaving, Notice, Progress, Step};

    use super::*;

    #[test]
    fn events_are_flat_objects_with_their_name() {
        let progress = Event::Progress(Progress {
            step: Step::Write,
            address: 0x1000,
            done: 1,
            total: 2,
            sent: 3,
            to_send: 4,
        });
        assert_eq!(
            event_value(&progress),
            json!({"event": "progress", "step": "write", "address": 4096, "done": 1, "total": 2,
                   "sent": 3, "to_send": 4})
        );
        let erased = Event::Erased {
            range: None,
            elapsed: Duration::from_millis(1500),
        };
        assert_eq!(
            event_value(&erased),
            json!({"event": "erased", "range": null, "seconds": 1.5})
        );
        assert_eq!(
            event_value(&Event::Leaving(Leaving::HardReset)),
            json!({"event": "leaving", "how": "hard-reset"})
        );
        let notice = Event::Notice(Notice::LargeFlash);
        assert_eq!(
            event_value(&notice),
            json!({"event": "notice", "notice": "large-flash", "severity": "note",
                   "text": Notice::LargeFlash.to_string()})
        );
    }

    #[test]
    fn an_error_has_kind_message_causes_hints_and_exit_code() {
        let error: Error = LinkError::Lost(Some(std::io::Error::other("unplugged"))).into();
        let value = error_value(&error);
        let error = &value["error"];
        assert_eq!(error["kind"], "link");
        assert_eq!(error["message"], "the connection to the port was lost");
        assert_eq!(error["causes"], json!(["unplugged"]));
        assert!(error["hints"].is_array());
        assert_eq!(error["exit_code"], 1);
    }
}
