use std::time::Duration;

use guru_chip::Chip;
use guru_image::Outcome;
use serde::Serialize;

use crate::{DeviceInfo, Notice, StatusChange};

/// What a session tells while it works. Nothing in it is meant for a terminal: the program
/// renders it as text, as a progress bar, or as JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A port is tried.
    Connecting {
        /// Name of the port.
        port: String,
    },
    /// An attempt to reach the loader failed; another one follows.
    ConnectAttempt {
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// The loader answers; now it is asked which chip it is.
    DetectingChip,
    /// The chip is known.
    Connected(Box<DeviceInfo>),
    /// The baud rate is being changed.
    ChangingBaud {
        /// New rate in bits per second.
        baud: u32,
    },
    /// The baud rate was changed and the chip answers at it.
    BaudChanged {
        /// Present rate in bits per second.
        baud: u32,
    },
    /// The chip is asked for its chip info, for which a secure download certificate is signed.
    ReadingChipInfo,
    /// The chip is given a secure download certificate.
    VerifyingCertificate,
    /// A flasher stub goes into the chip's RAM.
    UploadingStub {
        /// Whether it is Guru's own; otherwise Espressif's.
        own: bool,
        /// Its size in bytes.
        bytes: u64,
    },
    /// It is in RAM and is being started.
    StartingStub,
    /// It has greeted and reads what the ROM has read: it does the work from now on.
    StubRuns,
    /// The flash is connected by the pads that eFuse names (ESP32 without a stub).
    AttachingFromEfuse {
        /// CLK, Q, D, HD, CS.
        pads: [u8; 5],
    },
    /// The flash is connected by the chip's default pads.
    AttachingDefault,
    /// The size of the flash is being found and told to the loader.
    ConfiguringFlash,
    /// The size of the flash, as its JEDEC id says.
    FlashSizeDetected {
        /// Label, such as `4MB`.
        label: &'static str,
        /// Bytes.
        bytes: u64,
    },
    /// The flash parameters in an image header were changed.
    HeaderPatched {
        /// Header bytes 2 and 3 as one big-endian number.
        parameters: u16,
        /// Whether the appended SHA-256 was renewed.
        digest_updated: bool,
    },
    /// A file's turn.
    FileBegins {
        /// Name of the file.
        name: String,
        /// First byte in flash.
        address: u32,
        /// Bytes of the file.
        length: u32,
        /// Number of files in this job.
        files: usize,
    },
    /// A file was compared with what is believed to be in flash (`--diff-with`).
    Compared {
        /// Sectors that differ.
        changed: u32,
        /// Sectors of the file.
        sectors: u32,
        /// Whether it is believed without asking the flash (`--trust-flash-content`).
        trusted: bool,
    },
    /// The turn of sectors that follow each other and differ from what is believed to be in flash.
    RunBegins {
        /// First byte.
        address: u32,
        /// How many there are.
        sectors: u32,
    },
    /// Such sectors were written. [`Event::Wrote`] comes when all were.
    RunWritten {
        /// First byte.
        address: u32,
        /// How many there are.
        sectors: u32,
        /// Bytes sent, if the data went compressed.
        compressed: Option<u64>,
        /// Time by the link's clock.
        elapsed: Duration,
    },
    /// The range that a file's write erases.
    EraseRange {
        /// First byte, sector-aligned.
        start: u32,
        /// Last byte, inclusive.
        end: u32,
        /// Address asked for, when it is not sector-aligned: what lies before it is lost.
        unaligned: Option<u32>,
    },
    /// Contents were found in place; nothing is written there.
    Unchanged {
        /// First byte.
        address: u32,
        /// Bytes.
        length: u32,
        /// Whether that is the whole file.
        whole_file: bool,
    },
    /// Progress of a job's present step.
    Progress(Progress),
    /// A file was written.
    Wrote {
        /// Name of the file.
        name: String,
        /// First byte in flash.
        address: u32,
        /// Bytes written, padding included; unchanged parts apart.
        bytes: u64,
        /// Bytes sent, if the data went compressed.
        compressed: Option<u64>,
        /// Time by the link's clock.
        elapsed: Duration,
    },
    /// A file's digest is being asked for.
    Verifying {
        /// Name of the file.
        name: String,
        /// First byte in flash.
        address: u32,
        /// Bytes.
        length: u32,
    },
    /// Flash holds a file.
    Verified {
        /// Name of the file.
        name: String,
        /// First byte in flash.
        address: u32,
        /// Bytes.
        length: u32,
        /// How that was proved.
        proof: Proof,
    },
    /// A file's digest does not match. The job goes on with the next file.
    Mismatch {
        /// Name of the file.
        name: String,
        /// First byte in flash.
        address: u32,
        /// Bytes.
        length: u32,
        /// Digest of the file, hexadecimal.
        expected: String,
        /// Digest of the flash, hexadecimal.
        found: String,
    },
    /// Bytes of a mismatching region that differ (`verify-flash --diff`).
    Differences {
        /// Number of bytes that differ.
        count: usize,
        /// Address, byte in flash, byte in the file.
        bytes: Vec<(u32, u8, u8)>,
    },
    /// Flash was read.
    ReadDone {
        /// First byte.
        address: u32,
        /// Bytes.
        bytes: u64,
        /// Bytes found in an earlier, interrupted read's file and proved by digest.
        resumed: u64,
        /// Whether the contents were proved by digest.
        verified: bool,
        /// Time by the link's clock.
        elapsed: Duration,
    },
    /// Flash is being erased.
    Erasing {
        /// `None`: the whole chip.
        range: Option<(u32, u32)>,
    },
    /// Flash was erased.
    Erased {
        /// First byte and length; `None`: the whole chip.
        range: Option<(u32, u32)>,
        /// Time by the link's clock.
        elapsed: Duration,
    },
    /// Status registers of the flash are about to be written.
    WritingStatus(Box<StatusChange>),
    /// Memory is being read.
    Dumping {
        /// First byte.
        address: u32,
        /// Bytes.
        length: u32,
    },
    /// Memory was read.
    Dumped {
        /// First byte.
        address: u32,
        /// Bytes.
        bytes: u64,
        /// Time by the link's clock.
        elapsed: Duration,
    },
    /// A program is being loaded into RAM.
    Loading {
        /// Name of the file.
        name: String,
    },
    /// A segment of it is being loaded.
    LoadingSegment {
        /// First byte.
        address: u32,
        /// Bytes.
        length: u32,
    },
    /// A program is in RAM and is being started.
    Loaded {
        /// Name of the file.
        name: String,
        /// Number of segments.
        segments: usize,
        /// Where it starts.
        entry: u32,
    },
    /// The line damages what passes over it: the write or read goes on more carefully.
    LineFault {
        /// What happened.
        fault: String,
        /// Faults so far.
        count: u32,
    },
    /// The port went away, or the chip stopped answering: the port is opened and the chip reset
    /// again.
    LinkLost {
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// The chip's own USB port has come back under another name.
    PortMoved {
        /// Name that it had.
        before: String,
        /// Name that it has.
        port: String,
    },
    /// The chip was left in this way.
    Leaving(Leaving),
    /// Something that a person should know.
    Notice(Notice),
}

/// How flash was proved to hold a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// By the ROM's digest.
    Digest,
    /// By reading every byte back.
    ReadBack,
    /// By both.
    DigestAndReadBack,
}

