//! Ctrl-C: the first one ends the work in order, the second one at once.

use std::process;

use guru_link::Cancel;

use crate::context::{Context, Mode};
use crate::error::exit;
use crate::terminal;

/// Sets the context's token at the first Ctrl-C (or when the system asks the program to end).
pub fn watch(context: &Context) {
    let cancel: Cancel = context.cancel.clone();
    let code = match context.mode {
        Mode::Guru => exit::INTERRUPTED,
        Mode::Esptool => exit::REFUSED,
    };
    // Without a handler Ctrl-C still ends the program, only less politely.
    let _ = ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            terminal::restore();
            process::exit(code.into());
        }
        cancel.cancel();
    });
}
