//! The same for several boards at the same time: a thread each, and one that shows what they do.

mod args;
mod arrivals;
mod relay;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use guru_loader::{Error as LoaderError, Event, Observer};
use guru_sim::{SCHEME, SimOptions};

use crate::context::Context;
use crate::error::{Error, Kind};
use crate::interrupt;
use crate::port_list;
use crate::session::{self, Device};
use crate::ui::{BoardReport, Message, Report};
use arrivals::{Arrivals, Source};
use relay::{News, Relay};

pub use args::{BoardsArgs, Which};

/// How often it is looked for new boards.
const LOOK: Duration = Duration::from_millis(250);

/// How long a port that has just come may be kept by those who look at every new one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does a job on one board as [`session::with_device`] does, or on several at the same time. Then
/// each fails or succeeds by itself, and a report says which.
///
/// # Errors
/// Those of the one board; [`Error::Boards`] when some of several failed.
pub fn with_devices<J>(context: &mut Context, boards: &BoardsArgs, job: J) -> Result<(), Error>
where
    J: Fn(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError> + Sync,
{
    let which = boards.which(&context.globals)?;
    if which == Which::One {
        return session::with_device(context, job);
    }
    let source = Source {
        list: context.globals.port_list.clone(),
        filter: port_list::filter(&context.globals.port_filter),
        names: context.globals.port.clone(),
    };
    let (first, mut arrivals) = match which {
        Which::Named => {
            refuse_twins(&source.names)?;
            (source.names.clone(), None)
        }
        Which::Present => (names(source.look()?), None),
        Which::Arriving => (Vec::new(), Some(Arrivals::after(&source.look()?))),
        // Looked for by those who look for new ones.
        _ => {
            source.look()?;
            (Vec::new(), Some(Arrivals::default()))
        }
    };
    if arrivals.is_none() && first.is_empty() {
        return Err(port_list::none(&context.globals));
    }
    interrupt::watch(context);
    if arrivals.is_some() {
        context.screen.message(&Message::WaitingForBoards);
    }
    let (sender, receiver) = channel();
    let ended = thread::scope(|scope| {
        let mut bench = Bench {
            context,
            scope,
            job: &job,
            patience: arrivals.as_ref().map_or(Duration::ZERO, |_| PATIENCE),
            sender,
            boards: Vec::new(),
        };
        for name in first {
            bench.start(name);
        }
        bench.run(&receiver, &source, arrivals.as_mut(), boards.count)
    });
    conclude(context, ended)
}

/// Two sessions with one board would disturb each other.
fn refuse_twins(ports: &[String]) -> Result<(), Error> {
    let mut seen: HashMap<PathBuf, &str> = HashMap::new();
    for port in ports {
        let path = if port.starts_with(SCHEME) {
            // Each is a chip of its own, apart from its flash.
            port.parse::<SimOptions>()?.flash
        } else {
            Some(PathBuf::from(port))
        };
        let Some(path) = path else { continue };
        let path = fs::canonicalize(&path).unwrap_or(path);
        if let Some(other) = seen.insert(path, port) {
            return Err(Error::Usage(format!(
                "'{port}' and '{other}' are the same board; name each once"
            )));
        }
    }
    Ok(())
}

fn names(ports: Vec<guru_link::ports::Port>) -> Vec<String> {
    ports.into_iter().map(|port| port.path).collect()
}

/// What becomes of the whole when all boards are done.
fn conclude(context: &mut Context, ended: Vec<BoardReport>) -> Result<(), Error> {
    let failed: Vec<&BoardReport> = ended.iter().filter(|board| board.error.is_some()).collect();
    let outcome = if failed.iter().any(|board| board.is_interrupted()) {
        let state = match failed.len() {
            1 => "1 board was not finished".to_owned(),
            count => format!("{count} boards were not finished"),
        };
        Err(Error::Interrupted { state })
    } else if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::Boards {
            failed: failed.iter().map(|board| board.port.clone()).collect(),
            boards: ended.len(),
        })
    };
    context.screen.report(Report::Boards { boards: ended });
    outcome
}

/// Boards at work.
struct Bench<'scope, 'env, J> {
    context: &'env mut Context,
    scope: &'scope Scope<'scope, 'env>,
    job: &'env J,
    patience: Duration,
    sender: Sender<(usize, News)>,
    boards: Vec<Board>,
}

struct Board {
    port: String,
    begun: Instant,
    at_work: bool,
    report: BoardReport,
}

