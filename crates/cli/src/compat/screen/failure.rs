//! What ends a command.

use std::io::ErrorKind;

use guru_image::{FirmwareError, HeaderError, ImageError, RamError, ReadError, UnknownParameter};
use guru_link::LinkError;
use guru_loader::{
    CannotEncrypt, ChipRead, ConnectFailure, Error as LoaderError, Guard, Lacking,
    NotInSecureDownload,
};

use super::image;
use crate::compat::{image_info, settings};
use crate::error::Error;
use crate::ui::escape;

/// What is said of a program for RAM in several pieces.
pub const MERGED: &str =
    "Merged binary image detected. Only one file can be specified for the load-ram command.";

/// Where the predecessor sends those who cannot connect.
pub(super) const TROUBLESHOOTING: &str =
    "https://docs.espressif.com/projects/esptool/en/latest/troubleshooting.html";

/// Pins that a chip has its USB on were named for the flash.
pub(super) fn usb_pins(chip: &str) -> String {
    let chip = guru_chip::CHIPS.iter().find(|known| known.name == chip);
    let pins = chip.map_or(&[][..], |chip| chip.spi.pins.usb_gpios);
    let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
    let usb = match chip.map(|chip| (chip.usb.serial_jtag, chip.usb.otg_product)) {
        Some((true, Some(_))) => "USB-Serial/JTAG and USB-OTG",
        Some((false, Some(_))) => "USB-OTG",
        _ => "USB-Serial/JTAG",
    };
    format!(
        "GPIO pins {} are used by {usb}, consider using other pins for SPI flash connection.",
        pins.join(" and ")
    )
}

/// An image that is for something else than the chip.
pub(super) fn mismatch(chip: &str, file: &str, reason: &str) -> String {
    let file = escape(file);
    if reason.starts_with("is an image for") {
        format!("'{file}' is not an {chip} image")
    } else {
        format!("'{file}' {}", escape(reason))
    }
}

/// Whether a port is a plain TCP connection.
pub(super) fn is_stream(port: &str) -> bool {
    port.starts_with("socket:") || port.starts_with("tcp:")
}

/// What is wrong with addresses and files, which is a mistake in the command line.
pub(super) fn bad_pairs(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoPartner { .. } => {
            "Must be pairs of an address and the binary filename to write there.".to_owned()
        }
        Error::BadAddress { word, .. } => {
            format!("Address \"{}\" must be a number.", escape(word))
        }
        Error::Firmware(FirmwareError::Read(error)) => unreadable(error),
        Error::Overlap { address, file, .. } => format!(
            "Detected overlap at address: {address:#x} for file: {}.",
            escape(file)
        ),
        _ => return None,
    })
}

/// A file that cannot be read, with the numbers that Python has for it on every system.
pub(super) fn unreadable(error: &ReadError) -> String {
    let ReadError::Io { name, source } = error else {
        return chain(error);
    };
    let known = match source.kind() {
        ErrorKind::NotFound => "[Errno 2] No such file or directory",
        ErrorKind::PermissionDenied => "[Errno 13] Permission denied",
        ErrorKind::IsADirectory => "[Errno 21] Is a directory",
        _ => return chain(error),
    };
    format!("{known}: '{}'", escape(name))
}

/// Why a port was of no use.
pub fn reason(error: &Error) -> String {
    fatal("", error)
}

