//! A TCP proxy that records what passes, in both directions and in order.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Result;

/// Who sent a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The program.
    Client,
    /// The chip, or the server before it.
    Chip,
}

/// Bytes in the order in which they passed; pieces of one direction in a row are one.
pub type Recording = Vec<(From, Vec<u8>)>;

/// Serves one client.
pub struct Proxy {
    port: u16,
    thread: JoinHandle<std::io::Result<Recording>>,
}

impl Proxy {
    /// Connects to `HOST:PORT` and listens for one client.
    ///
    /// # Errors
    /// The chip cannot be reached.
    pub fn start(chip: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let chip = TcpStream::connect(chip)?;
        let thread = thread::spawn(move || {
            let (client, _) = listener.accept()?;
            client.set_nodelay(true)?;
            chip.set_nodelay(true)?;
            let recording = Arc::new(Mutex::new(Recording::new()));
            let up = {
                let (recording, from, to) = (
                    Arc::clone(&recording),
                    client.try_clone()?,
                    chip.try_clone()?,
                );
                thread::spawn(move || carry(From::Client, from, to, &recording))
            };
            carry(From::Chip, chip, client, &recording);
            let _ = up.join();
            let recording = std::mem::take(&mut *lock(&recording));
            Ok(recording)
        });
        Ok(Self { port, thread })
    }

    /// What the client takes for `--port`.
    pub fn port(&self) -> String {
        format!("socket://127.0.0.1:{}", self.port)
    }

    /// Waits for the client's end.
    ///
    /// # Errors
    /// The client never came.
    pub fn finish(self) -> Result<Recording> {
        Ok(self.thread.join().map_err(|_| "the proxy failed")??)
    }
}

fn carry(who: From, mut from: TcpStream, mut to: TcpStream, recording: &Mutex<Recording>) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        {
            let mut recording = lock(recording);
            match recording.last_mut() {
                Some((last, bytes)) if *last == who => bytes.extend_from_slice(&buffer[..length]),
                _ => recording.push((who, buffer[..length].to_vec())),
            }
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The end of one is the end of both.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn lock(recording: &Mutex<Recording>) -> std::sync::MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}