impl<'scope, J> Bench<'scope, '_, J>
where
    J: Fn(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError> + Sync,
{
    /// Begins with a board on a thread of its own.
    fn start(&mut self, port: String) {
        let number = self.boards.len();
        let before = self
            .boards
            .iter()
            .filter(|board| board.at_work && board.port == port)
            .count();
        // Simulated chips may have one address.
        let label = match before {
            0 => port.clone(),
            _ => format!("{port} ({})", before + 1),
        };
        let screen = Relay::new(number, self.sender.clone());
        let mut context = self.context.for_board(port.clone(), Box::new(screen));
        let sender = self.sender.clone();
        let (job, patience) = (self.job, self.patience);
        self.scope.spawn(move || {
            let work = AssertUnwindSafe(|| attempt(&mut context, job, patience));
            let outcome = catch_unwind(work).unwrap_or_else(|_| {
                Err(Error::Unexpected {
                    what: "a defect of this program ended the work on this board".to_owned(),
                    source: io::Error::other("see what was printed above"),
                })
            });
            // The receiver outlives all boards.
            let _ = sender.send((number, News::Ended(outcome)));
        });
        self.boards.push(Board {
            port,
            begun: Instant::now(),
            at_work: true,
            report: BoardReport::new(label),
        });
    }

    /// Shows what the boards do until all are done, and begins with those that come.
    fn run(
        mut self,
        receiver: &Receiver<(usize, News)>,
        source: &Source,
        mut arrivals: Option<&mut Arrivals>,
        count: Option<usize>,
    ) -> Vec<BoardReport> {
        let mut look = Instant::now();
        loop {
            let full = count.is_some_and(|count| self.boards.len() >= count);
            if full || self.context.cancel.is_cancelled() {
                arrivals = None;
            }
            if arrivals.is_none() && !self.boards.iter().any(|board| board.at_work) {
                break;
            }
            if let Some(arrivals) = arrivals.as_deref_mut()
                && Instant::now() >= look
            {
                self.look(source, arrivals, count);
                look = Instant::now() + LOOK;
            }
            match receiver.recv_timeout(LOOK / 5) {
                Ok((number, news)) => self.show(number, news),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        self.boards.into_iter().map(|board| board.report).collect()
    }

    fn look(&mut self, source: &Source, arrivals: &mut Arrivals, count: Option<usize>) {
        // A list that is being written anew may be missing for a moment.
        let Ok(ports) = source.look() else { return };
        let in_use = |path: &str| {
            let mut boards = self.boards.iter();
            boards.any(|board| board.at_work && board.port == path)
        };
        let room = count.map_or(usize::MAX, |count| count.saturating_sub(self.boards.len()));
        for port in arrivals.new_in(ports, in_use).into_iter().take(room) {
            self.start(port.path);
        }
    }

    fn show(&mut self, number: usize, news: News) {
        let screen = self.context.screen.as_mut();
        let Some(board) = self.boards.get_mut(number) else {
            return;
        };
        let report = &mut board.report;
        match news {
            News::Event(event) => {
                if let Event::Connected(device) = &event {
                    report.chip = Some(device.chip);
                    report.mac.clone_from(&device.mac);
                }
                screen.board_event(&report.port, &event);
            }
            News::Message(message) => screen.board_message(&report.port, &message),
            News::Report(result) => report.result = Some(result),
            News::Ended(outcome) => {
                board.at_work = false;
                report.seconds = board.begun.elapsed().as_secs_f64();
                report.error = outcome.err().map(Arc::new);
                screen.board_ended(report);
            }
        }
    }
}

/// Does the job on one board. Nothing has happened when its port could not be opened.
fn attempt<J>(context: &mut Context, job: &J, patience: Duration) -> Result<(), Error>
where
    J: Fn(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError>,
{
    let begun = Instant::now();
    loop {
        match session::with_device(context, job) {
            Err(error)
                if error.kind() == Kind::Port
                    && begun.elapsed() < patience
                    && !context.cancel.is_cancelled() =>
            {
                thread::sleep(LOOK);
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twins(ports: &[&str]) -> Result<(), Error> {
        let ports: Vec<String> = ports.iter().map(|port| (*port).to_owned()).collect();
        refuse_twins(&ports)
    }

    #[test]
    fn one_board_is_not_taken_for_two() {
        assert!(twins(&["a", "b", "sim://esp32c3", "sim://esp32c3"]).is_ok());
        assert!(twins(&["a", "b", "a"]).is_err());
        let shared = ["sim://esp32c3?flash=f", "sim://esp32?fast&flash=f"];
        assert!(
            twins(&shared)
                .unwrap_err()
                .to_string()
                .contains("the same board")
        );
        assert!(twins(&["sim://nothing", "a"]).is_err());
    }
}