/// What a chip does not have.
pub(super) fn lacking(chip: &str, what: &Lacking) -> String {
    match what {
        Lacking::Hspi => format!("Using --spi-connection HSPI is not supported by {chip}."),
        Lacking::CustomPins => {
            format!("Setting custom --spi-connection pins is not supported by {chip}.")
        }
        Lacking::Gpio { there, .. } => {
            let mut ranges = Vec::new();
            for (first, last) in *there {
                match last - first {
                    1 => ranges.extend([first.to_string(), last.to_string()]),
                    _ => ranges.push(format!("{first}-{last}")),
                }
            }
            let last = ranges.pop().unwrap_or_default();
            let others: String = ranges.iter().map(|range| format!("{range}, ")).collect();
            let or = if ranges.is_empty() { "" } else { "or " };
            format!("SPI Pin numbers must be in the range {others}{or}{last}.")
        }
        Lacking::HoldGpio { most, .. } => format!("SPI HD Pin number must be <= {most}."),
        Lacking::VddSdio => format!("Overriding VDDSDIO is not supported by {chip}."),
        Lacking::Parameter(UnknownParameter {
            what,
            given,
            supported,
        }) => {
            let plural = match *what {
                "frequency" => "frequencies",
                "size" => "sizes",
                _ => "modes",
            };
            format!(
                "Flash {what} '{given}' is not supported by this chip type. Supported {plural}: {}",
                supported.join(", ")
            )
        }
    }
}

/// A range that is not inside of the flash.
pub(super) fn outside(address: u32, end: u64, size: u64) -> String {
    const REACH: u64 = 16 << 20;
    let length = end.saturating_sub(u64::from(address));
    if length > size {
        return format!(
            "Specified size {length:#x} is greater than detected flash size {size:#x}."
        );
    }
    let (what, limit, past) = if end > REACH {
        ("16MB".to_owned(), "16MB".to_owned(), end - REACH)
    } else {
        let label = match size >> 20 {
            0 => format!("{}KB", size >> 10),
            mega => format!("{mega}MB"),
        };
        let past = end.saturating_sub(size);
        ("detected flash size".to_owned(), label, past)
    };
    format!(
        "Can't access flash regions larger than {what} (set size {length:#x} from address \
         {address:#010x} goes past {limit} by {past:#x} bytes)."
    )
}

