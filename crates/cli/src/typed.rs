//! What is typed, or piped in, for a program on a chip.

use std::io::{self, IsTerminal, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::terminal::KeyByKey;

/// Bytes that are taken at a time: as many as the chips' UARTs have room for.
const PIECE: usize = 128;

/// Standard input, read by a thread that nothing waits for.
pub struct Typed {
    /// `None`: it has ended, or is not to be read.
    pieces: Option<Receiver<Vec<u8>>>,
    /// Of a terminal.
    keys: Option<KeyByKey>,
}

impl Typed {
    /// Begins to read; a terminal is as it was when this is dropped.
    pub fn start() -> Self {
        let mut keys = None;
        if io::stdin().is_terminal() {
            keys = KeyByKey::start();
            if keys.is_none() {
                return Self { pieces: None, keys };
            }
        }
        let (sender, pieces) = sync_channel(1);
        thread::spawn(move || {
            let mut piece = [0; PIECE];
            loop {
                match io::stdin().lock().read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => return,
                    Ok(len) => {
                        if sender.send(piece[..len].to_vec()).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self {
            pieces: Some(pieces),
            keys,
        }
    }

    /// Whether more may come.
    pub fn is_open(&self) -> bool {
        self.pieces.is_some()
    }

    /// Whether somebody sits there.
    pub fn is_terminal(&self) -> bool {
        self.keys.is_some()
    }

    /// What has come, which is waited for up to `limit`; empty: nothing.
    pub fn next(&mut self, limit: Duration) -> Vec<u8> {
        let Some(pieces) = &self.pieces else {
            return Vec::new();
        };
        match pieces.recv_timeout(limit) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => {
                self.pieces = None;
                Vec::new()
            }
        }
    }
}
