//! What the predecessor says about secure download certificates.

use guru_loader::{CertificateFailure, Error, Event, chips_with_certificate};
use guru_wire::{ErrorCode, Opcode};

/// The command that reads the chip info.
pub const CHIP_INFO: &str = "read-sdc-chip-info";

/// Whether a command has to do with them.
pub fn is_about(command: &str) -> bool {
    matches!(command, CHIP_INFO | "verify-sdc-certificate")
}

/// What is said when it begins.
pub fn begins(event: &Event) -> &'static str {
    match event {
        Event::ReadingChipInfo => "Reading SDC chip info ...",
        _ => "Verifying SDC certificate ...",
    }
}

/// What went wrong; `None`: nothing special.
pub fn fatal(command: &str, chip: &str, secure_download: bool, error: &Error) -> Option<String> {
    let failure = match error {
        Error::Certificate(failure) => failure,
        Error::BadRequest(_) => {
            return Some(format!(
                "The '{command}' command must be run with '--no-stub'. It communicates with the ROM \
                 bootloader only and a locked SDC device rejects the flasher stub. Re-run with \
                 '--no-stub'."
            ));
        }
        _ => return None,
    };
    Some(match failure {
        CertificateFailure::NoSuchChip { .. } => {
            let others: Vec<_> = chips_with_certificate().collect();
            format!(
                "The '{command}' command is only supported on {}, but the connected chip is {chip}.",
                others.join(", ")
            )
        }
        CertificateFailure::NotEnabled { .. } => {
            // It goes on to the last of the commands that make the chip info.
            let opcode = match command {
                CHIP_INFO => Opcode::SdcInfoEnd,
                _ => Opcode::SdcVerifyBegin,
            };
            unsupported(opcode as u8, secure_download)
        }
        CertificateFailure::OnlyCertificates { opcode } => unsupported(*opcode as u8, false),
        CertificateFailure::Refused { opcode, code } => refused(*opcode, *code),
        CertificateFailure::Rejected { code } => refused(Opcode::SdcVerifyEnd, *code),
        CertificateFailure::Silent { .. } => {
            "SDC rejected the JTAG re-enable certificate: the device did not respond after the \
             certificate was presented. This is expected when the RE_ENABLE_JTAG_SOURCE eFuse is set \
             to 1 (HMAC): HMAC, not the SDC, is then the source allowed to re-enable JTAG, so the SDC \
             cannot re-open JTAG.\nTo re-enable JTAG through the SDC, RE_ENABLE_JTAG_SOURCE must be 0 \
             (the default). If it is 1, use the HMAC JTAG-enable workflow instead. (Certificates that \
             do not request JTAG, e.g. download-reuse or force-spi-boot, are unaffected.)"
                .to_owned()
        }
        CertificateFailure::SecureDownload | CertificateFailure::NoChipInfo => return None,
    })
}

fn unsupported(opcode: u8, secure_download: bool) -> String {
    if secure_download {
        return format!("This command ({opcode:#x}) is not supported in Secure Download Mode");
    }
    format!(
        "This command ({opcode:#x}) is not supported in the current download mode. If download mode is \
         disabled and the Secure Debug Controller (SDC) is enabled, re-open download mode by verifying \
         a download-reuse certificate ('esptool verify-sdc-certificate'), then reconnect with \
         '--before no-reset'."
    )
}

fn refused(opcode: Opcode, code: ErrorCode) -> String {
    let what = match opcode {
        Opcode::SdcVerifyBegin => "begin SDC certificate verification",
        Opcode::SdcVerifyData => "write SDC certificate data",
        Opcode::SdcVerifyEnd => "verify the SDC certificate",
        Opcode::SdcInfoBegin => "start SDC generation",
        Opcode::SdcInfoData => "write SDC generation data",
        _ => "finish SDC generation",
    };
    let meaning = match code {
        ErrorCode::UNDEFINED => "Undefined errors",
        ErrorCode::INVALID_FORMAT => "The format of the received message is invalid",
        ErrorCode::CHECKSUM => "Checksum error",
        _ => "Unknown result",
    };
    format!(
        "Failed to {what} (result was {:04X}: {meaning})",
        code.number()
    )
}