/// What the predecessor says of an error.
pub(super) fn fatal(chip: &str, error: &Error) -> String {
    if let Some(text) = image::not_made(error).or_else(|| image_info::failure(error)) {
        return text;
    }
    let Error::Session(error) = error else {
        return match error {
            Error::Config(error) => settings::misconfigured(error),
            Error::NoPort { tried, .. } => format!(
                "Could not connect to an Espressif device on any of the {tried} available serial \
                 ports."
            ),
            Error::Unaligned {
                what: "address", ..
            } => "Offset to erase from must be a multiple of 4096.".to_owned(),
            // It takes no addresses in RAM from Intel HEX.
            Error::Ram(RamError::NoEntry { runs: 2.., .. }) => MERGED.to_owned(),
            Error::Ram(RamError::Image {
                source: ImageError::Header(HeaderError::Magic { found }),
                ..
            }) => format!("Invalid firmware image magic={found:#x}"),
            Error::Ram(RamError::Image {
                source: ImageError::Header(HeaderError::SegmentCount { found }),
                ..
            }) => format!(
                "Invalid segment count {found} (max 16). Usually this indicates a linker script \
                 problem."
            ),
            Error::Unaligned { .. } => {
                "Size of data to erase must be a multiple of 4096.".to_owned()
            }
            Error::SfdpLength { .. } => {
                "Invalid number of bytes to read from SFDP (1-4).".to_owned()
            }
            error => {
                let mut text = capitalized(&chain(error));
                for hint in error.hints() {
                    text.push_str(&format!("\nHint: {hint}"));
                }
                text
            }
        };
    };
    match error {
        LoaderError::Connect { .. } => failure(error),
        LoaderError::UnknownChip(read) => {
            let what = match read {
                ChipRead::Id(id) => format!("ID value {id}"),
                ChipRead::Magic(magic) => format!("magic value {magic:#010x}"),
            };
            format!(
                "Unexpected chip {what}. Failed to autodetect chip type.\nProbably it is unsupported \
                 by this version of esptool."
            )
        }
        LoaderError::WrongChip { named, found } => {
            format!("This chip is {found}, not {named}. Wrong chip argument?")
        }
        LoaderError::DoesNotFit {
            file,
            length,
            address,
            flash,
        } => format!(
            "File '{}' (length {length}) at offset {address:#010x} will not fit in {flash} bytes of \
             flash. Change the flash_size argument or flashing address.",
            escape(file)
        ),
        LoaderError::ImageMismatch { file, reason } => {
            format!(
                "{}. Use --force to flash anyway.",
                mismatch(chip, file, reason)
            )
        }
        LoaderError::Unsupported { opcode } => format!(
            "This command ({:#x}) is not supported in the current download mode",
            *opcode as u8
        ),
        LoaderError::Guarded(guard) => guarded(*guard).to_owned(),
        LoaderError::CannotEncrypt(reason) => cannot_encrypt(*reason),
        LoaderError::Lacking { chip, what } => lacking(chip, what),
        LoaderError::OutsideFlash { address, end, size } => outside(*address, *end, *size),
        LoaderError::SecureDownload(NotInSecureDownload::DetectSize) => {
            "Detecting flash size is not supported in secure download mode. Need to manually \
             specify flash size."
                .to_owned()
        }
        LoaderError::VerifyFailed { .. } => "MD5 of file does not match data in flash!".to_owned(),
        LoaderError::Differs { .. } => "Verification failed.".to_owned(),
        LoaderError::Link(LinkError::NotFound { port }) => not_open(
            port,
            "No such file or directory",
            "Check if the port is correct and ESP connected",
        ),
        LoaderError::Link(
            error @ (LinkError::Connect { port, .. } | LinkError::BadAddress { url: port, .. }),
        ) => not_open(port, &chain(error), ""),
        LoaderError::Link(error @ LinkError::Busy { port, .. }) => not_open(
            port,
            &error.to_string(),
            "Check if the port is not used by another task",
        ),
        LoaderError::Link(error @ LinkError::Permission { port, group }) => {
            let group = group.as_deref().unwrap_or("dialout or uucp");
            let hint = format!("Try to add user into {group} group.");
            not_open(port, &error.to_string(), &hint)
        }
        error => {
            let mut text = capitalized(&chain(error));
            if let Some(hint) = error.hint().and_then(guru_chip::hint) {
                text.push_str(&format!("\nHint: {} {}", hint.cause, hint.remedy));
            }
            text
        }
    }
}

/// What is forbidden unless `--force` is given.
pub(super) fn guarded(guard: Guard) -> &'static str {
    match guard {
        Guard::SecureBootV1 => {
            "Secure Boot V1 detected, writing to flash regions < 0x8000 is disabled to protect the \
             bootloader. Use the force argument to override, please use with caution, otherwise it \
             may brick your device!"
        }
        Guard::KeyManager => {
            "Flash encryption with Key Manager detected, writing to flash region 0x0-0x2000 is \
             disabled to protect key recovery info. Use the force argument to override, please use \
             with caution, otherwise it may brick your device!"
        }
        Guard::PlainInSecureDownload => {
            "Detected flash encryption and secure download mode enabled.\nFlashing plaintext binary \
             may brick your device! Use the force argument to override the warning."
        }
        Guard::PlainInReleaseMode => {
            "Detected flash encryption enabled and download manual encrypt disabled.\nData must be \
             encrypted appropriately before flashing.\nFlashing plaintext data may brick your \
             device! Use the force argument to override the warning."
        }
        Guard::EraseKeyManager => {
            "Flash encryption with Key Manager detected, erasing flash region 0x0-0x2000 is disabled \
             to protect key recovery info. Use the force argument to override, please use with \
             caution, otherwise it may brick your device!"
        }
        Guard::EraseEncrypted | Guard::EraseSecureBoot => {
            "Active security features detected, erasing flash is disabled as a safety measure. Use \
             the force argument to override, please use with caution, otherwise it may brick your \
             device!"
        }
    }
}

