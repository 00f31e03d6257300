//! The secure download certificate (SDC; RMA in the ROM): what it is signed for, and its check by the
//! chip.

use std::fmt;

use guru_chip::{CHIPS, CertificateRules};
use guru_link::Link;
use guru_wire::{Command, ErrorCode, Opcode, SecurityFlags};

use crate::channel::Fault;
use crate::{Error, Event, Observer, Session};

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 32;

/// Bytes of the answer with the chip info, and how many of them count.
const INFO_ANSWER: usize = 64;
const INFO_LEN: usize = 32;

/// Why a chip and a secure download certificate do not come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFailure {
    /// The chip has no such thing.
    NoSuchChip {
        /// Name of the chip.
        chip: &'static str,
    },
    /// Download mode is disabled, and of the loader there is what takes a certificate.
    OnlyCertificates {
        /// Command that the loader does not know then.
        opcode: Opcode,
    },
    /// eFuse has not enabled it.
    NotEnabled {
        /// Name of the field.
        field: &'static str,
    },
    /// In Secure Download Mode only a part of the chip info is answered.
    SecureDownload,
    /// The chip makes no chip info of what can be known outside.
    NoChipInfo,
    /// A step before the check was refused.
    Refused {
        /// The step.
        opcode: Opcode,
        /// Why.
        code: ErrorCode,
    },
    /// The chip has checked the certificate and not taken it.
    Rejected {
        /// What it answered.
        code: ErrorCode,
    },
    /// The chip does not answer any more. It was asked for JTAG, which eFuse may have given to HMAC.
    Silent {
        /// Name of the eFuse field.
        field: &'static str,
    },
}

impl fmt::Display for CertificateFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchChip { chip } => {
                let others = chips_with_certificate().collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "{chip} has no secure download certificate; there is one for {others}"
                )
            }
            Self::OnlyCertificates { .. } => f.write_str(
                "eFuse disables download mode, and the chip takes nothing but a secure download \
                 certificate",
            ),
            Self::NotEnabled { field } => write!(
                f,
                "eFuse does not enable the secure download certificate ({field})"
            ),
            Self::SecureDownload => f.write_str(
                "in Secure Download Mode the chip answers 20 of the 32 bytes of its chip info, which \
                 is of no use",
            ),
            Self::NoChipInfo => f.write_str(
                "the chip makes no chip info: eFuse has it made of something else than the MAC",
            ),
            Self::Refused { opcode, code } => write!(f, "the chip refused {opcode} ({code})"),
            Self::Rejected { .. } => f.write_str("the chip does not take the certificate"),
            Self::Silent { field } => write!(
                f,
                "the chip does not answer any more: the certificate asks for JTAG, and eFuse may \
                 leave that to HMAC ({field})"
            ),
        }
    }
}

impl From<CertificateFailure> for Error {
    fn from(failure: CertificateFailure) -> Self {
        Self::Certificate(failure)
    }
}

/// Names of the chips that take secure download certificates.
pub fn chips_with_certificate() -> impl Iterator<Item = &'static str> {
    let with = CHIPS.iter().filter(|chip| chip.efuse.certificate.is_some());
    with.map(|chip| chip.name)
}

impl<L: Link> Session<L> {
    /// Whether a chip of this family takes secure download certificates.
    ///
    /// # Errors
    ///
    /// [`CertificateFailure::NoSuchChip`].
    pub fn takes_certificates(&self) -> Result<(), Error> {
        self.certificate_rules().map(drop)
    }

