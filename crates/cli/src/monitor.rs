//! What a program prints, shown as it comes; what is typed goes to the program.

use std::time::Duration;

use clap::Args;
use guru_link::{Link, LinkError, block_on};
use guru_loader::Console;

use crate::args;
use crate::context::Context;
use crate::error::Error;
use crate::globals;
use crate::port;
use crate::typed::Typed;

/// Rate at which a session that ends in a monitor works, in bits per second: the one at which most
/// programs print, so that it need not be changed while the first words are coming.
pub const BAUD: u32 = 115_200;

/// How long a simulated chip in virtual time is listened to, if nothing else is said.
const VIRTUAL: Duration = Duration::from_secs(10);

/// How long is listened before the clock is looked at.
const TURN: Duration = Duration::from_secs(1);

/// The same while something may be typed.
const KEY: Duration = Duration::from_millis(20);

/// A program that prints nothing for so long waits for what it is sent. Before, it may be starting, and
/// forget what comes: drivers empty the FIFO.
const QUIET: Duration = Duration::from_millis(300);

/// One that goes on printing is sent it after so long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Options of commands that start a program.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Monitor")]
pub struct MonitorArgs {
    /// Show what the program prints until Ctrl-C, and send it what is typed or piped in; both as they are
    #[arg(long)]
    monitor: bool,

    /// Baud rate at which it prints [default: 115200]
    #[arg(long, value_name = "BAUD", value_parser = globals::baud)]
    monitor_baud: Option<u32>,

    /// Show it for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = args::seconds)]
    monitor_for: Option<Duration>,

    /// Show it until this text was printed; that it does not come is an error (exit code 3)
    #[arg(long, value_name = "TEXT")]
    monitor_until: Option<String>,
}

impl MonitorArgs {
    /// Whether anything is to be shown.
    pub fn is_on(&self) -> bool {
        self.monitor
            || self.monitor_baud.is_some()
            || self.monitor_for.is_some()
            || self.monitor_until.is_some()
    }

    /// Shows what comes, until the time is over, the text was seen, or the user has seen enough.
    ///
    /// # Errors
    /// [`Error::NotPrinted`], and what the link says.
    pub fn show<L: Link>(
        &self,
        context: &mut Context,
        console: &mut Console<L>,
    ) -> Result<(), Error> {
        if let Some(baud) = self.monitor_baud {
            block_on(console.set_baud(baud))?;
        }
        let name = context.globals.port.first().map_or("", String::as_str);
        let is_virtual = port::is_virtual(name);
        let mut typed = Typed::start();
        let begun = console.now();
        // With somebody at the terminal virtual time goes with the real one.
        let limit = (is_virtual && !typed.is_terminal()).then_some(VIRTUAL);
        let end = self.monitor_for.or(limit).map(|limit| begun + limit);
        let mut search = self.monitor_until.as_deref().map(Search::new);
        let mut heard = begun;
        let mut is_ready = false;
        loop {
            let now = console.now();
            if end.is_some_and(|end| now >= end) {
                break;
            }
            let turn = now + if typed.is_open() { KEY } else { TURN };
            let deadline = end.map_or(turn, |end| end.min(turn));
            let bytes = match block_on(console.read(deadline)) {
                Ok(bytes) => bytes,
                Err(error) => return self.ended(error),
            };
            let read = context.screen.output(&bytes);
            if !read || search.as_mut().is_some_and(|search| search.finds(&bytes)) {
                return Ok(());
            }
            let now = console.now();
            if !bytes.is_empty() {
                heard = now;
            }
            is_ready |= now - heard >= QUIET || now - begun >= PATIENCE;
            if !is_ready {
                continue;
            }
            // Where waiting for the program costs no time, who types is waited for.
            let wait = match is_virtual && bytes.is_empty() {
                true => KEY,
                false => Duration::ZERO,
            };
            let keys = typed.next(wait);
            if !keys.is_empty()
                && let Err(error) = block_on(console.write(&keys))
            {
                return self.ended(error);
            }
        }
        match &self.monitor_until {
            Some(text) => Err(Error::NotPrinted {
                text: text.clone(),
                seconds: (console.now() - begun).as_secs_f64(),
            }),
            None => Ok(()),
        }
    }

    /// What it means that the line failed, or the user wants no more.
    fn ended(&self, error: LinkError) -> Result<(), Error> {
        match error {
            LinkError::Cancelled if self.monitor_until.is_none() => Ok(()),
            LinkError::Cancelled => Err(Error::Interrupted {
                state: "the program runs on".to_owned(),
            }),
            error => Err(error.into()),
        }
    }
}

/// Looks for a text in bytes that come piece by piece.
struct Search<'a> {
    text: &'a [u8],
    /// The last bytes, one less than the text has.
    tail: Vec<u8>,
}

impl<'a> Search<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            tail: Vec::new(),
        }
    }

    fn finds(&mut self, bytes: &[u8]) -> bool {
        self.tail.extend_from_slice(bytes);
        let found = self.text.is_empty()
            || self
                .tail
                .windows(self.text.len())
                .any(|window| window == self.text);
        let keep = self.text.len().saturating_sub(1);
        let excess = self.tail.len().saturating_sub(keep);
        self.tail.drain(..excess);
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_is_cut(
            before in "[a-c]{0,20}",
            behind in "[a-c]{0,20}",
            piece in 1_usize..7,
        ) {
            let bytes = format!("{before}ready{behind}");
            let mut search = Search::new("ready");
            let found = bytes.as_bytes().chunks(piece).any(|piece| search.finds(piece));
            prop_assert!(found);
            let mut search = Search::new("ready");
            let without = format!("{before}rady{behind}");
            prop_assert!(!without.as_bytes().chunks(piece).any(|piece| search.finds(piece)));
        }
    }
}
