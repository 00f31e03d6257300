//! What passes on the line: shown, kept in a file, or both.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use guru_link::Link;
use guru_link::trace::{TraceSink, TraceText, TraceWriter, Traced};

use crate::context::{Context, Mode};
use crate::error::Error;
use crate::port_url::SpyOptions;
use crate::spy::Spy;
use crate::ui::{Message, Out, Stream, escape};

/// Tells whether the trace file could be written.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// Whether something is missing in the file.
    fn is_damaged(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Health {
    /// Says that something is missing in the file, if so. Its end is known when the link is gone.
    pub fn tell(&self, context: &mut Context) {
        if self.is_damaged() {
            context.screen.message(&Message::Warning {
                text: "the trace file could not be written completely".to_owned(),
            });
        }
    }
}

/// Puts what `--trace`, `--trace-file` and `spy://` ask for before a link.
///
/// # Errors
/// A file cannot be made.
pub fn traced<L: Link>(
    context: &Context,
    link: L,
    spy: Option<&SpyOptions>,
) -> Result<(Traced<L>, Health), Error> {
    let globals = &context.globals;
    let health = Health::default();
    let create = |path: &PathBuf| Watched::create(path, &health);
    let file = globals.trace_file.as_ref().map(create).transpose()?;
    let file = file.map(TraceWriter::new);
    let spy = spy.map(|spy| spied(spy, &health)).transpose()?;
    let text = globals.trace.then(|| {
        // The predecessor's goes to standard output.
        let mut out = Out::new(match context.mode {
            Mode::Guru => Stream::Stderr,
            Mode::Esptool => Stream::Stdout,
        });
        TraceText::new(move |line: &str| out.line(&escape(line)))
    });
    if file.is_none() && text.is_none() && spy.is_none() {
        return Ok((Traced::new(link), health));
    }
    let sink: Box<dyn TraceSink + Send> = Box::new((file, (text, spy)));
    Ok((Traced::with_sink(link, sink), health))
}

fn spied(options: &SpyOptions, health: &Health) -> Result<Box<dyn TraceSink + Send>, Error> {
    Ok(match &options.file {
        None => {
            let mut out = Out::new(Stream::Stderr);
            Box::new(Spy::new(options, move |bytes| out.bytes(bytes)))
        }
        Some(path) => {
            let mut file = Watched::create(path, health)?;
            // It remembers what went wrong.
            Box::new(Spy::new(options, move |bytes| drop(file.write_all(bytes))))
        }
    })
}

/// A file that remembers whether all went into it.
struct Watched {
    file: BufWriter<File>,
    health: Health,
}

impl Watched {
    fn create(path: &PathBuf, health: &Health) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| Error::Output {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            file: BufWriter::new(file),
            health: health.clone(),
        })
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.health.0.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.flush();
        self.note(result)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
