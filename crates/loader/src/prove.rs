//! Proof that a file is in flash, and repair of what is not.

use std::ops::Range;

use guru_link::Link;
use guru_plan::{Form, SECTOR, Stream, sector_floor};
use md5::{Digest, Md5};

use crate::digest::{Placed, hex};
use crate::job::Target;
use crate::progress::Meter;
use crate::stream::{Erasure, Payload};
use crate::{Error, Event, Notice, Observer, Proof, Session, Unverified, Verify};

/// Rounds of repair on a line that damages data.
const REPAIRS: u32 = 12;

impl<L: Link> Session<L> {
    /// Proves that a file is in flash, and mends what is not. `false`: it could not be proved.
    pub(crate) async fn prove(
        &mut self,
        target: &Target,
        verify: Verify,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let mut verify = verify;
        if verify == Verify::Rom && !target.encrypt && !self.needs_stub() {
            if self.stub_runs() {
                self.leave_stub(observer).await?;
            }
            if !self.has_digest() {
                verify = Verify::ReadBack;
            }
        }
        let reason = if verify == Verify::Never {
            Some(Unverified::NotAsked)
        } else if target.encrypt {
            Some(Unverified::Encrypted)
        } else if self.device.secure_download {
            Some(Unverified::SecureDownload)
        } else if !self.has_digest() && verify != Verify::ReadBack {
            Some(Unverified::NoDigest)
        } else {
            None
        };
        if reason == Some(Unverified::Encrypted) && self.has_digest() {
            self.insist(observer, async |session, _| {
                session.check_encrypted(target).await
            })
            .await?;
        }
        if let Some(reason) = reason {
            observer.event(Event::Notice(Notice::NotVerified { reason }));
            return Ok(false);
        }
        let (name, address, length) = (target.name.clone(), target.address, target.length);
        observer.event(Event::Verifying {
            name: name.clone(),
            address,
            length,
        });
        let read_back = verify == Verify::ReadBack;
        let proof = match (self.has_digest(), read_back) {
            (true, false) => Proof::Digest,
            (true, true) => Proof::DigestAndReadBack,
            (false, _) => Proof::ReadBack,
        };
        if proof != Proof::ReadBack {
            self.insist(observer, async |session, observer| {
                session.mend_until_proved(target, meter, observer).await
            })
            .await?;
        }
        if proof != Proof::Digest {
            self.insist(observer, async |session, observer| {
                session.mend_until_read_back(target, meter, observer).await
            })
            .await?;
        }
        observer.event(Event::Verified {
            name,
            address,
            length,
            proof,
        });
        Ok(true)
    }

    /// What can be known of flash that was written encrypted, without the key: that it holds
    /// something, and not the plain text.
    async fn check_encrypted(&mut self, target: &Target) -> Result<(), Error> {
        let placed = target.placed();
        match self.unencrypted(placed, &placed.range()).await? {
            None => Ok(()),
            Some(found) => Err(Error::NotEncrypted {
                file: target.name.clone(),
                address: target.address,
                found,
            }),
        }
    }

    /// What flash holds that cannot be the encrypted contents.
    pub(crate) async fn unencrypted(
        &mut self,
        placed: Placed<'_>,
        range: &Range<u32>,
    ) -> Result<Option<&'static str>, Error> {
        let found = self.flash_digest_surely(range).await?;
        Ok(if found == placed.digest(range)? {
            Some("the plain text")
        } else if found == erased_digest(range.len()) {
            Some("nothing")
        } else {
            None
        })
    }

    /// Reads everything back, and writes sectors that differ again.
    async fn mend_until_read_back(
        &mut self,
        target: &Target,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let placed = target.placed();
        let mut left = target.range();
        let mut rounds = 0;
        while let Some((at, ..)) = self.first_difference(placed, &left, observer).await? {
            if !self.may_repair(target, &mut rounds) {
                return Err(Error::VerifyFailed {
                    file: target.name.clone(),
                    address: at,
                    expected: String::new(),
                    found: String::new(),
                });
            }
            let sector = sector_floor(at).max(target.start);
            left.start = sector;
            let range = sector..left.end.min(sector_floor(at).saturating_add(SECTOR));
            self.write_again(placed, range, meter, observer).await?;
        }
        Ok(())
    }

    async fn mend_until_proved(
        &mut self,
        target: &Target,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let placed = target.placed();
        let whole = target.range();
        let expected = placed.digest(&whole)?;
        let mut rounds = 0;
        loop {
            let Some(found) = self.differs(&whole, expected).await? else {
                return Ok(());
            };
            if !self.may_repair(target, &mut rounds) {
                return Err(Error::VerifyFailed {
                    file: target.name.clone(),
                    address: target.address,
                    expected: hex(expected),
                    found: hex(found),
                });
            }
            for range in self.bad_ranges(placed, whole.clone()).await? {
                self.write_again(placed, range, meter, observer).await?;
            }
        }
    }

    /// Whether another round of repair is worth it, and counts it. On a clean line a second try
    /// tells a passing fault from a worn-out flash, and what was believed to be there was not.
    fn may_repair(&self, target: &Target, rounds: &mut u32) -> bool {
        let limit = match &target.previous {
            _ if self.channel.faults() > 0 => REPAIRS,
            Some(_) => 0,
            None => 1,
        };
        *rounds += 1;
        *rounds <= limit
    }

    async fn write_again(
        &mut self,
        placed: Placed<'_>,
        range: Range<u32>,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let payload = Payload {
            placed,
            packed: None,
            encrypt: false,
        };
        let stream = &Stream {
            range,
            form: Form::Raw,
        };
        self.write_stream(payload, stream, &mut Erasure::default(), meter, observer)
            .await
    }
}

/// Digest of erased flash.
fn erased_digest(length: usize) -> [u8; 16] {
    let piece = [0xFF; 4096];
    let mut digest = Md5::new();
    for _ in 0..length / piece.len() {
        digest.update(piece);
    }
    digest.update(&piece[..length % piece.len()]);
    digest.finalize().into()
}