    /// What a certificate for this chip and this nonce is signed for.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`], and what the link says.
    pub async fn chip_info(
        &mut self,
        nonce: &[u8; NONCE_LEN],
        observer: &mut dyn Observer,
    ) -> Result<[u8; INFO_LEN], Error> {
        self.certificate_rules()?;
        observer.event(Event::ReadingChipInfo);
        self.certificate_enabled()?;
        if self.device.secure_download {
            return Err(CertificateFailure::SecureDownload.into());
        }
        let begin = Command::SdcInfoBegin { nonce: true };
        self.certificate_step(&begin, 0).await?;
        let made = self
            .certificate_step(&Command::SdcInfoData { data: nonce }, 0)
            .await;
        if let Err(Error::Certificate(CertificateFailure::Refused { code, .. })) = made
            && code == ErrorCode::UNDEFINED
        {
            return Err(CertificateFailure::NoChipInfo.into());
        }
        made?;
        let answer = self
            .certificate_step(&Command::SdcInfoEnd, INFO_ANSWER)
            .await?;
        let mut info = [0; INFO_LEN];
        info.copy_from_slice(&answer[..INFO_LEN]);
        Ok(info)
    }

    /// Has the chip check a certificate: the contents of its file, as they are. When the chip takes it,
    /// its CPU starts anew, with what the certificate opens.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`], and what the link says.
    pub async fn verify_certificate(
        &mut self,
        certificate: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let rules = self.certificate_rules()?;
        observer.event(Event::VerifyingCertificate);
        self.certificate_enabled()?;
        let begin = Command::SdcVerifyBegin {
            nonce: true,
            size: u32::try_from(certificate.len()).unwrap_or(u32::MAX),
        };
        self.certificate_step(&begin, 0).await?;
        let data = Command::SdcVerifyData { data: certificate };
        self.certificate_step(&data, 0).await?;
        // Once: behind a certificate that was taken the chip knows nothing of it any more.
        let end = Command::SdcVerifyEnd;
        let timeout = self.channel.timeouts.command;
        let failure = match self.channel.exchange(&end, 0, timeout).await {
            Ok(_) => return Ok(()),
            Err(Fault::Link(error)) => return Err(error.into()),
            Err(Fault::Refused(code)) => CertificateFailure::Rejected { code },
            // The bits of what is asked for stand behind the header of 20 bytes, JTAG is the lowest.
            Err(Fault::Silence) if certificate.get(23).is_some_and(|bits| bits & 1 != 0) => {
                CertificateFailure::Silent {
                    field: rules.no_jtag,
                }
            }
            Err(fault) => {
                return Err(Error::NoAnswer {
                    doing: "verifying the certificate".to_owned(),
                    opcode: end.opcode(),
                    fault: match fault {
                        Fault::Silence => "complete",
                        _ => "undamaged",
                    },
                });
            }
        };
        Err(failure.into())
    }

    fn certificate_rules(&self) -> Result<&'static CertificateRules, Error> {
        let none = CertificateFailure::NoSuchChip {
            chip: self.chip.name,
        };
        Ok(self.chip.efuse.certificate.as_ref().ok_or(none)?)
    }

    /// What it means that the loader refuses the first command that any loader knows, apart from the one
    /// that takes certificates.
    pub(crate) fn or_only_certificates(&self, error: Error) -> Error {
        match error {
            Error::Refused { opcode, code, .. }
                if code == ErrorCode::INVALID_FORMAT && self.certificate_enabled().is_ok() =>
            {
                CertificateFailure::OnlyCertificates { opcode }.into()
            }
            error => error,
        }
    }

    /// The ROM tells whether it knows the commands.
    fn certificate_enabled(&self) -> Result<(), Error> {
        let field = self.certificate_rules()?.enabled;
        let known = self
            .security
            .is_some_and(|info| info.flags.has(SecurityFlags::DOWNLOAD_CERTIFICATE));
        if known {
            Ok(())
        } else {
            Err(CertificateFailure::NotEnabled { field }.into())
        }
    }

    async fn certificate_step(
        &mut self,
        command: &Command<'_>,
        answer: usize,
    ) -> Result<Vec<u8>, Error> {
        let timeout = self.channel.timeouts.command;
        let doing = "verifying the certificate";
        match self.channel.query(command, answer, timeout, doing).await {
            Ok(answer) => Ok(answer.data),
            Err(Error::Refused { opcode, code, .. }) => {
                Err(CertificateFailure::Refused { opcode, code }.into())
            }
            Err(error) => Err(error),
        }
    }
}
