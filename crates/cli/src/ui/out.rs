use std::env;
use std::io::{self, IsTerminal, Write};

/// Which of the program's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An output of the program. A reader that went away (`guru ... | head`) is no error: a write to
/// flash is not stopped half-way because of it.
#[derive(Debug)]
pub struct Out {
    stream: Stream,
    terminal: bool,
    colour: bool,
    gone: bool,
}

/// Colours, by what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// What matters in a line.
    Strong,
    /// Something good to know.
    Note,
    /// Something that may go wrong.
    Warning,
    /// Something that went wrong.
    Error,
    /// Side matters.
    Dim,
}

impl Out {
    /// One of the two outputs; coloured only on a terminal and without `NO_COLOR`.
    pub fn new(stream: Stream) -> Self {
        let terminal = match stream {
            Stream::Stdout => io::stdout().is_terminal(),
            Stream::Stderr => io::stderr().is_terminal(),
        };
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            stream,
            terminal,
            colour: terminal && !plain,
            gone: false,
        }
    }

    /// Whether nobody reads it any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether a person looks at it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// `text` in the colour of `style`, or as it is.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => "1",
            Style::Note => "34",
            Style::Warning => "1;33",
            Style::Error => "1;31",
            Style::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Writes a line.
    pub fn line(&mut self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// Writes text without ending the line.
    pub fn part(&mut self, text: &str) {
        self.write(text.as_bytes());
    }

    /// Writes what is whole lines already.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.gone {
            return;
        }
        let result = match self.stream {
            Stream::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Stream::Stderr => io::stderr().lock().write_all(bytes),
        };
        self.gone = result.is_err();
    }
}
