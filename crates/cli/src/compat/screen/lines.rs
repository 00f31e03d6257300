//! Lines in the predecessor's form, on its streams.

use crate::error::exit;
use crate::ui::{Out, Stream};

/// Lines in the predecessor's form.
#[derive(Debug)]
pub struct Lines {
    out: Out,
    err: Out,
    /// Only errors are shown.
    pub silent: bool,
    /// A line was begun and not ended.
    open: bool,
}

impl Lines {
    /// Lines to standard output; warnings and errors to standard error.
    pub fn new() -> Self {
        Self {
            out: Out::new(Stream::Stdout),
            err: Out::new(Stream::Stderr),
            silent: false,
            open: false,
        }
    }

    /// A line.
    pub fn print(&mut self, text: &str) {
        if !self.silent {
            self.end_line();
            self.out.line(text);
        }
    }

    /// A line that goes on.
    pub(super) fn part(&mut self, text: &str) {
        if !self.silent {
            self.out.part(text);
            self.open = true;
        }
    }

    /// The end of a line that was begun.
    pub(super) fn finish(&mut self, text: &str) {
        if self.open && !self.silent {
            self.out.line(text);
            self.open = false;
        }
    }

    /// A line in place of the one that was begun.
    pub(super) fn redraw(&mut self, text: &str) {
        self.out.part(&format!("\r\x1b[2K{text}"));
        self.open = true;
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    pub(super) fn end_line(&mut self) {
        if self.open {
            self.out.line("");
            self.open = false;
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        self.print(&format!("NOTE: {text}"));
    }

    /// A warning.
    pub fn warn(&mut self, text: &str) {
        if !self.silent {
            self.end_line();
            self.err.line(&format!("WARNING: {text}"));
        }
    }

    /// What went wrong.
    pub fn error(&mut self, text: &str) {
        self.error_text(&format!("ERROR: {text}"));
    }

    /// Text on standard error.
    pub fn error_text(&mut self, text: &str) {
        self.end_line();
        self.err.line(text);
    }

    /// A fatal error. Returns the exit code.
    pub fn fatal(&mut self, text: &str) -> u8 {
        self.print("");
        self.error(&format!("A fatal error occurred: {text}"));
        exit::REFUSED
    }
}
