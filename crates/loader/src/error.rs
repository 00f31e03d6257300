use std::io;

use guru_chip::{Chip, Quirk};
use guru_image::ReadError;
use guru_link::LinkError;
use guru_wire::{ErrorCode, Opcode};
use serde::Serialize;
use thiserror::Error;

use crate::Lacking;
use crate::certificate::CertificateFailure;
use crate::refusal::{CannotEncrypt, Guard, NotInSecureDownload};

/// Why a session cannot do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The port failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The flasher stub that was named cannot be used; nothing was changed.
    #[error("this is no flasher stub for the chip: {0}")]
    Stub(#[from] guru_stub::StubError),
    /// The chip did not answer SYNC.
    #[error("{port}: no answer from a chip's loader: {reason}")]
    Connect {
        /// Name of the port.
        port: String,
        /// Chip that was named.
        chip: Option<&'static Chip>,
        /// Rate of the port, in bits per second.
        baud: u32,
        /// What the boot log and the line tell.
        reason: ConnectFailure,
    },
    /// The chip is not the one that was named.
    #[error("this chip is an {found}, not an {named}")]
    WrongChip {
        /// Chip that was named.
        named: &'static str,
        /// Chip that answers.
        found: String,
    },
    /// The chip cannot be told.
    #[error("this chip is not known: {0}")]
    UnknownChip(ChipRead),
    /// The chip refused a command.
    #[error("the chip refused {opcode} while {doing} ({code})")]
    Refused {
        /// What the session was doing.
        doing: String,
        /// Command that was refused.
        opcode: Opcode,
        /// Why.
        code: ErrorCode,
    },
    /// The ROM does not know a command.
    #[error("the chip's loader does not know {opcode}")]
    Unsupported {
        /// The command.
        opcode: Opcode,
    },
    /// No answer came, or only damaged ones, however often it was asked.
    #[error("no {fault} answer to {opcode} while {doing}")]
    NoAnswer {
        /// What the session was doing.
        doing: String,
        /// Command without an answer.
        opcode: Opcode,
        /// `complete` or `undamaged`: what the answers lacked.
        fault: &'static str,
    },
    /// This chip, mode or option does not allow it.
    #[error("{0}")]
    NotPossible(String),
    /// A request that cannot be right; nothing was sent.
    #[error("{0}")]
    BadRequest(String),
    /// A file is larger than the room in flash.
    #[error(
        "'{file}' ({length} bytes at 0x{address:08x}) does not fit into {flash} bytes of flash"
    )]
    DoesNotFit {
        /// Name of the file.
        file: String,
        /// Bytes.
        length: u64,
        /// First byte in flash.
        address: u32,
        /// Size of the flash in bytes.
        flash: u64,
    },
    /// An image at the bootloader's place is for another chip or revision.
    #[error("'{file}' {reason}")]
    ImageMismatch {
        /// Name of the file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// A security feature stands against it; `--force` overrides.
    #[error("{0} (--force overrides; it may make the device unusable)")]
    Guarded(Guard),
    /// The chip cannot encrypt what it writes.
    #[error("{0}")]
    CannotEncrypt(CannotEncrypt),
    /// A secure download certificate, or what it is signed for.
    #[error("{0}")]
    Certificate(CertificateFailure),
    /// Secure Download Mode does not allow it.
    #[error("{0}")]
    SecureDownload(NotInSecureDownload),
    /// The chip does not have what was asked for.
    #[error("{chip}: {what}")]
    Lacking {
        /// Name of the chip.
        chip: &'static str,
        /// What it does not have.
        what: Lacking,
    },
    /// A range was asked for that is not inside of the flash.
    #[error(
        "0x{address:x} to 0x{end:x} is not inside of the flash, which has {size} bytes (0x{size:x})"
    )]
    OutsideFlash {
        /// First byte.
        address: u32,
        /// Behind the last byte.
        end: u64,
        /// Bytes of the flash.
        size: u64,
    },
    /// Flash was to be touched that the ROM's addresses do not reach.
    #[error(
        "the chip's loader reaches no more than 16 MB of flash, and 0x{end:x} lies beyond: it would \
         begin again at 0"
    )]
    BeyondAddresses {
        /// Behind the last byte that was to be touched.
        end: u64,
    },
    /// A request that would do harm, or stop the loader; nothing was sent. `--force` overrides.
    #[error("{reason} (--force overrides)")]
    Harmful {
        /// What would happen.
        reason: String,
    },
    /// Flash was to be changed that the ROM does not know of, nor can be told of.
    #[error(
        "the chip's loader takes its flash for {size} bytes, whatever it is, and 0x{end:x} lies \
         beyond: it can be read, but not written"
    )]
    BeyondRom {
        /// Behind the last byte that was to be changed.
        end: u64,
        /// Bytes that the ROM takes the flash for.
        size: u32,
    },
    /// The flash does not hold what was written.
    #[error("'{file}' at 0x{address:08x}: the flash holds something else than was written")]
    VerifyFailed {
        /// Name of the file.
        file: String,
        /// First byte in flash.
        address: u32,
        /// Digest of the file, hexadecimal; empty where it was compared byte by byte.
        expected: String,
        /// Digest of the flash, hexadecimal; empty where it was compared byte by byte.
        found: String,
    },
    /// The flash protects what was to be changed.
    #[error(
        "the flash protects 0x{start:08x} to 0x{end:08x} from writing (status 0x{status:06x}{})",
        if *.locked { ", and its status registers are locked" } else { "" }
    )]
    Protected {
        /// First protected address.
        start: u32,
        /// Last protected address.
        end: u32,
        /// Status registers, register 1 lowest.
        status: u32,
        /// Whether the registers cannot be written before the flash loses its power, if then.
        locked: bool,
    },
    /// Status registers do not hold what was written.
    #[error("the flash did not take it: its status is 0x{found:x}, not 0x{asked:x} ({bits})")]
    StatusNotTaken {
        /// What was written.
        asked: u32,
        /// What is there.
        found: u32,
        /// Names of the bits that differ.
        bits: String,
        /// Whether a bit locks the registers.
        locked: bool,
    },
    /// The flash holds the plain text, or nothing, where it was to be encrypted.
    #[error("'{file}' at 0x{address:08x}: the flash holds {found} where it should be encrypted")]
    NotEncrypted {
        /// Name of the file.
        file: String,
        /// First byte in flash.
        address: u32,
        /// `nothing` or `the plain text`.
        found: &'static str,
    },
    /// `verify-flash` found differences.
    #[error("{failed} of {files} files differ from the flash")]
    Differs {
        /// Files that differ.
        failed: usize,
        /// Files in all.
        files: usize,
    },
    /// `--guard` found a change outside of the written range.
    #[error(
        "contents outside of the written range changed, within {length} bytes at 0x{start:08x}"
    )]
    NeighbourChanged {
        /// First byte of the smallest range that is known to have changed.
        start: u32,
        /// Number of bytes.
        length: u32,
    },
    /// The line is too bad even for one sector at a time.
    #[error("the line is too bad: 0x{address:08x} could not be {what} in {attempts} attempts")]
    LineTooBad {
        /// Where it stopped.
        address: u32,
        /// `written` or `read`.
        what: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
    /// After the link was lost, another chip answered.
    #[error("after the connection was lost another chip answers: MAC {found}, not {expected}")]
    OtherDevice {
        /// MAC of the chip that was there.
        expected: String,
        /// MAC of the chip that is there.
        found: String,
    },
    /// A file that is to be written to flash cannot be read.
    #[error(transparent)]
    Source(#[from] ReadError),
    /// What is read cannot be stored.
    #[error("what was read cannot be stored")]
    Sink(#[source] io::Error),
}

/// By what a chip says which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChipRead {
    /// The id in its security info.
    Id(u32),
    /// The ROM word in which the early chips differ.
    Magic(u32),
}

impl std::fmt::Display for ChipRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = match self {
            Self::Magic(magic) => return write!(f, "magic value 0x{magic:08x}"),
            Self::Id(id) => id,
        };
        match u16::try_from(*id).ok().and_then(guru_chip::known_chip_id) {
            Some(known) if known.dropped => {
                write!(f, "{} (chip id {id}) is no longer supported", known.name)
            }
            Some(known) => write!(
                f,
                "{} (chip id {id}) is not supported by this version",
                known.name
            ),
            None => write!(f, "chip id {id}"),
        }
    }
}

