//! What an explanation consists of: values for a person's page and for a program alike.

use serde::Serialize;

use super::address::AddressClass;
use super::evidence::Evidence;

/// What a log says.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// All of it in one sentence.
    pub summary: String,
    /// The chip as on the command line; `None`: the log does not tell.
    pub chip: Option<&'static str>,
    /// Crashes that were printed, the same one as often as it was.
    pub crash_count: u64,
    /// Different crashes, in the order in which each was printed first.
    pub crashes: Vec<ExplainedCrash>,
    /// Different crashes of which there is no room to tell.
    pub crashes_left_out: u64,
    /// The chip starts again and again.
    pub boot_loop: Option<BootLoop>,
    /// How often the chip started.
    pub boot_count: u64,
    /// Starts of which there is no room to tell.
    pub boots_left_out: u64,
    /// The starts, in order, those that are alike together; of many, the first ones.
    pub boots: Vec<ExplainedBoot>,
    /// Messages that stand outside of a crash and mean something.
    pub messages: Vec<ExplainedMessage>,
    /// The ELF files, or what one would add.
    pub elf: ElfVerdict,
    /// What the settings of the firmware did to this log.
    pub settings: Vec<ExplainedSetting>,
    /// What else is to be known, a sentence each.
    pub notes: Vec<String>,
}

/// A crash, however often it was printed.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedCrash {
    /// Entry of the knowledge base.
    pub entry: String,
    /// What happened, in one sentence.
    pub what: String,
    /// The line that says so, as it was printed.
    pub printed: String,
    /// First line of each report, from 1; of many, the first ones.
    pub lines: Vec<u64>,
    /// How often it was printed.
    pub count: u64,
    /// What the message means.
    pub meaning: String,
    /// The task that ran, where that is known.
    pub task: Option<String>,
    /// The crashed core.
    pub core: Option<u8>,
    /// Whether an interrupt handler ran.
    pub in_isr: bool,
    /// Further recognised lines of the report.
    pub details: Vec<ExplainedMessage>,
    /// Where: the crashed core's stack first.
    pub stacks: Vec<ExplainedStack>,
    /// What the dump shows.
    pub findings: Vec<Finding>,
    /// Why, the likeliest first.
    pub causes: Vec<RankedCause>,
    /// What to look at next.
    pub check: Vec<String>,
    /// What mends it.
    pub remedies: Vec<String>,
    /// Settings of the firmware that tell more, or have to do with it.
    pub settings: Vec<String>,
    /// Where more is written.
    pub link: Option<String>,
    /// What came behind the report.
    pub ended: Option<String>,
    /// What is missing in the report, a sentence each.
    pub torn: Vec<String>,
}

/// The registers and callers of one core, or one of its stacks.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedStack {
    /// Whose it is.
    pub title: String,
    /// The core.
    pub core: Option<u8>,
    /// The registers that say something.
    pub registers: Vec<ExplainedRegister>,
    /// The frames, innermost first.
    pub frames: Vec<ExplainedFrame>,
    /// Why there are no more.
    pub end: Option<String>,
    /// Addresses on the stack that a call may have left there: no proven chain.
    pub possible: Vec<ExplainedFrame>,
}

/// A register.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedRegister {
    /// Its name, as printed.
    pub name: String,
    /// What it is for, where its name does not say so.
    pub role: Option<&'static str>,
    /// Its value.
    #[serde(serialize_with = "hex")]
    pub value: u32,
    /// What the value is.
    pub class: AddressClass,
    /// The function it leads into, or what the register says.
    pub note: Option<String>,
}

/// A frame of a stack: one return address, or the fault itself.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedFrame {
    /// The address, without marks of the instruction set.
    #[serde(serialize_with = "hex")]
    pub address: u32,
    /// The places of this address, the innermost inlined function first; empty: nothing is known.
    pub places: Vec<Place>,
    /// What is there, where no place is known: `flash code`.
    pub region: Option<&'static str>,
    /// How the frame was found.
    pub how: &'static str,
    /// Bytes of the stack that it takes, where that is known.
    pub stack_bytes: Option<u32>,
}

