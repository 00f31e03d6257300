//! What happens to one board.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use guru_link::{Cancel, Instant, Lines, Link, LinkError, PortInfo, block_on};
use guru_loader::{After, Before, ConnectOptions, Error, Event, Session};
use guru_sim::SimLink;
use guru_testkit::{Random, noise};

use crate::board::Board;
use crate::job::{Brought, Job};
use crate::oracle::{Model, Verdict};

/// Commands that a board gets; to connect is one.
pub const COMMANDS: usize = 8;

/// By the chip's clock, for one command.
const VIRTUAL_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// How commands have ended.
#[derive(Debug, Default)]
pub struct Tally {
    commands: u64,
    succeeded: BTreeMap<&'static str, u64>,
    errors: u64,
    excused: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.errors += other.errors;
        self.excused += other.excused;
        for (kind, count) in &other.succeeded {
            *self.succeeded.entry(kind).or_default() += count;
        }
    }

    /// A kind of command that has never done what it is there for.
    pub fn never_succeeded(&self) -> Option<&'static str> {
        Job::KINDS
            .into_iter()
            .find(|kind| !self.succeeded.contains_key(kind))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commands,
            errors,
            excused,
            ..
        } = self;
        write!(
            f,
            "{commands} commands, {errors} of them ended with an error, {excused} differed where the \
             line damages what nothing protects"
        )?;
        for (kind, count) in &self.succeeded {
            write!(f, "\n{count:>5} {kind}")?;
        }
        Ok(())
    }
}

/// The link is kept when a session ends with an error.
struct Lent<'a>(&'a mut SimLink);

impl Link for Lent<'_> {
    fn info(&self) -> &PortInfo {
        self.0.info()
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        self.0.read(buffer, deadline).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.write(bytes).await
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        self.0.set_baud(baud).await
    }

    fn baud(&self) -> u32 {
        self.0.baud()
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        self.0.set_lines(lines).await
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.0.discard_input().await
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        self.0.reopen().await
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.0.sleep(time).await
    }
}

/// Gives the board of a seed its commands, up to the first that did what it must not.
pub fn live(seed: u64, cancel: Cancel) -> (Tally, Result<(), String>) {
    let board = Board::random(seed);
    let mut life = Life {
        random: Random::new(seed ^ 0x5_0A4),
        tally: Tally::default(),
        story: vec![board.address.clone()],
        events: Vec::new(),
        board,
        cancel,
    };
    let outcome = life
        .run()
        .map_err(|failure| format!("{failure}\n{}", life.story.join("\n")));
    (life.tally, outcome)
}

struct Life {
    board: Board,
    cancel: Cancel,
    random: Random,
    tally: Tally,
    story: Vec<String>,
    events: Vec<Event>,
}

impl Life {
    fn run(&mut self) -> Result<(), String> {
        let opened = SimLink::open(&self.board.address, self.cancel.clone());
        let mut link = opened.map_err(|error| error.to_string())?;
        link.flash()
            .load(0, &noise(self.board.part.size as usize, 1));
        let mut model = Model::new(link.flash(), &self.board);
        let mut before = Before::DefaultReset;
        while self.tally.commands < COMMANDS as u64 {
            before = self.sit(&mut link, &mut model, before)?;
            // What is not a program's: the adapter is plugged in again.
            let _ = block_on(link.reopen());
        }
        Ok(())
    }

    /// Connects, gives some commands until one fails, and leaves. Says how the next connection is to
    /// be made.
    fn sit(
        &mut self,
        link: &mut SimLink,
        model: &mut Model,
        before: Before,
    ) -> Result<Before, String> {
        let named = self.random.below(3) == 0;
        let rates = [None, None, Some(115_200), Some(460_800), Some(921_600)];
        let options = ConnectOptions {
            chip: named.then_some(self.board.chip),
            before,
            baud: *self.random.pick(&rates),
            ..ConnectOptions::default()
        };
        let told = format!("connect {before:?}, {:?} baud", options.baud);
        let begun = link.now();
        let events = &mut self.events;
        events.clear();
        let connected = block_on(Session::connect(
            Lent(link),
            options,
            &mut |event: Event| keep(events, event),
        ));
        let mut session = match connected {
            Ok(session) => {
                self.judge(model, None, &told, &Ok(Brought::Nothing), before)?;
                session
            }
            Err(error) => {
                self.judge(model, None, &told, &Err(error), before)?;
                self.check_time(link.now() - begun)?;
                return Ok(Before::DefaultReset);
            }
        };
        for _ in 0..=self.random.below(4) {
            let job = Job::random(&self.board, model.contents(), &mut self.random);
            if !self.try_job(&mut session, model, &job, before)? {
                return Ok(Before::DefaultReset);
            }
        }
        let after = *self.random.pick(&[
            After::HardReset,
            After::HardReset,
            After::NoReset,
            After::WatchdogReset,
            After::SoftReset,
        ]);
        let left = self.try_job(&mut session, model, &Job::Leave(after), before)?;
        Ok(if left && after == After::NoReset {
            Before::NoReset
        } else {
            Before::DefaultReset
        })
    }

    /// Whether it succeeded.
    fn try_job(
        &mut self,
        session: &mut Session<Lent<'_>>,
        model: &mut Model,
        job: &Job,
        before: Before,
    ) -> Result<bool, String> {
        let begun = session.link().now();
        let events = &mut self.events;
        events.clear();
        let result = block_on(job.give(&self.board, session, &mut |event: Event| {
            keep(events, event)
        }));
        let succeeded = result.is_ok();
        self.judge(model, Some(job), &format!("{job:?}"), &result, before)?;
        self.check_time(session.link().now() - begun)?;
        Ok(succeeded)
    }

    fn judge(
        &mut self,
        model: &mut Model,
        job: Option<&Job>,
        told: &str,
        result: &Result<Brought, Error>,
        before: Before,
    ) -> Result<(), String> {
        self.tally.commands += 1;
        let end = match result {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        self.story.push(format!("{told}: {end}"));
        match (result, job) {
            (Ok(_), Some(job)) => *self.tally.succeeded.entry(job.kind()).or_default() += 1,
            (Ok(_), None) => {}
            (Err(_), _) => self.tally.errors += 1,
        }
        let verdict = model.judge(&self.board, job, result, &self.events, before);
        match verdict {
            Verdict::Right => Ok(()),
            Verdict::Excused(why) => {
                self.tally.excused += 1;
                self.story.push(format!("  excused: {why}"));
                Ok(())
            }
            Verdict::Wrong(why) => {
                let told = self.events.iter().map(|event| format!("  {event:?}"));
                self.story.extend(told);
                Err(why)
            }
        }
    }

    fn check_time(&self, passed: Duration) -> Result<(), String> {
        if passed > VIRTUAL_LIMIT {
            return Err(format!("{passed:?} of the chip's time passed"));
        }
        Ok(())
    }
}

fn keep(events: &mut Vec<Event>, event: Event) {
    if !matches!(event, Event::Progress(_)) {
        events.push(event);
    }
}
