//! Ctrl-C: the first one ends the work in order, the second one at once.

use std::process;

use guru_link::Cancel;

use crate::error::exit;

/// Sets `cancel` at the first Ctrl-C (or when the system asks the program to end).
pub fn watch(cancel: &Cancel) {
    let cancel = cancel.clone();
    // Without a handler Ctrl-C still ends the program, only less politely.
    let _ = ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            process::exit(exit::INTERRUPTED.into());
        }
        cancel.cancel();
    });
}