/// Progress of a job's present step.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Flash address reached.
    pub address: u32,
    /// Bytes of contents done.
    pub done: u64,
    /// Bytes of contents in all.
    pub total: u64,
    /// Bytes that went over the line so far for this step, for writes in compressed form.
    pub sent: u64,
    /// Estimate of what goes over the line in all.
    pub to_send: u64,
}

/// A step with progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Reading memory.
    Dump,
    /// Erasing flash.
    Erase,
    /// Loading RAM.
    Load,
    /// Reading flash.
    Read,
    /// Comparing flash with contents.
    Verify,
    /// Writing flash.
    Write,
}

/// How the chip was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaving {
    /// Reset by RTS; the application runs.
    HardReset,
    /// Reset by a custom sequence.
    CustomReset,
    /// Reset by its watchdog.
    WatchdogReset,
    /// The application was started without a reset (ESP8266).
    SoftReset,
    /// A program runs that was loaded into RAM, or the application after `run`.
    Running,
    /// Left in the ROM loader.
    InLoader,
    /// Held in reset: EN stays low.
    HeldInReset,
}

/// Takes events. A closure is one.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: Event);
}

impl<F: FnMut(Event)> Observer for F {
    fn event(&mut self, event: Event) {
        self(event);
    }
}

impl Event {
    /// What a patch has made of the header of a file; `None` when there is nothing to tell.
    #[must_use]
    pub fn of_patch(chip: &'static Chip, file: &str, outcome: &Outcome) -> Option<Self> {
        let file = file.to_owned();
        let address = chip.image.bootloader_offset;
        Some(match outcome {
            Outcome::NotAsked | Outcome::Set { changed: false, .. } => return None,
            Outcome::NotAnImage => Self::Notice(Notice::NotAnImage { file, address }),
            Outcome::Invalid(error) => Self::Notice(Notice::InvalidImage {
                file,
                address,
                chip: chip.name,
                reason: error.to_string(),
            }),
            Outcome::Set { word, digest, .. } => Self::HeaderPatched {
                parameters: *word,
                digest_updated: *digest,
            },
        })
    }
}
