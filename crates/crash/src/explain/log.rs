//! What a log told, kept in a bounded room however long it was: the same crash is kept once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use guru_chip::{Chip, ResetCause};

use crate::{Boot, Crash, Event, Message, RomBuild, Torn};

/// Most different crashes that are kept.
const MAX_CRASHES: usize = 64;
/// Most starts of the chip that are kept.
const MAX_BOOTS: usize = 32;
/// Most different messages that are kept.
const MAX_MESSAGES: usize = 64;
/// Most line numbers that are kept of what is repeated.
const MAX_LINES: usize = 8;

/// What a log told.
#[derive(Debug, Default)]
pub struct Log {
    pub(super) chip: Option<&'static Chip>,
    pub(super) rom: Option<RomBuild>,
    pub(super) crashes: Vec<SeenCrash>,
    pub(super) crash_count: u64,
    /// Crashes that were not kept.
    pub(super) left_out: u64,
    pub(super) boots: Vec<SeenBoot>,
    pub(super) boot_count: u64,
    /// Starts by why they came about, and how often.
    pub(super) restarts: BTreeMap<Restart, u64>,
    pub(super) messages: Vec<SeenMessage>,
    /// The crash since the last start, by its number.
    pending: Option<Pending>,
    /// The ROM or the bootloader complained at the last start.
    last_complained: bool,
}

/// A crash, and how often it was seen.
#[derive(Debug)]
pub struct SeenCrash {
    pub(super) crash: Crash,
    key: u64,
    pub(super) count: u64,
    pub(super) lines: Vec<u64>,
    /// A brownout reset the chip before it.
    pub(super) after_brownout: bool,
}

/// A start of the chip.
#[derive(Debug)]
pub struct SeenBoot {
    pub(super) boot: Boot,
    pub(super) restart: Restart,
}

/// A message outside of crashes, and how often it was seen.
#[derive(Debug)]
pub struct SeenMessage {
    pub(super) message: Message,
    pub(super) count: u64,
}

/// Why the chip started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restart {
    /// What reset it.
    pub(super) cause: Option<ResetCause>,
    /// What the log has before it.
    pub(super) after: After,
}

/// What a log has before a start of the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum After {
    /// Nothing: it is the first start, and no crash stands before it.
    Beginning,
    /// A start, and no crash since.
    Boot,
    /// A start of which the ROM or the bootloader complained, and no crash since.
    FailedBoot,
    /// This crash, by its number.
    Crash(usize),
    /// A crash that was not kept.
    OtherCrash,
}

#[derive(Debug, Clone, Copy)]
enum Pending {
    Kept(usize),
    LeftOut,
}

impl Log {
    /// Of the chip that a person named, or of the one that the log names.
    #[must_use]
    pub fn new(chip: Option<&'static Chip>) -> Self {
        Self {
            chip,
            ..Self::default()
        }
    }