/// A place in a program.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Place {
    /// The function.
    pub function: Option<String>,
    /// Bytes from its start; only where the place is known from a symbol alone.
    pub offset: Option<u32>,
    /// The source file, as the ELF file has it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// Whether the function was inlined into the next place.
    pub inlined: bool,
    /// Whether it is in the chip's ROM.
    pub rom: bool,
    /// The lines of the source around it, where the file is there.
    pub source: Vec<SourceLine>,
}

/// A line of a source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// Its number, from 1.
    pub number: u32,
    /// Its text.
    pub text: String,
}

/// Something that a dump shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name in the knowledge base; `None`: it is none that causes ask for.
    pub evidence: Option<Evidence>,
    /// The same in a sentence, with the values of this dump.
    pub text: String,
}

/// A likely cause.
#[derive(Debug, Clone, Serialize)]
pub struct RankedCause {
    /// What it is.
    pub text: String,
    /// What in the dump speaks for it. Empty: nothing does, and nothing against it.
    pub seen: Vec<Evidence>,
}

/// A start of the chip.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedBoot {
    /// Its first line, from 1.
    pub line: u64,
    /// How many like it follow each other from here, this one included.
    pub count: u64,
    /// The reset's code as printed: `0x1`.
    pub reset_code: Option<u8>,
    /// The reset's name as printed.
    pub reset: Option<String>,
    /// What that reset means.
    pub meaning: Option<String>,
    /// What brought it about, as far as the log says.
    pub after: Option<String>,
    /// The boot mode, where it is not the usual one.
    pub mode: Option<String>,
    /// Where the CPU was before the reset.
    pub saved_pc: Vec<ExplainedFrame>,
    /// What the ROM and the bootloader complain of.
    pub messages: Vec<ExplainedMessage>,
}

/// The chip starts again and again.
#[derive(Debug, Clone, Serialize)]
pub struct BootLoop {
    /// How often it started.
    pub boots: u64,
    /// What ends it each time.
    pub text: String,
}

/// A recognised message.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedMessage {
    /// Its line, from 1.
    pub line: u64,
    /// As it was printed.
    pub printed: String,
    /// Entry of the knowledge base.
    pub entry: String,
    /// What it says, in one sentence.
    pub what: String,
    /// How often it was printed.
    pub count: u64,
    /// What it means; empty where `what` says all, or it was told already.
    pub meaning: String,
    /// What mends it.
    pub remedies: Vec<String>,
    /// Where more is written.
    pub link: Option<String>,
}

/// Whether ELF files are the firmware's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ElfVerdict {
    /// Each file.
    pub files: Vec<ElfFile>,
    /// The start of the firmware's ELF SHA-256, as the log has it.
    pub printed_sha256: Option<String>,
    /// What to do, or what an ELF file would add; a sentence each.
    pub advice: Vec<String>,
}

/// An ELF file and the log.
#[derive(Debug, Clone, Serialize)]
pub struct ElfFile {
    /// Its name.
    pub name: String,
    /// Start of its SHA-256 in hexadecimal.
    pub sha256: String,
    /// What it is to the log.
    pub fit: ElfFit,
    /// Whether addresses were decoded by it.
    pub used: bool,
    /// The same in a sentence.
    pub text: String,
}

/// What an ELF file is to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElfFit {
    /// Its SHA-256 begins with what was printed.
    Same,
    /// The log does not say which it must be; addresses of the log are code in it.
    Plausible,
    /// The log has no address and no digest to compare.
    Unchecked,
    /// It is one of several, and another one has the printed SHA-256.
    Beside,
    /// Its SHA-256 is another one than the printed.
    OtherBuild,
    /// It is for another CPU.
    OtherMachine,
    /// No address of the log is code in it.
    NoCode,
}

/// A setting of the firmware, and what it did.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedSetting {
    /// What it is about: `panic behaviour`.
    pub topic: &'static str,
    /// How it is set: `print and reboot`.
    pub value: String,
    /// Its name in the file.
    pub name: String,
    /// What that did to this log.
    pub effect: String,
    /// Which setting would have told more.
    pub better: Option<String>,
}

fn hex<S: serde::Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("0x{value:08x}"))
}