/// Why the chip does not encrypt what it writes.
pub(super) fn cannot_encrypt(reason: CannotEncrypt) -> String {
    match reason {
        CannotEncrypt::NoEncryption { chip } => {
            format!("{chip} does not support encrypted flashing. ")
        }
        CannotEncrypt::Rom { chip } => format!(
            "{chip} ROM bootloader does not support encrypted writes. Encrypted writing is only \
             supported by the flasher stub. Do not use --no-stub when writing encrypted data."
        ),
        CannotEncrypt::Forbidden => "This chip has encrypt functionality in UART download mode \
                                     disabled. This is the Flash Encryption configuration for \
                                     Production mode instead of Development mode."
            .to_owned(),
        CannotEncrypt::CryptConfig(_) | CannotEncrypt::NoKey | CannotEncrypt::Unaligned { .. } => {
            "Can't perform encrypted flash write, consult Flash Encryption documentation for more \
             information."
                .to_owned()
        }
    }
}

/// A connection that failed, in one sentence; also for a port that is one of several.
pub(super) fn failure(error: &LoaderError) -> String {
    let LoaderError::Connect { reason, chip, .. } = error else {
        return chain(error);
    };
    let reason = match reason {
        ConnectFailure::Silence => "No serial data received.".to_owned(),
        ConnectFailure::Garbage(first) => {
            format!("Invalid head of packet (0x{first:02X}): Possible serial noise or corruption.")
        }
        ConnectFailure::DownloadDisabled(None) => {
            "Invalid head of packet: Possible serial noise or corruption.".to_owned()
        }
        ConnectFailure::CutShort => "Packet content transfer stopped".to_owned(),
        ConnectFailure::Panic(cause) if cause.is_empty() => {
            "Guru Meditation Error detected.".to_owned()
        }
        ConnectFailure::Panic(cause) => format!("Guru Meditation Error detected ({cause})."),
        // The predecessor looks at no more than the boot mode.
        ConnectFailure::WrongBootMode(mode) | ConnectFailure::DownloadDisabled(Some(mode)) => {
            format!("Wrong boot mode detected ({mode:#x})! The chip needs to be in download mode.")
        }
        ConnectFailure::TxPathDown | ConnectFailure::UsbDownloadDisabled => {
            "Download mode successfully detected, but getting no sync \
                                       reply: The serial TX path seems to be down."
                .to_owned()
        }
        ConnectFailure::NoSyncReply => {
            "Serial data stream stopped: Possible serial noise or corruption.".to_owned()
        }
        ConnectFailure::StubRunning => {
            "A flasher stub is running; reset the chip into its ROM loader.".to_owned()
        }
    };
    let to = chip.map_or("Espressif device", |chip| chip.name);
    let rate = if error.may_need_higher_rate() {
        format!(
            "\nNote: Please set a higher baud rate if {to} doesn't connect (at least 115200 Bd is \
             recommended)."
        )
    } else {
        String::new()
    };
    format!(
        "Failed to connect to {to}: {reason}{rate}\nFor troubleshooting steps visit: \
         {TROUBLESHOOTING}"
    )
}

pub(super) fn not_open(port: &str, reason: &str, hint: &str) -> String {
    let hint = if hint.is_empty() {
        String::new()
    } else {
        format!("\nHint: {hint}\n")
    };
    format!(
        "Could not open {}, the port is busy or doesn't exist.\n({})\n{hint}",
        escape(port),
        escape(reason)
    )
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut shown = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if cause_text != shown {
            text.push_str(&format!(": {cause_text}"));
        }
        shown = cause_text;
        next = cause.source();
    }
    escape(&text).into_owned()
}

/// A sentence begins with a capital letter, unless its first word is a name of something.
pub(super) fn capitalized(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if word.chars().all(|c| c.is_ascii_lowercase()) => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
