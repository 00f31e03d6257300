//! What a dump shows, by names that the knowledge base can ask for.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Something that a dump shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The address that was accessed, or jumped to, is zero.
    NullPointer,
    /// It is near zero: a member of a structure at a null pointer.
    NullMember,
    /// It is, or lies near, the pattern of freed memory.
    FreedMemory,
    /// It is, or lies near, the pattern of memory that was never written.
    FreshMemory,
    /// It is, or lies near, the pattern of a stack that was never written.
    UnwrittenStack,
    /// It is, or lies near, a mark between blocks of the heap.
    HeapCanary,
    /// It, a return address, or what the heap's check found, is text.
    Ascii,
    /// The address that was accessed lies in mapped flash, where code is.
    FlashCode,
    /// It lies in mapped flash, where data is.
    FlashData,
    /// It lies in RAM for instructions.
    Iram,
    /// It lies in RAM for data.
    Dram,
    /// It lies in memory that lives on in deep sleep.
    Rtc,
    /// It lies in external RAM.
    Psram,
    /// It belongs to peripheral registers.
    Peripheral,
    /// It lies in the mask ROM.
    Rom,
    /// It lies in no memory of the chip.
    Unmapped,
    /// It is no multiple of 4.
    Misaligned,
    /// The stack pointer is outside of the stack, or near its end.
    StackOverflow,
    /// The flash cache was off.
    CacheOff,
    /// It happened in an interrupt handler.
    InIsr,
    /// The return address does not lead to code.
    ReturnSmashed,
    /// The program counter does not lie in code.
    PcNotCode,
    /// A frame is of a function whose name has this in it.
    FrameFunction(String),
    /// The same crash is in the log more than once.
    Repeated,
    /// A brownout reset stands before it.
    AfterBrownout,
    /// The report is cut off.
    CutOff,
    /// The ELF file is not the firmware's.
    WrongElf,
    /// The words at the program counter are all zeros or all ones.
    FlashUnreadable,
    /// One byte differs from what it should be.
    OneByte,
}

/// All names but those of functions.
const NAMES: [(&str, Evidence); 29] = [
    ("null-pointer", Evidence::NullPointer),
    ("null-member", Evidence::NullMember),
    ("freed-memory", Evidence::FreedMemory),
    ("fresh-memory", Evidence::FreshMemory),
    ("unwritten-stack", Evidence::UnwrittenStack),
    ("heap-canary", Evidence::HeapCanary),
    ("ascii", Evidence::Ascii),
    ("flash-code", Evidence::FlashCode),
    ("flash-data", Evidence::FlashData),
    ("iram", Evidence::Iram),
    ("dram", Evidence::Dram),
    ("rtc", Evidence::Rtc),
    ("psram", Evidence::Psram),
    ("peripheral", Evidence::Peripheral),
    ("rom", Evidence::Rom),
    ("unmapped", Evidence::Unmapped),
    ("misaligned", Evidence::Misaligned),
    ("stack-overflow", Evidence::StackOverflow),
    ("cache-off", Evidence::CacheOff),
    ("in-isr", Evidence::InIsr),
    ("after-return-smashed", Evidence::ReturnSmashed),
    // Another word for the same.
    ("return-smashed", Evidence::ReturnSmashed),
    ("pc-not-code", Evidence::PcNotCode),
    ("repeated", Evidence::Repeated),
    ("after-brownout", Evidence::AfterBrownout),
    ("cut-off", Evidence::CutOff),
    ("wrong-elf", Evidence::WrongElf),
    ("flash-unreadable", Evidence::FlashUnreadable),
    ("one-byte", Evidence::OneByte),
];

/// The start of the name of [`Evidence::FrameFunction`].
const FRAME_FUNCTION: &str = "frame-function:";

/// A name that stands for no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no evidence")]
pub struct UnknownEvidence(pub String);

impl FromStr for Evidence {
    type Err = UnknownEvidence;

    fn from_str(name: &str) -> Result<Self, UnknownEvidence> {
        if let Some(function) = name.strip_prefix(FRAME_FUNCTION)
            && !function.is_empty()
        {
            return Ok(Self::FrameFunction(function.to_owned()));
        }
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, evidence)| evidence.clone())
            .ok_or_else(|| UnknownEvidence(name.to_owned()))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::FrameFunction(function) = self {
            return write!(out, "{FRAME_FUNCTION}{function}");
        }
        let name = NAMES.iter().find(|(_, evidence)| evidence == self);
        out.write_str(name.map_or("", |(name, _)| name))
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_evidence_and_back() {
        for (name, evidence) in NAMES {
            assert_eq!(name.parse(), Ok(evidence.clone()));
            assert_eq!(evidence.to_string().parse(), Ok(evidence), "{name}");
        }
        let lock = Evidence::FrameFunction("spinlock_acquire".to_owned());
        assert_eq!("frame-function:spinlock_acquire".parse(), Ok(lock));
        for name in ["", "frame-function:", "nul-pointer"] {
            assert!(name.parse::<Evidence>().is_err(), "{name}");
        }
    }
}
