use std::fmt;

use serde::Serialize;

use crate::{CannotEncrypt, ChipRead};

/// Something that a person should know, without being an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Notice {
    /// No reset was made; the chip must be in its loader already.
    NoReset,
    /// The port has no control lines, so the chip was not reset.
    NotReset {
        /// Name of the port.
        port: String,
    },
    /// A watchdog reset was asked for that the chip, or its mode, does not have; it is reset by RTS.
    NoWatchdogReset {
        /// Name of the chip.
        chip: &'static str,
        /// Whether Secure Download Mode is the reason.
        secure_download: bool,
    },
    /// The reset has led into the loader again, because the boot pin was low when it was last
    /// looked at.
    StuckInLoader {
        /// Whether the watchdog gets it out, which is tried next; otherwise somebody must.
        watchdog: bool,
    },
    /// After the reset the chip's own USB port has not come back in time.
    PortGone {
        /// Name that it had.
        port: String,
    },
    /// Detection found a chip id or magic number that is not the named chip's.
    UnexpectedChip {
        /// Name of the chip that was named.
        chip: String,
        /// What detection read.
        read: ChipRead,
    },
    /// The crystal differs by more than 1 MHz from the nearest that the chip can have.
    OddCrystal {
        /// Estimate in kHz.
        estimated_khz: u32,
        /// Taken frequency in MHz.
        taken_mhz: u8,
    },
    /// The chip is in Secure Download Mode: little can be asked and nothing verified.
    SecureDownload,
    /// No sensible answer from the flash.
    FlashNotConnected {
        /// JEDEC id that was read.
        id: u32,
        /// Whether the user named the pins.
        custom_pins: bool,
    },
    /// An XMC flash was in a state that needed its start-up sequence again.
    XmcStartUp {
        /// Whether the sequence helped.
        fixed: bool,
    },
    /// The flash size could not be found by id; this one is taken.
    FlashSizeAssumed {
        /// JEDEC id that was read.
        id: u32,
        /// Label of the size taken.
        label: &'static str,
    },
    /// Beyond 16 MB not everything works without a stub that has 32-bit addresses.
    LargeFlash,
    /// In ROM mode a wrong size makes a write fail.
    SetFlashSizeIfFails,
    /// An image is for another chip or revision; it is not the bootloader's place, or `--force`
    /// was given.
    ImageMismatch {
        /// Name of the file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// Flash encryption is on, and files are written as they are.
    PlainOnEncrypted,
    /// What is written encrypted may never be readable, and is written all the same.
    EncryptsDespite {
        /// What is not as it should be.
        reason: CannotEncrypt,
    },
    /// Flash encryption is on, and flash is read as it is.
    ReadsEncrypted,
    /// A program for RAM is for another chip or revision.
    ProgramMismatch {
        /// Name of the file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// A segment of a program for RAM lies in mapped flash, and is left out.
    SegmentInFlash {
        /// First byte.
        address: u32,
        /// Number of bytes.
        length: u32,
    },
    /// A segment is loaded where it should not be, because `--force` was given.
    SegmentForced {
        /// What may go wrong.
        reason: String,
    },
    /// Words of memory of which no two readings agree.
    Unsettled {
        /// How many.
        words: usize,
        /// Address of the first one.
        first: u32,
        /// Address of the last one.
        last: u32,
    },
    /// No answer came to the command that starts a program, and the loader answers no more.
    StartUnanswered,
    /// Security features are on, so the image header is left alone.
    HeaderKept,
    /// The file does not start with an image, so the flash parameters cannot be changed.
    NotAnImage {
        /// Name of the file.
        file: String,
        /// Its place in flash, that of a bootloader.
        address: u32,
    },
    /// The image does not verify, so the flash parameters are not changed.
    InvalidImage {
        /// Name of the file.
        file: String,
        /// Its place in flash, that of a bootloader.
        address: u32,
        /// The chip of which it should be an image.
        chip: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An empty file is skipped.
    EmptyFile {
        /// Name of the file.
        file: String,
    },
    /// Compression does not make the data smaller; they go raw.
    NotCompressible {
        /// Name of the file.
        file: String,
    },
    /// Bytes that share the first or last sector with the file are erased with it.
    SharedSector {
        /// First byte that is lost.
        start: u32,
        /// Number of bytes.
        length: u32,
    },
    /// What was written or read is not verified.
    NotVerified {
        /// Why not.
        reason: Unverified,
    },
    /// This takes long.
    Slow {
        /// What it is.
        what: SlowJob,
        /// Estimate in seconds.
        seconds: u64,
    },
    /// The line is bad: the rest goes in short raw streams.
    Careful,
    /// The baud rate was lowered because of repeated errors.
    BaudLowered {
        /// New rate in bits per second.
        baud: u32,
    },
    /// The rate asked for did not work; the session goes on at the old one.
    BaudRefused {
        /// Rate asked for in bits per second.
        asked: u32,
        /// Present rate in bits per second.
        baud: u32,
    },
    /// The rate stays: which crystal the chip has, on which another rate depends, cannot be asked in
    /// Secure Download Mode.
    UnknownCrystal {
        /// Present rate in bits per second.
        baud: u32,
    },
    /// What the ROM takes the crystal to be. Where it is another one, the rate that the ROM is asked
    /// for makes up for it.
    RomCrystal {
        /// What the ROM takes it to be, in MHz.
        taken_mhz: u8,
        /// What it is, in MHz.
        found_mhz: u8,
    },
    /// Contents outside of the written range changed (`--guard`).
    NeighbourChanged {
        /// First byte of the smallest range that is known to have changed.
        start: u32,
        /// Number of bytes.
        length: u32,
    },
    /// The file of an interrupted read does not match the flash and is read again.
    PartNotReused,
    /// A read ended early; what of it was proved is kept.
    PartKept {
        /// How many bytes, from the first one on.
        bytes: u64,
    },
    /// What is in flash already cannot be found out, so that everything is written.
    WritesAll {
        /// Name of the option that is ignored for that.
        option: &'static str,
        /// Why.
        reason: Incomparable,
    },
    /// Flash does not hold what it was believed to (`--diff-with`): the file is written as a whole.
    NotAsBelieved {
        /// Name of the file.
        file: String,
        /// Whether that was found out only when the sectors that had to change were written.
        changed: bool,
    },
    /// An option does not apply and is ignored.
    Ignored {
        /// Name of the option.
        option: &'static str,
        /// Why.
        reason: String,
    },
    /// `chip-id` on a chip that has none.
    NoChipId {
        /// Name of the chip.
        chip: &'static str,
    },
    /// Pins named for the flash are the USB's.
    UsbPins {
        /// The pins.
        pins: Vec<u8>,
    },
    /// No USB device is known behind the port, so the resets are those of most adapters.
    UnknownUsb {
        /// Name of the port.
        port: String,
    },
    /// No stub is used, or no longer.
    NoStub {
        /// Why.
        reason: NoStub,
    },
}

/// Why the ROM's loader does the work, although a stub was to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoStub {
    /// In Secure Download Mode nothing can be loaded into RAM.
    SecureDownload,
    /// With secure boot on, the ROM starts nothing in RAM.
    SecureBoot,
    /// The loader has no commands for RAM.
    NoRam,
    /// There is none for this chip and its revision.
    NoneForChip,
    /// The port is the USB-OTG of the chip's ROM, which ends with it.
    UsbOtg,
    /// The ROM did not take it.
    NotUploaded,
    /// It does not greet, or stopped answering.
    Silent,
    /// It reads another JEDEC id than the ROM.
    OtherId,
    /// It reads other contents of flash than the ROM.
    OtherContents,
    /// The first sector was not right after it was written or erased.
    WritesWrongly,
}

impl fmt::Display for NoStub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecureDownload => "Secure Download Mode takes none",
            Self::SecureBoot => "with secure boot the ROM starts none",
            Self::NoRam => "the loader loads nothing into RAM",
            Self::NoneForChip => "there is none for this chip",
            Self::UsbOtg => "it cannot use the chip's USB-OTG",
            Self::NotUploaded => "it could not be uploaded",
            Self::Silent => "it does not answer",
            Self::OtherId => "it reads another flash id than the ROM",
            Self::OtherContents => "it reads other contents of flash than the ROM",
            Self::WritesWrongly => "the first sector that it changed is not right",
        })
    }
}

