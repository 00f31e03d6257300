//! The flasher stub: a program in the chip's RAM that does the loader's work, faster and with more
//! commands. It is started where a job pays for its upload, has to prove itself before anything is
//! changed through it, and is put up again after each reset of the chip. Where it fails, the ROM's
//! loader goes on.

mod clock;
mod proof;
mod read;
mod sectors;
mod upload;
mod worth;
mod write;

pub(crate) use worth::SMALL_WRITE;

use std::sync::Arc;

use guru_link::Link;
use guru_stub::{Kind, Stub};
use guru_wire::{Opcode, capability};

use crate::{CannotEncrypt, Error, Event, NoStub, Notice, Observer, Session, UsbMode};

/// Largest answer of a stub: a packet of READ_FLASH, with room for its frame's damage.
const MAX_ANSWER: usize = 4096 + 64;

/// Requests on their way to a stub with eight slots.
const SLOTS_AHEAD: u32 = 6;

/// How often a stub is put up until it is given up.
const ATTEMPTS: u32 = 2;

/// What a session knows of its stub.
#[derive(Debug, Default)]
pub(crate) struct StubState {
    /// The one for this chip, when a stub is to be used at all.
    stub: Option<Arc<Stub>>,
    /// Commands go to it.
    running: Option<Running>,
    /// It ran, and is put up again when the chip was reset.
    wanted: bool,
    /// Whether the CPU can run faster under it.
    clock: clock::Clock,
    /// A sector was written through it, and is right.
    writes: bool,
    /// Why it is not used, once that was told.
    refused: Option<NoStub>,
    /// What of the present job the ROM cannot do.
    need: Option<Need>,
}

/// What only a stub can do: where it fails, so does the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Flash beyond what the ROM's addresses reach, up to here: to the ROM it would begin again at 0.
    Addresses {
        /// Behind the last byte.
        end: u64,
    },
    /// Encrypted writes (ESP32).
    Encryption,
}

/// A stub that answers.
#[derive(Debug, Clone, Copy)]
struct Running {
    kind: Kind,
    /// What goes beyond the base protocol ([`capability`]).
    granted: u32,
}

impl Running {
    fn grants(self, bit: u32) -> bool {
        self.granted & bit != 0
    }
}