/// What the boot log and the line tell about a chip that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nothing came back at all.
    Silence,
    /// Bytes came, but no packets and no boot log; the first one.
    Garbage(u8),
    /// An answer began and did not end.
    CutShort,
    /// The firmware runs and panics; the cause, if it tells one.
    Panic(String),
    /// The boot log shows that the chip did not enter its loader.
    WrongBootMode(u32),
    /// The boot log says that eFuse keeps the chip from its loader; with the boot mode, where it was
    /// heard.
    DownloadDisabled(Option<u32>),
    /// The boot log shows the loader, but nothing that is sent over the chip's own USB is heard.
    UsbDownloadDisabled,
    /// The boot log shows the loader, but it does not answer: nothing reaches the chip.
    TxPathDown,
    /// Packets came that are no answers to SYNC.
    NoSyncReply,
    /// A flasher stub of another program answers in place of the ROM.
    StubRunning,
}

impl std::fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silence => f.write_str("no serial data received"),
            Self::Garbage(first) => {
                write!(f, "only noise was received (the first byte is 0x{first:02x})")
            }
            Self::CutShort => f.write_str("an answer began and did not end"),
            Self::Panic(cause) if cause.is_empty() => f.write_str("the firmware runs and panics"),
            Self::Panic(cause) => write!(f, "the firmware runs and panics ({cause})"),
            Self::WrongBootMode(mode) => write!(
                f,
                "wrong boot mode detected (0x{mode:x}): the chip needs to be in download mode"
            ),
            Self::DownloadDisabled(_) => f.write_str(
                "its eFuses disable download mode: this chip can be flashed by its own firmware only",
            ),
            Self::UsbDownloadDisabled => f.write_str(
                "it waits for a download, but hears nothing over its own USB, which eFuse may have \
                 disabled for that",
            ),
            Self::TxPathDown => f.write_str(
                "download mode detected, but no answer to SYNC: the line towards the chip seems \
                 to be down",
            ),
            Self::NoSyncReply => f.write_str("packets were received, but no answer to SYNC"),
            Self::StubRunning => f.write_str(
                "the flasher stub of another program is running; the chip must be reset",
            ),
        }
    }
}

