//! Each fault of line, supply and flash, in each job, on a simulated chip in virtual time.
//!
//! Whatever happens, a job ends: with contents that are right, or with an error. Bytes outside of
//! a write are as before, or the change is named. A trial that is called `survives` must end
//! well; one that is called `ends` may fail, because the fault leaves no way to succeed.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use guru_image::Contents;
use guru_link::{Cancel, Link, block_on};
use guru_loader::{
    ConnectOptions, Error, Event, FilePart, FlashOptions, Notice, ReadLength, ReadRequest, Session,
    Verify, VerifyRequest, WriteJob, WriteRequest,
};
use guru_sim::SimLink;
use guru_stub::Source;
use guru_testkit::{code, first_difference, noise};
use libtest_mimic::{Arguments, Failed, Trial};

/// Whether a job can succeed under a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hope {
    /// It must.
    Survives,
    /// It may fail, with an error that says why.
    Ends,
}
use Hope::{Ends, Survives};

/// A fault, as `sim://` takes it, and what is hoped for in a write, a read, a verification.
const FAULTS: &[(&str, Hope, Hope, Hope)] = &[
    ("drop:tx:1/10000", Survives, Survives, Survives),
    ("drop:rx:1/10000", Survives, Survives, Survives),
    ("drop:both:1/10000", Survives, Survives, Survives),
    ("corrupt:tx:1/10000", Survives, Survives, Survives),
    ("corrupt:rx:1/10000", Survives, Survives, Survives),
    ("corrupt:both:1/10000", Survives, Survives, Survives),
    ("duplicate:tx:1/10000", Survives, Survives, Survives),
    ("duplicate:rx:1/10000", Survives, Survives, Survives),
    ("duplicate:both:1/10000", Survives, Survives, Survives),
    ("delay:tx:1/5000:80ms", Survives, Survives, Survives),
    ("delay:rx:1/1000:80ms", Survives, Survives, Survives),
    ("delay:rx:@4000:20s", Survives, Survives, Survives),
    // One byte, in the middle of what each job sends or gets.
    ("drop:tx:@2000", Survives, Survives, Survives),
    ("corrupt:tx:@20000", Survives, Survives, Survives),
    ("duplicate:tx:@20001", Survives, Survives, Survives),
    ("drop:rx:@3000", Survives, Survives, Survives),
    ("corrupt:rx:@1000", Survives, Survives, Survives),
    // Each byte in a hundred: nothing of a kilobyte's length gets through.
    ("corrupt:both:1/100", Ends, Ends, Ends),
    ("drop:both:1/100", Ends, Ends, Ends),
    // A line that dies.
    ("corrupt:rx:1/1,after=3000", Ends, Ends, Ends),
    ("drop:tx:1/1,after=3000", Ends, Ends, Ends),
    ("disconnect:@3500", Survives, Survives, Survives),
    ("disconnect:@20000", Survives, Survives, Survives),
    (
        "disconnect:@9000,disconnect:@18000",
        Survives,
        Survives,
        Survives,
    ),
    ("unplug:@20000", Survives, Survives, Survives),
    ("power-loss:erase@2", Ends, Survives, Survives),
    ("power-loss:program@9", Ends, Survives, Survives),
    ("slow-flash:x5", Survives, Survives, Survives),
    ("stuck-flash:@3", Ends, Survives, Survives),
    ("stuck-flash:@20", Ends, Survives, Survives),
    // What is read is what the flash holds; a verification must find that it differs.
    ("stuck-bit:0x11010.3", Ends, Survives, Ends),
    ("stuck-bit:0x19010.0", Ends, Survives, Ends),
    ("no-flash", Ends, Ends, Ends),
    ("drift:+3%", Survives, Survives, Survives),
];

/// Chips that differ in what matters here: an exact inflater, one that writes whole windows, none.
const CHIPS: &[&str] = &["esp32c3", "esp32", "esp8266"];
/// Sequences of faults that are tried where they come at a rate.
const SEEDS: u64 = 3;
/// Rate of the line to a stub, in bits per second.
const STUB_BAUD: u32 = 460_800;

/// Where the file goes: not at the start of a 64 KB block, so that all forms of erase are used.
const ADDRESS: u32 = 0x1_1000;
/// Bytes of the file: over one window of 32 KB, and no multiple of a sector.
const LENGTH: usize = 41_000;
/// Bytes that are read by the ROM, and by a stub: fewer are not worth its upload.
const READ: usize = 6000;
const READ_BY_STUB: usize = 30_000;
/// Bytes of flash.
const FLASH: u32 = 1 << 20;