/// Why a stub did not come up, or does not stay.
enum Failed {
    /// The ROM's loader can go on.
    Stub(NoStub),
    /// It cannot.
    Session(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl<L: Link> Session<L> {
    /// Whether commands go to a stub.
    pub(crate) fn stub_runs(&self) -> bool {
        self.stub.running.is_some()
    }

    /// Whether a stub may still come to do the work.
    pub(crate) fn stub_may_run(&self) -> bool {
        self.stub.stub.is_some() && self.stub.refused.is_none()
    }

    /// Takes the stub for this chip from where it comes, so that one that is damaged is refused before
    /// anything is done.
    pub(crate) fn choose_stub(&mut self) -> Result<(), Error> {
        if let Some(source) = &self.options.stub {
            let stub = source.stub(self.chip, self.revision)?;
            self.stub.stub = stub.map(Arc::new);
        }
        Ok(())
    }

    /// Has a stub do the work from now on, if one is to be used and can be. `false`: the ROM does it.
    pub(crate) async fn engage_stub(&mut self, observer: &mut dyn Observer) -> Result<bool, Error> {
        if self.stub_runs() {
            return Ok(true);
        }
        if self.options.stub.is_none() || self.stub.refused.is_some() {
            return Ok(false);
        }
        if let Some(reason) = self.stub_impossible().await? {
            self.refuse_stub(reason, observer);
            return Ok(false);
        }
        self.end_register_read().await?;
        let mut attempts = 0;
        let started = self
            .insist(observer, async |session, observer| {
                attempts += 1;
                match session.start_stub(observer).await {
                    Ok(()) => Ok(Ok(())),
                    Err(Failed::Stub(reason)) => Ok(Err(reason)),
                    // Once may be the line.
                    Err(Failed::Session(
                        Error::NoAnswer { .. } | Error::Refused { .. } | Error::LineTooBad { .. },
                    )) if attempts >= ATTEMPTS => Ok(Err(match session.stub_runs() {
                        true => NoStub::Silent,
                        false => NoStub::NotUploaded,
                    })),
                    Err(Failed::Session(error)) => Err(error),
                }
            })
            .await?;
        match started {
            Ok(()) => {
                self.stub.wanted = true;
                Ok(true)
            }
            Err(reason) => {
                self.give_up_stub(reason, observer).await?;
                Ok(false)
            }
        }
    }

    /// Puts the stub up again after a reset, if it ran before.
    pub(crate) async fn engage_stub_again(
        &mut self,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if !self.stub.wanted {
            return Ok(());
        }
        match self.start_stub(observer).await {
            Ok(()) => Ok(()),
            Err(Failed::Stub(reason)) => Box::pin(self.give_up_stub(reason, observer)).await,
            Err(Failed::Session(error)) => Err(error),
        }
    }

    /// Has the stub come for what the ROM cannot do.
    pub(crate) async fn need_stub(
        &mut self,
        need: Need,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if self.stub_may_satisfy(need) && self.engage_stub(observer).await? {
            let granted = match need {
                Need::Addresses { .. } => self.stub_reaches_all(),
                Need::Encryption => self.stub_runs(),
            };
            if granted {
                self.stub.need = Some(need);
                return Ok(());
            }
        }
        Err(self.unsatisfied(need))
    }

    fn stub_may_satisfy(&self, need: Need) -> bool {
        // Of Espressif's it is not known which version it is, and the first one has neither.
        !self.device.secure_download
            && self.stub_may_run()
            && self
                .stub
                .stub
                .as_ref()
                .is_some_and(|stub| stub.kind == Kind::Guru)
            && match need {
                Need::Addresses { .. } => self.chip.flash.address_32bit,
                Need::Encryption => true,
            }
    }

    /// Whether a stub reaches all of a large flash.
    pub(crate) fn stub_may_reach_all(&self) -> bool {
        self.stub_may_satisfy(Need::Addresses { end: 0 })
    }

    /// Whether the stub that runs does.
    pub(crate) fn stub_reaches_all(&self) -> bool {
        let running = self.stub.running;
        running.is_some_and(|stub| stub.grants(capability::ADDRESS_32BIT))
    }

    /// Whether a stub may encrypt what it writes.
    pub(crate) fn stub_may_encrypt(&self) -> bool {
        self.stub_may_satisfy(Need::Encryption)
    }

    /// A job begins: so far the ROM can do it.
    pub(crate) fn need_no_stub(&mut self) {
        self.stub.need = None;
    }

    /// Whether the job cannot be left to the ROM.
    pub(crate) fn needs_stub(&self) -> bool {
        self.stub.need.is_some()
    }

    fn unsatisfied(&self, need: Need) -> Error {
        let chip = self.chip.name;
        match need {
            Need::Addresses { end } => Error::BeyondAddresses { end },
            Need::Encryption => Error::CannotEncrypt(CannotEncrypt::Rom { chip }),
        }
    }

    /// Requests that the stub takes before it has answered the first. `None`: none runs.
    pub(crate) fn stub_requests_ahead(&self) -> Option<u32> {
        let running = self.stub.running?;
        Some(if running.grants(capability::SMALL_SLOTS) {
            SLOTS_AHEAD
        } else {
            1
        })
    }

    /// What keeps a stub from running on this chip, in its mode and over this port.
    async fn stub_impossible(&mut self) -> Result<Option<NoStub>, Error> {
        let rom = &self.chip.rom;
        Ok(if self.device.secure_download {
            Some(NoStub::SecureDownload)
        } else if !self.answers(Opcode::MemBegin) {
            Some(NoStub::NoRam)
        } else if self.stub.stub.is_none() {
            Some(NoStub::NoneForChip)
        } else if self.device.usb_mode == Some(UsbMode::Otg) {
            // The driver of that port is the ROM's, and lives on its interrupts.
            Some(NoStub::UsbOtg)
        } else if rom.ram_needs_insecure_boot
            && rom.start_pointer.is_none()
            && self.secure_boot().await?
        {
            Some(NoStub::SecureBoot)
        } else {
            None
        })
    }

    /// The ROM's loader does the rest: resets the chip into it, and says why, once.
    pub(crate) async fn give_up_stub(
        &mut self,
        reason: NoStub,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        self.refuse_stub(reason, observer);
        self.leave_stub(observer).await?;
        match self.stub.need {
            Some(need) => Err(self.unsatisfied(need)),
            None => Ok(()),
        }
    }

    fn refuse_stub(&mut self, reason: NoStub, observer: &mut dyn Observer) {
        if self.stub.refused.is_none() {
            observer.event(Event::Notice(Notice::NoStub { reason }));
        }
        self.stub.refused = Some(reason);
    }

    /// Back to the ROM's loader, by a reset, where a stub runs or may run.
    pub(crate) async fn leave_stub(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        self.stub.wanted = false;
        match Box::pin(self.reconnect(observer)).await {
            Err(Error::Link(error)) if !error.is_lost() => Err(error.into()),
            Err(_) => Box::pin(self.recover(observer)).await,
            Ok(()) => Ok(()),
        }
    }

    /// The chip was reset: its ROM answers again.
    pub(crate) fn stub_is_gone(&mut self) {
        self.stub.running = None;
        self.channel.expect_stub(None);
    }

    /// Whether the stub that runs knows a command.
    pub(crate) fn stub_answers(&self, opcode: Opcode) -> Option<bool> {
        let running = self.stub.running?;
        Some(match opcode {
            Opcode::ReadFlashSlow
            | Opcode::GetSecurityInfo
            | Opcode::SdcVerifyBegin
            | Opcode::SdcVerifyData
            | Opcode::SdcVerifyEnd
            | Opcode::SdcInfoBegin
            | Opcode::SdcInfoData
            | Opcode::SdcInfoEnd => false,
            Opcode::Capabilities => running.kind == Kind::Guru,
            Opcode::DigestMap => running.grants(capability::DIGEST_MAP),
            _ => true,
        })
    }
}