/// Why contents are not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unverified {
    /// The ROM has no digest command; `--verify` reads everything back.
    NoDigest,
    /// Reading back would give plain text of what is encrypted.
    Encrypted,
    /// Secure Download Mode answers no digest.
    SecureDownload,
    /// `--no-verify` was given.
    NotAsked,
    /// `--trust-flash-content` was given.
    Trusted,
}

/// Why it cannot be found out what is in flash already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incomparable {
    /// The whole chip is erased first.
    Erased,
    /// Everything is encrypted by the chip.
    Encrypted,
    /// The ROM has no digest command.
    NoDigest,
    /// Secure Download Mode answers no digest.
    SecureDownload,
}

/// A job that takes long on this chip and in this mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlowJob {
    /// Reading 64 bytes a command.
    RomRead,
    /// Reading through the SPI controller's registers.
    RegisterRead,
    /// Erasing the whole chip.
    ChipErase,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Something may go wrong.
    Warning,
}

impl Notice {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotReset { .. }
            | Self::PlainOnEncrypted
            | Self::EncryptsDespite { .. }
            | Self::UnexpectedChip { .. }
            | Self::OddCrystal { .. }
            | Self::FlashNotConnected { .. }
            | Self::XmcStartUp { .. }
            | Self::FlashSizeAssumed { .. }
            | Self::NotAnImage { .. }
            | Self::InvalidImage { .. }
            | Self::EmptyFile { .. }
            | Self::NeighbourChanged { .. }
            | Self::BaudRefused { .. }
            | Self::BaudLowered { .. }
            | Self::UnknownCrystal { .. }
            | Self::Careful
            | Self::NoChipId { .. }
            | Self::NotAsBelieved { .. }
            | Self::ProgramMismatch { .. }
            | Self::SegmentInFlash { .. }
            | Self::SegmentForced { .. }
            | Self::Unsettled { .. }
            | Self::StartUnanswered
            | Self::UsbPins { .. }
            | Self::StuckInLoader { watchdog: false }
            | Self::NoWatchdogReset {
                secure_download: true,
                ..
            } => Severity::Warning,
            _ => Severity::Note,
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDigest => "this chip's ROM has no digest command (--verify reads it back)",
            Self::Encrypted => "the flash is encrypted",
            Self::SecureDownload => "the chip is in Secure Download Mode",
            Self::NotAsked => "--no-verify was given",
            Self::Trusted => "--trust-flash-content was given",
        })
    }
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erased => "the whole chip is erased first",
            Self::Encrypted => "the chip encrypts what it writes",
            Self::NoDigest => "the chip's ROM has no digest command",
            Self::SecureDownload => "the chip is in Secure Download Mode",
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReset => f.write_str("the chip is not reset; it must be in its loader already"),
            Self::NotReset { port } => write!(
                f,
                "the chip was not reset: {port} has no DTR and RTS; put it into download mode by \
                 hand and use --before no-reset --after no-reset"
            ),
            Self::NoWatchdogReset {
                secure_download: true,
                ..
            } => f.write_str(
                "a watchdog reset is not possible in Secure Download Mode; resetting by RTS instead",
            ),
            Self::NoWatchdogReset { chip, .. } => write!(
                f,
                "{chip} cannot be reset by its watchdog; resetting by RTS instead"
            ),
            Self::StuckInLoader { watchdog: true } => f.write_str(
                "the reset led into the loader again, because the boot pin was low at power-up; \
                 resetting by the watchdog, which looks at the pin again",
            ),
            Self::StuckInLoader { watchdog: false } => f.write_str(
                "the chip is in its loader again, because its boot pin is or was low; release it, \
                 then press RESET or plug the board in again",
            ),
            Self::PortGone { port } => write!(
                f,
                "{port} has not come back after the reset: the application may have no USB port"
            ),
            Self::UnexpectedChip { chip, read } => write!(
                f,
                "this does not look like an {chip} (read {read}); going on all the same"
            ),
            Self::OddCrystal {
                estimated_khz,
                taken_mhz,
            } => write!(
                f,
                "the crystal seems to be {}.{:02} MHz, which no such chip has; {taken_mhz} MHz is \
                 taken",
                estimated_khz / 1000,
                estimated_khz % 1000 / 10
            ),
            Self::SecureDownload => f.write_str(
                "the chip is in Secure Download Mode: it can be written, but neither read nor \
                 verified",
            ),
            Self::FlashNotConnected { id, custom_pins } => {
                write!(f, "no flash answers (JEDEC id 0x{id:06x})")?;
                if *custom_pins {
                    f.write_str("; check the pins given with --spi-connection")?;
                }
                Ok(())
            }
            Self::XmcStartUp { fixed: true } => {
                f.write_str("the XMC flash had started up wrongly; that was repaired")
            }
            Self::XmcStartUp { fixed: false } => {
                f.write_str("the XMC flash has started up wrongly and could not be repaired")
            }
            Self::FlashSizeAssumed { id, label } => write!(
                f,
                "the flash size cannot be told from JEDEC id 0x{id:06x}; {label} is taken \
                 (--flash-size sets it)"
            ),
            Self::LargeFlash => {
                f.write_str("flash beyond 16 MB is not fully supported without a stub")
            }
            Self::SetFlashSizeIfFails => {
                f.write_str("if this fails, set the flash size with --flash-size")
            }
            Self::ImageMismatch { file, reason } => write!(f, "'{file}' {reason}"),
            Self::PlainOnEncrypted => f.write_str(
                "flash encryption is on: what is written without --encrypt must be encrypted already, \
                 or the chip cannot use it",
            ),
            Self::EncryptsDespite { reason } => {
                write!(f, "{reason}: what is written encrypted may never be readable")
            }
            Self::ReadsEncrypted => f.write_str(
                "flash encryption is on: the flash is read as it is, and what is encrypted stays so",
            ),
            Self::ProgramMismatch { file, reason } => {
                write!(f, "'{file}' {reason}; it may not run")
            }
            Self::SegmentInFlash { address, length } => write!(
                f,
                "the segment of {length} bytes at 0x{address:08x} lies in mapped flash and is not \
                 loaded; what needs it will not find it"
            ),
            Self::SegmentForced { reason } => f.write_str(reason),
            Self::Unsettled { words, first, last } => write!(
                f,
                "{words} words between 0x{first:08x} and 0x{last:08x} were different at each \
                 reading: they change by themselves, or the line is bad"
            ),
            Self::StartUnanswered => f.write_str(
                "the loader did not answer when the program was started, and it answers no more: \
                 the program should run",
            ),
            Self::HeaderKept => {
                f.write_str("security features are on, so the image header is left as it is")
            }
            Self::NotAnImage { file, .. } => write!(
                f,
                "{file} does not start with a firmware image, so flash parameters are not changed"
            ),
            Self::InvalidImage { file, reason, .. } => write!(
                f,
                "{file} is not a valid firmware image ({reason}), so flash parameters are not \
                 changed"
            ),
            Self::EmptyFile { file } => write!(f, "{file} is empty and was skipped"),
            Self::NotCompressible { file } => {
                write!(
                    f,
                    "{file} does not get smaller by compression; it goes as it is"
                )
            }
            Self::SharedSector { start, length } => write!(
                f,
                "{length} bytes at 0x{start:08x} share a sector with the file and are erased"
            ),
            Self::NotVerified { reason } => write!(f, "not verified, because {reason}"),
            Self::Slow { what, seconds } => {
                let what = match what {
                    SlowJob::RomRead => "reading through the ROM loader, 64 bytes at a time,",
                    SlowJob::RegisterRead => "reading through the SPI controller's registers",
                    SlowJob::ChipErase => "erasing the whole chip",
                };
                let minutes = seconds / 60;
                if minutes > 1 {
                    write!(f, "{what} takes about {minutes} minutes")
                } else {
                    write!(f, "{what} takes about {seconds} seconds")
                }
            }
            Self::Careful => {
                f.write_str("the line damages data: going on in short streams, without compression")
            }
            Self::BaudLowered { baud } => {
                write!(f, "going on at {baud} baud because of repeated errors")
            }
            Self::BaudRefused { asked, baud } => {
                write!(
                    f,
                    "the chip does not answer at {asked} baud; going on at {baud}"
                )
            }
            Self::UnknownCrystal { baud } => write!(
                f,
                "going on at {baud} baud: in Secure Download Mode the chip does not tell its \
                 crystal, on which another rate depends"
            ),
            Self::RomCrystal {
                taken_mhz,
                found_mhz,
            } => write!(
                f,
                "the ROM expects a crystal of {taken_mhz} MHz, and there is one of {found_mhz} MHz"
            ),
            Self::NeighbourChanged { start, length } => write!(
                f,
                "contents outside of the written range changed, within {length} bytes at \
                 0x{start:08x}"
            ),
            Self::PartKept { bytes } => write!(
                f,
                "the first {bytes} bytes are kept; the same command goes on behind them"
            ),
            Self::PartNotReused => f.write_str(
                "the file of the interrupted read does not match the flash; reading from the start",
            ),
            Self::WritesAll { option, reason } => write!(f, "{option} is ignored: {reason}"),
            Self::NotAsBelieved { file, .. } => write!(
                f,
                "the flash does not hold what --diff-with names; {file} is written as a whole"
            ),
            Self::Ignored { option, reason } => write!(f, "{option} is ignored: {reason}"),
            Self::NoChipId { chip } => write!(f, "{chip} has no chip id; its MAC is shown instead"),
            Self::UsbPins { pins } => {
                f.write_str("the chip's USB uses GPIO")?;
                for pin in pins {
                    write!(f, " {pin}")?;
                }
                f.write_str("; consider other pins for the flash")
            }
            Self::UnknownUsb { port } => write!(
                f,
                "{port} is no USB device that the system lists; the usual resets are tried"
            ),
            Self::NoStub { reason } => {
                write!(f, "no flasher stub: {reason}; the ROM loader does the work")
            }
        }
    }
}
