//! The two commands of the secure download certificate.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use guru_image::{FirmwareError, ReadError};
use guru_link::block_on;
use guru_loader::{After, Error as LoaderError, NONCE_LEN};
use guru_wire::{Certificate, Grants};

use crate::context::{Context, Mode};
use crate::error::Error;
use crate::session::{self, Device};
use crate::ui::Report;

/// Read what a secure download certificate for this chip is signed for (ESP32-S31)
///
///     guru read-sdc-chip-info -o chip_info.bin
///     espsecure generate-sdc-certificate --chip-info chip_info.bin --enable-download-reuse ...
///
/// The file holds the chip info, which is made of MAC, session counter and a nonce, and behind it the
/// nonce, which is a new one each time. Nothing is changed in the chip. It works as well where eFuse has
/// disabled download mode, as long as it enables the certificate; not in Secure Download Mode.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReadSdcChipInfo {
    /// File to make
    #[arg(short, long, value_name = "FILE", default_value = "chip_info.bin")]
    output: PathBuf,
}

/// Have the chip check a secure download certificate, and open what it grants (ESP32-S31)
///
///     guru verify-sdc-certificate sdc_cert.bin
///     guru --before no-reset flash-id
///
/// A chip that takes the certificate starts its CPU anew: with all commands of its loader, with JTAG, or
/// booting from flash, as the certificate says, until it is reset. So it is not reset at the end, and the
/// next command must not reset it either. Nothing is burnt.
///
/// A damaged file, or one that is no certificate, is refused before the port is opened.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct VerifySdcCertificate {
    /// The certificate, with its nonce: 468 bytes
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl ReadSdcChipInfo {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| Error::Unexpected {
            what: "the system has no random numbers".to_owned(),
            source: error.into(),
        })?;
        let checks = begin(context);
        if context.mode == Mode::Esptool {
            context.globals.after.0 = After::NoReset;
        }
        session::with_device(context, |device, observer| {
            checks.check(device)?;
            let info = block_on(device.chip_info(&nonce, observer))?;
            fs::write(&self.output, [info, nonce].concat()).map_err(LoaderError::Sink)?;
            Ok(Report::ReadSdcChipInfo {
                file: self.output.clone(),
                chip_info: hex(&info),
                nonce: hex(&nonce),
            })
        })
    }
}

impl VerifySdcCertificate {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let bytes = read(&self.file)?;
        let grants = match (Certificate::parse(&bytes), context.mode) {
            (Ok(certificate), _) => certificate.grants(),
            // The chip is to say it.
            (Err(_), Mode::Esptool) => Grants::default(),
            (Err(error), Mode::Guru) => {
                return Err(Error::Usage(format!(
                    "'{}' is no secure download certificate: {error}",
                    self.file.display()
                )));
            }
        };
        let checks = begin(context);
        // A reset would take away what the certificate opens.
        context.globals.after.0 = After::NoReset;
        session::with_device(context, |device, observer| {
            checks.check(device)?;
            block_on(device.verify_certificate(&bytes, observer))?;
            Ok(Report::VerifySdcCertificate {
                jtag: grants.jtag,
                download: grants.download,
                spi_boot: grants.spi_boot,
            })
        })
    }
}

/// What the old name looks at once the chip is known.
struct Checks {
    mode: Mode,
    no_stub: bool,
}

/// The loader may know few commands: it is asked for no more than needed.
fn begin(context: &mut Context) -> Checks {
    context.identify = false;
    Checks {
        mode: context.mode,
        no_stub: context.globals.no_stub,
    }
}

impl Checks {
    fn check(&self, device: &Device) -> Result<(), LoaderError> {
        device.takes_certificates()?;
        if self.mode == Mode::Esptool && !self.no_stub {
            return Err(LoaderError::BadRequest(
                "only the ROM's loader takes certificates: write --no-stub".to_owned(),
            ));
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| {
        let name = path.display().to_string().into();
        Error::Firmware(FirmwareError::Read(ReadError::Io { name, source }))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
