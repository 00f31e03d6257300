//! The terminal on standard input, while its keys are for a program on a chip.
//!
//! Windows hands over whole lines: its console is left as it is.

#[cfg(unix)]
pub use unix::{KeyByKey, restore};
#[cfg(not(unix))]
pub use without::{KeyByKey, restore};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use rustix::process::getpgrp;
    use rustix::termios::{
        InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
        tcsetattr,
    };

    /// In the place of a key: none (`_POSIX_VDISABLE`).
    const NO_KEY: u8 = if cfg!(target_os = "linux") { 0 } else { 0xFF };

    /// How the terminal was, while it is otherwise. Here because the program may end anywhere.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// Each key is given at once, as it is, and not shown by the terminal; Ctrl-C alone means what it
    /// always means. The terminal is as before when this is dropped.
    #[derive(Debug)]
    pub struct KeyByKey(());

    impl KeyByKey {
        /// `None`: the terminal cannot be read now. The program works in the background, where the system
        /// would stop it.
        pub fn start() -> Option<Self> {
            let terminal = io::stdin();
            // Of a terminal that is not the one of this session nothing is known, and nothing stops.
            if tcgetpgrp(&terminal).is_ok_and(|group| group != getpgrp()) {
                return None;
            }
            if let Ok(before) = tcgetattr(&terminal) {
                let mut keys = before.clone();
                keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
                // Enter is a carriage return, as on every terminal that has a line to itself.
                keys.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IXON;
                keys.special_codes[SpecialCodeIndex::VQUIT] = NO_KEY;
                keys.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
                keys.special_codes[SpecialCodeIndex::VMIN] = 1;
                keys.special_codes[SpecialCodeIndex::VTIME] = 0;
                // A terminal that cannot hands over lines.
                if tcsetattr(&terminal, OptionalActions::Now, &keys).is_ok() {
                    *locked() = Some(before);
                }
            }
            Some(Self(()))
        }
    }

    impl Drop for KeyByKey {
        fn drop(&mut self) {
            restore();
        }
    }

    /// Makes the terminal what it was, where it is not; for an end that drops nothing.
    pub fn restore() {
        if let Some(before) = locked().take() {
            // One that has gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }

    fn locked() -> MutexGuard<'static, Option<Termios>> {
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(unix))]
mod without {
    /// A terminal as it is.
    #[derive(Debug)]
    pub struct KeyByKey(());

    impl KeyByKey {
        /// Lines can be read at any time.
        pub fn start() -> Option<Self> {
            Some(Self(()))
        }
    }

    /// There is nothing to restore.
    pub fn restore() {}
}