/// By the chip's clock; all repairs together take less.
const VIRTUAL_LIMIT: Duration = Duration::from_secs(4 * 3600);
/// By ours; in virtual time nothing here takes a tenth of it.
const REAL_LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Write,
    Read,
    Verify,
}

/// Who does the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rom,
    /// Our flasher stub, which the virtual chip executes.
    Stub,
}

/// One cell of the matrix.
#[derive(Debug, Clone, Copy)]
struct Cell {
    chip: &'static str,
    by: By,
    fault: &'static str,
    job: Job,
    hope: Hope,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for &chip in CHIPS {
        for &(fault, write, read, verify) in FAULTS {
            for (job, hope, by) in [
                (Job::Write, write, By::Rom),
                (Job::Read, read, By::Rom),
                (Job::Verify, verify, By::Rom),
                (Job::Write, write, By::Stub),
                (Job::Read, read, By::Stub),
            ] {
                // To execute a stub takes time, and reading by it is the same on every chip.
                if (job, by) == (Job::Read, By::Stub) && chip != CHIPS[0] {
                    continue;
                }
                let cell = Cell {
                    chip,
                    by,
                    fault,
                    job,
                    hope,
                };
                let with = if by == By::Stub { " with the stub" } else { "" };
                let name = format!("{job:?} {hope:?} {fault} on {chip}{with}").to_lowercase();
                trials.push(Trial::test(name, move || cell.run()));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

impl Cell {
    /// Runs it with every seed, each within the limit of time.
    fn run(self) -> Result<(), Failed> {
        let rate = self.fault.contains(":1/");
        let seeds = if rate && self.by == By::Rom { SEEDS } else { 1 };
        for seed in 1..=seeds {
            let cancel = Cancel::default();
            let (sender, result) = mpsc::channel();
            let stop = cancel.clone();
            thread::spawn(move || {
                // Nobody listens any more when the time is over.
                let _ = sender.send(self.try_once(seed, stop));
            });
            let outcome = result.recv_timeout(REAL_LIMIT).unwrap_or_else(|error| {
                cancel.cancel();
                Err(format!("no outcome within {REAL_LIMIT:?}: {error}"))
            });
            outcome.map_err(|error| format!("seed {seed}: {error}"))?;
        }
        Ok(())
    }

    fn try_once(self, seed: u64, cancel: Cancel) -> Result<(), String> {
        let Self { chip, fault, .. } = self;
        let address = format!(
            "sim://{chip}?flash-size=1MB&fault={},seed={seed}",
            fault.replace('%', "%25").replace('+', "%2B")
        );
        let link = SimLink::open(&address, cancel).map_err(|error| error.to_string())?;
        let flash = link.flash();
        let file = code(LENGTH, 1);
        let mut expected = noise(FLASH as usize, 2);
        if self.job != Job::Write {
            put(&mut expected, &file);
        }
        flash.load(0, &expected);
        let differs = flash.read(0..FLASH) != expected;
        expected = flash.read(0..FLASH);

        let mut story = Vec::new();
        let (mut named, mut unproved) = (false, false);
        let mut observer = |event: Event| match event {
            Event::Progress(_) => {}
            event => {
                named |= matches!(event, Event::Notice(Notice::NeighbourChanged { .. }));
                // Registers have no check and the ESP8266 no digest: that is said.
                unproved |= matches!(event, Event::Notice(Notice::NotVerified { .. }));
                story.push(format!("{event:?}"));
            }
        };
        let mut read = Vec::new();
        let mut passed = Duration::ZERO;
        let result = block_on(async {
            let mut session = Session::connect(link, self.options(), &mut observer).await?;
            let result = self
                .work(&mut session, &file, &mut read, &mut observer)
                .await;
            passed = session.link().now().0;
            result
        });
        if differs && self.job == Job::Verify && result.is_ok() {
            return Err("the difference was not found".into());
        }
        self.judge(
            result,
            named,
            unproved,
            passed,
            &flash.read(0..FLASH),
            &mut expected,
            &file,
            &read,
        )
        .map_err(|error| format!("{error}\n{}", story.join("\n")))
    }

    fn options(self) -> ConnectOptions {
        match self.by {
            By::Rom => ConnectOptions::default(),
            By::Stub => ConnectOptions {
                stub: Some(Source::Embedded),
                baud: Some(STUB_BAUD),
                ..ConnectOptions::default()
            },
        }
    }

    fn read_length(self) -> usize {
        match self.by {
            By::Rom => READ,
            By::Stub => READ_BY_STUB,
        }
    }

    async fn work<L: Link>(
        self,
        session: &mut Session<L>,
        file: &[u8],
        read: &mut Vec<u8>,
        observer: &mut impl FnMut(Event),
    ) -> Result<(), Error> {
        match self.job {
            Job::Write => {
                let request = WriteRequest {
                    files: vec![part(file)],
                    guard: true,
                    verify: Verify::ReadBack,
                    ..WriteRequest::default()
                };
                let job = WriteJob::new(request, None)?;
                session.write_flash(job, observer).await.map(drop)
            }
            Job::Read => {
                let request = ReadRequest {
                    address: ADDRESS,
                    length: ReadLength::Bytes(self.read_length() as u32),
                };
                let options = FlashOptions::default();
                session.read_flash(&options, request, read, observer).await
            }
            Job::Verify => {
                let request = VerifyRequest {
                    files: vec![part(file)],
                    ..VerifyRequest::default()
                };
                session.verify_flash(request, observer).await
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that came of one trial")]
    fn judge(
        self,
        result: Result<(), Error>,
        named: bool,
        unproved: bool,
        passed: Duration,
        found: &[u8],
        expected: &mut [u8],
        file: &[u8],
        read: &[u8],
    ) -> Result<(), String> {
        if passed > VIRTUAL_LIMIT {
            return Err(format!("{passed:?} of the chip's time passed"));
        }
        let covered = sectors();
        let outside = same(found, expected, 0..covered.start)
            .and_then(|()| same(found, expected, covered.end..FLASH as usize));
        match (&result, self.job) {
            (Err(Error::NeighbourChanged { .. }), _) if outside.is_ok() => {
                return Err(format!("a change was named and there is none: {result:?}"));
            }
            // Nothing protects the request to erase: the change is named, and that is all.
            (Err(Error::NeighbourChanged { .. }), _) => return Ok(()),
            (Err(error), _) if self.hope == Survives => return Err(format!("{error}: {error:?}")),
            (Err(_), _) | (Ok(()), Job::Verify) => {}
            (Ok(()), Job::Write) => {
                put(expected, file);
                same(found, expected, covered.clone())?;
            }
            (Ok(()), Job::Read) => {
                let start = ADDRESS as usize;
                if !unproved && read != &expected[start..start + self.read_length()] {
                    return Err("wrong bytes were read".into());
                }
            }
        }
        // What the supply's end does to a block that is being erased, no program can prevent; nor
        // that on a line where each byte in a hundred is damaged a register write becomes another.
        let supply = self.fault.starts_with("power-loss") || self.fault.ends_with("1/100");
        if named || supply {
            return Ok(());
        }
        outside.map_err(|error| format!("an unnamed change outside: {error}; {result:?}"))
    }
}

impl std::fmt::Debug for Hope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Survives => "survives",
            Ends => "ends under",
        })
    }
}

fn part(bytes: &[u8]) -> FilePart {
    let contents = Contents::from_bytes("file", bytes.to_vec());
    FilePart {
        name: "file".to_owned(),
        address: ADDRESS,
        contents: contents.expect("the file is small"),
        encrypt: false,
        previous: None,
    }
}

/// The bytes of the sectors that the file covers.
fn sectors() -> Range<usize> {
    let start = ADDRESS as usize;
    start / 4096 * 4096..(start + LENGTH).next_multiple_of(4096)
}

/// Flash as a write of the file leaves it.
fn put(flash: &mut [u8], file: &[u8]) {
    let start = ADDRESS as usize;
    flash[sectors()].fill(0xFF);
    flash[start..start + file.len()].copy_from_slice(file);
}

fn same(found: &[u8], expected: &[u8], range: Range<usize>) -> Result<(), String> {
    let start = range.start;
    let (found, expected) = (&found[range.clone()], &expected[range]);
    match first_difference(found, expected) {
        None => Ok(()),
        Some(at) => Err(format!(
            "the flash holds {:#04x} at {:#x}, and {:#04x} is right",
            found[at],
            start + at,
            expected[at]
        )),
    }
}