/// What kind of error it is. Fixes the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong.
    Usage,
    /// The port cannot be opened or used.
    Port,
    /// No chip answers, or another one than was named.
    Connect,
    /// The chip refused or stopped answering.
    Device,
    /// The contents are not what they should be.
    Verify,
    /// A security feature or the chip's mode forbids it.
    Forbidden,
    /// A file cannot be read or written.
    File,
    /// The user asked to stop.
    Cancelled,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Link(LinkError::Cancelled) => ErrorKind::Cancelled,
            Self::Link(LinkError::BadAddress { .. }) => ErrorKind::Usage,
            Self::Link(_) => ErrorKind::Port,
            Self::Connect {
                reason: ConnectFailure::DownloadDisabled(_),
                ..
            } => ErrorKind::Forbidden,
            Self::Connect { .. }
            | Self::WrongChip { .. }
            | Self::UnknownChip(_)
            | Self::OtherDevice { .. } => ErrorKind::Connect,
            Self::Refused { .. }
            | Self::Unsupported { .. }
            | Self::NoAnswer { .. }
            | Self::LineTooBad { .. } => ErrorKind::Device,
            Self::CannotEncrypt(CannotEncrypt::Unaligned { .. }) => ErrorKind::Usage,
            Self::Certificate(CertificateFailure::Refused { .. }) => ErrorKind::Device,
            Self::NotPossible(_)
            | Self::Certificate(_)
            | Self::Guarded(_)
            | Self::CannotEncrypt(_)
            | Self::SecureDownload(_)
            | Self::BeyondAddresses { .. }
            | Self::BeyondRom { .. } => ErrorKind::Forbidden,
            Self::Lacking {
                what: Lacking::VddSdio,
                ..
            } => ErrorKind::Forbidden,
            Self::Lacking { .. }
            | Self::BadRequest(_)
            | Self::OutsideFlash { .. }
            | Self::DoesNotFit { .. }
            | Self::Harmful { .. }
            | Self::Stub(_)
            | Self::ImageMismatch { .. } => ErrorKind::Usage,
            Self::Protected { .. } => ErrorKind::Device,
            Self::VerifyFailed { .. }
            | Self::StatusNotTaken { .. }
            | Self::NotEncrypted { .. }
            | Self::Differs { .. }
            | Self::NeighbourChanged { .. } => ErrorKind::Verify,
            Self::Source(_) | Self::Sink(_) => ErrorKind::File,
        }
    }

    /// Whether the chip that was named and not reached may need a higher rate than the port had.
    pub fn may_need_higher_rate(&self) -> bool {
        matches!(self, Self::Connect { chip: Some(chip), baud, .. }
            if chip.has(Quirk::UnsureBelow115200) && *baud < 115_200)
    }

    /// Name of the hint in `chips/hints.toml` that helps with this error.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Link(LinkError::NotFound { .. }) => "port.not-found",
            Self::Link(LinkError::Busy { .. }) => "port.busy",
            Self::Link(LinkError::Permission { .. }) => "port.permission",
            Self::Link(LinkError::Lost(_)) => "link.lost",
            Self::Link(LinkError::Baud(_)) => "port.baud",
            Self::Link(LinkError::NoLines) => "port.no-lines",
            Self::Link(_) => return None,
            Self::Connect { reason, .. } => match reason {
                ConnectFailure::Silence => "connect.no-answer",
                ConnectFailure::Garbage(_) | ConnectFailure::CutShort => "connect.garbage",
                ConnectFailure::Panic(_) => "connect.panic",
                ConnectFailure::WrongBootMode(_) => "connect.wrong-boot-mode",
                ConnectFailure::TxPathDown => "connect.tx-path-down",
                ConnectFailure::DownloadDisabled(_) => "connect.download-disabled",
                ConnectFailure::UsbDownloadDisabled => "connect.usb-download-disabled",
                ConnectFailure::NoSyncReply => "connect.no-sync-reply",
                ConnectFailure::StubRunning => "connect.stub-running",
            },
            Self::WrongChip { .. } => "chip.mismatch",
            Self::UnknownChip(_) => "chip.unknown",
            Self::NoAnswer { .. } | Self::LineTooBad { .. } => "write.line-errors",
            Self::DoesNotFit { .. } => "flash.too-small",
            Self::ImageMismatch { .. } => "image.other-chip",
            Self::Guarded(_) => "security.guard",
            Self::CannotEncrypt(CannotEncrypt::NoKey | CannotEncrypt::CryptConfig(_)) => {
                "security.no-key"
            }
            Self::CannotEncrypt(CannotEncrypt::Unaligned { .. }) => return None,
            Self::CannotEncrypt(_) => "security.no-manual-encrypt",
            Self::Certificate(CertificateFailure::Rejected { .. }) => "certificate.rejected",
            Self::Certificate(CertificateFailure::NotEnabled { .. }) => "certificate.not-enabled",
            Self::Certificate(CertificateFailure::OnlyCertificates { .. }) => "certificate.only",
            Self::SecureDownload(_) => "security.download-mode",
            Self::BeyondAddresses { .. } => "flash.large",
            Self::BeyondRom { .. } => "flash.rom-size",
            Self::VerifyFailed { .. } => "write.verify-failed",
            Self::Protected { locked: true, .. } | Self::StatusNotTaken { locked: true, .. } => {
                "flash.status-locked"
            }
            Self::Protected { .. } => "flash.protected",
            Self::StatusNotTaken { .. } => "flash.status-not-taken",
            Self::NeighbourChanged { .. } => "write.neighbour",
            Self::Refused { .. } => "device.refused",
            _ => return None,
        })
    }
}
