//! Random commands with random faults on random chips, in virtual time.
//!
//! A board, its faults and its commands come from one seed. After each command the flash is held
//! against a model of it: after a success it is exactly what the command says, after an error only
//! what the command may touch has changed. Nothing hangs, by the chip's clock or by ours, and
//! nothing panics. What a line that damages requests can do unseen (docs/limits.md) is counted.
//!
//! `GURU_SOAK_BOARDS` is how many boards, `GURU_SOAK_SEED` the seed of the first one.

mod board;
mod job;
mod life;
mod oracle;

use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, thread};

use guru_link::Cancel;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::board::Board;
use crate::life::{COMMANDS, Tally, live};

/// Boards, if nothing else is said: 2,000 commands.
const BOARDS: u64 = 2000 / COMMANDS as u64;
/// By our clock, for all commands of a board; in virtual time none takes a tenth of it.
const REAL_LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let first = number("GURU_SOAK_SEED").unwrap_or(1);
    let boards = number("GURU_SOAK_BOARDS").unwrap_or(BOARDS);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let whole = arguments.filter.is_none() && boards >= BOARDS;
    let trials = (first..first.saturating_add(boards)).map(|seed| {
        let name = format!("seed {seed}: {}", Board::random(seed).address);
        let tally = Arc::clone(&tally);
        Trial::test(name, move || try_board(seed, &tally))
    });
    // A name is the whole story of a board: one line each would be long.
    arguments.quiet |= boards > 1;
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tell(&format!("seeds {first} to {}: {tally}", first + boards - 1));
    if whole && let Some(kind) = tally.never_succeeded() {
        tell(&format!(
            "no {kind} has succeeded: the soak does not reach it"
        ));
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

#[expect(clippy::print_stdout, reason = "what a test program has to say")]
fn tell(text: &str) {
    println!("{text}");
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// All of a board's commands, on a thread that can be given up.
fn try_board(seed: u64, tally: &Mutex<Tally>) -> Result<(), Failed> {
    let cancel = Cancel::default();
    let (sender, result) = mpsc::channel();
    let stop = cancel.clone();
    let thread = thread::spawn(move || {
        // Nobody listens any more when the time is over.
        let _ = sender.send(live(seed, stop));
    });
    let failure = match result.recv_timeout(REAL_LIMIT) {
        Ok((counts, outcome)) => {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(&counts);
            match outcome {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            }
        }
        Err(RecvTimeoutError::Timeout) => {
            cancel.cancel();
            format!("no end within {REAL_LIMIT:?}")
        }
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            let text = panic.as_ref().and_then(|panic| {
                let owned = panic.downcast_ref::<String>().map(String::as_str);
                owned.or(panic.downcast_ref::<&str>().copied())
            });
            format!("a panic: {}", text.unwrap_or("without a text"))
        }
    };
    let again = format!("again with GURU_SOAK_SEED={seed} GURU_SOAK_BOARDS=1");
    Err(format!("{failure}\n{again}").into())
}