    /// Takes the next event.
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Boot(boot) => self.add_boot(*boot),
            Event::Crash(crash) => self.add_crash(*crash),
            Event::Message(message) => self.add_message(message),
        }
    }

    /// The chip that a person or the log names.
    #[must_use]
    pub fn chip(&self) -> Option<&'static Chip> {
        self.chip
    }

    fn add_boot(&mut self, boot: Boot) {
        self.chip = self.chip.or(boot.chip);
        if boot.rom.is_some() {
            self.rom.clone_from(&boot.rom);
        }
        let after = match self.pending.take() {
            Some(Pending::Kept(number)) => After::Crash(number),
            Some(Pending::LeftOut) => After::OtherCrash,
            None if self.boot_count == 0 => After::Beginning,
            None if self.last_complained => After::FailedBoot,
            None => After::Boot,
        };
        self.last_complained = !boot.messages.is_empty();
        let cause = boot.reset.as_ref().and_then(|reset| reset.cause);
        let restart = Restart { cause, after };
        self.boot_count += 1;
        *self.restarts.entry(restart).or_insert(0) += 1;
        if self.boots.len() < MAX_BOOTS {
            self.boots.push(SeenBoot { boot, restart });
        }
    }

    fn add_crash(&mut self, mut crash: Crash) {
        self.crash_count += 1;
        self.chip = self.chip.or(crash.chip);
        if self.rom.is_none() {
            self.rom.clone_from(&crash.rom);
        }
        let key = key(&crash);
        let line = crash.lines.start;
        let known = self.crashes.iter().position(|seen| seen.key == key);
        let number = match known {
            Some(number) => Some(number),
            None if self.crashes.len() < MAX_CRASHES => {
                let after_brownout = self
                    .boots
                    .last()
                    .is_some_and(|last| last.restart.cause == Some(ResetCause::Brownout));
                // What nobody reads would take the room: a stack has a thousand words at the most.
                crash.messages.truncate(256);
                self.crashes.push(SeenCrash {
                    crash,
                    key,
                    count: 0,
                    lines: Vec::new(),
                    after_brownout,
                });
                Some(self.crashes.len() - 1)
            }
            None => None,
        };
        let Some((number, seen)) =
            number.and_then(|number| Some((number, self.crashes.get_mut(number)?)))
        else {
            self.left_out += 1;
            self.pending = Some(Pending::LeftOut);
            return;
        };
        seen.count += 1;
        if seen.lines.len() < MAX_LINES {
            seen.lines.push(line);
        }
        self.pending = Some(Pending::Kept(number));
    }

    fn add_message(&mut self, message: Message) {
        let known = self
            .messages
            .iter_mut()
            .find(|seen| seen.message.entry == message.entry && seen.message.text == message.text);
        if let Some(seen) = known {
            seen.count += 1;
        } else if self.messages.len() < MAX_MESSAGES {
            self.messages.push(SeenMessage { message, count: 1 });
        }
    }

    /// The digits of ELF digests that were printed, each once.
    pub(super) fn printed_digests(&self) -> Vec<&str> {
        let mut digests: Vec<_> = self
            .crashes
            .iter()
            .filter_map(|seen| seen.crash.elf_sha256.as_deref())
            .filter(|digits| digits.len() >= 4)
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }

    /// Starts by software behind which no report stands, watchdog resets without one, brownouts.
    pub(super) fn unexplained(&self, is_one: fn(ResetCause) -> bool) -> u64 {
        self.restarts
            .iter()
            .filter(|(restart, _)| {
                restart.after == After::Boot && restart.cause.is_some_and(is_one)
            })
            .map(|(_, count)| count)
            .sum()
    }
}

/// What makes two reports the same crash: the same cause and the same way there.
fn key(crash: &Crash) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", crash.cause).hash(&mut hasher);
    crash
        .headline()
        .map(|message| message.entry.as_str())
        .hash(&mut hasher);
    if let Some(core) = crash.core() {
        core.pc().hash(&mut hasher);
        ["RA", "A0"]
            .map(|name| core.register(name))
            .hash(&mut hasher);
        for backtrace in &core.backtraces {
            for frame in &backtrace.frames {
                frame.pc.hash(&mut hasher);
            }
        }
    }
    // A report that a reset cut off is another one than the whole.
    crash.torn.contains(&Torn::Reset).hash(&mut hasher);
    hasher.finish()
}

/// Whether somebody or something outside of the program wanted this reset.
pub(super) fn is_wanted(cause: ResetCause) -> bool {
    matches!(
        cause,
        ResetCause::PowerOn
            | ResetCause::Pin
            | ResetCause::DeepSleep
            | ResetCause::PowerDown
            | ResetCause::CpuPowerDown
            | ResetCause::Sdio
            | ResetCause::UsbUart
            | ResetCause::UsbJtag
            | ResetCause::Jtag
    )
}

/// Whether the program, or what handles its crashes, made this reset.
pub(super) fn is_software(cause: ResetCause) -> bool {
    matches!(cause, ResetCause::Software | ResetCause::SoftwareCpu)
}

/// Whether a watchdog made this reset, or a CPU that came to nothing any more.
pub(super) fn is_watchdog(cause: ResetCause) -> bool {
    matches!(
        cause,
        ResetCause::TimerWatchdog0
            | ResetCause::TimerWatchdog1
            | ResetCause::TimerWatchdog0Cpu
            | ResetCause::TimerWatchdog1Cpu
            | ResetCause::RtcWatchdog
            | ResetCause::RtcWatchdogCpu
            | ResetCause::RtcWatchdogSystem
            | ResetCause::HardwareWatchdog
            | ResetCause::LegacyWatchdog
            | ResetCause::SuperWatchdog
            | ResetCause::Lockup
    )
}
