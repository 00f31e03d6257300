//! Files against flash.

use guru_image::{FlashParameters, Outcome, patch};
use guru_link::Link;
use md5::{Digest, Md5};

use crate::digest::{Placed, hex};
use crate::{
    Error, Event, FilePart, FlashSizeOption, Lacking, NotInSecureDownload, Notice, Observer, Proof,
    Session, VerifyRequest,
};

/// Differing bytes that are told.
const MAX_DIFFERENCES: usize = 1 << 20;

impl<L: Link> Session<L> {
    /// Compares files with flash, byte for byte in effect: by digest, or by reading back where the
    /// ROM has none. All files are looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Differs`] when at least one differs, [`Error::SecureDownload`],
    /// [`Error::DoesNotFit`], and what the link and the chip say.
    pub async fn verify_flash(
        &mut self,
        mut request: VerifyRequest,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if self.device.secure_download {
            return Err(NotInSecureDownload::doing("verifying flash"));
        }
        if self.flash_encryption().await? {
            observer.event(Event::Notice(Notice::ReadsEncrypted));
        }
        self.need_no_stub();
        request.files.sort_by_key(|file| file.address);
        let flash = self.attach_sized(&request.flash, observer).await?;
        self.tell_size(flash.size.min(u64::from(u32::MAX)) as u32)
            .await?;
        let label = match &request.flash.size {
            FlashSizeOption::Keep => None,
            FlashSizeOption::Detect => flash
                .detected
                .and_then(|bytes| u32::try_from(bytes).ok())
                .and_then(|bytes| self.chip.flash.size_by_bytes(bytes))
                .map(|size| size.label.to_owned()),
            FlashSizeOption::Set(label) => Some(label.clone()),
        };
        let parameters = FlashParameters::new(
            &self.chip.flash,
            request.mode,
            request.frequency.as_deref(),
            label.as_deref(),
        )
        .map_err(|error| self.lacks(Lacking::Parameter(error)))?;
        for file in &request.files {
            let (length, end) = (u64::from(file.contents.len()), file.end());
            if end > flash.size {
                return Err(Error::DoesNotFit {
                    file: file.name.clone(),
                    length,
                    address: file.address,
                    flash: flash.size,
                });
            }
        }
        let end = request.files.iter().map(FilePart::end).max();
        self.reach(end.unwrap_or(0), observer).await?;
        if !self.has_digest() {
            let all: u64 = request
                .files
                .iter()
                .map(|file| u64::from(file.contents.len()))
                .sum();
            self.engage_stub_to_read(all.min(u64::from(u32::MAX)) as u32, observer)
                .await?;
        }
        let mut failed = 0;
        for file in &request.files {
            let step = async |session: &mut Self, observer: &mut dyn Observer| {
                session
                    .verify_file(file, parameters, request.diff, observer)
                    .await
            };
            if !self.insist(observer, step).await? {
                failed += 1;
            }
        }
        self.end_register_read().await?;
        if failed > 0 {
            return Err(Error::Differs {
                failed,
                files: request.files.len(),
            });
        }
        Ok(())
    }

    async fn verify_file(
        &mut self,
        file: &FilePart,
        parameters: FlashParameters,
        diff: bool,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let (name, address, length) = (file.name.clone(), file.address, file.contents.len());
        if length == 0 {
            observer.event(Event::Notice(Notice::EmptyFile { file: name }));
            return Ok(true);
        }
        let patched = patch(file.contents.clone(), address, &self.chip.image, parameters)?;
        if let Outcome::Set {
            word,
            changed: true,
            digest,
        } = patched.outcome
        {
            observer.event(Event::HeaderPatched {
                parameters: word,
                digest_updated: digest,
            });
        }
        observer.event(Event::Verifying {
            name: name.clone(),
            address,
            length,
        });
        let placed = Placed {
            start: address,
            contents: &patched.contents,
        };
        let range = placed.range();
        let mut differences = Vec::new();
        let mismatch = if self.has_digest() {
            // The digest command is known to work on multiples of 4.
            let whole = range.start..range.end - length % 4;
            let tail = whole.end..range.end;
            let expected = placed.digest(&whole)?;
            let found = if whole.is_empty() {
                None
            } else {
                self.differs(&whole, expected).await?
            };
            match found {
                Some(found) => Some((hex(expected), hex(found))),
                None if tail.is_empty() => None,
                None => {
                    differences = self.differences(placed, &tail, 3, observer).await?;
                    (!differences.is_empty()).then(|| {
                        let mut bytes = vec![0; tail.len()];
                        for (at, flash, _) in &differences {
                            bytes[(at - tail.start) as usize] = *flash;
                        }
                        (hex(expected), hex(Md5::digest(bytes).into()))
                    })
                }
            }
        } else {
            let limit = if diff { MAX_DIFFERENCES } else { 1 };
            // A byte that the line has changed looks as flash that differs: it does when it does twice.
            for _ in 0..2 {
                differences = self.differences(placed, &range, limit, observer).await?;
                if differences.is_empty() {
                    break;
                }
            }
            (!differences.is_empty()).then(Default::default)
        };
        let Some((expected, found)) = mismatch else {
            let proof = if self.has_digest() {
                Proof::Digest
            } else {
                Proof::ReadBack
            };
            observer.event(Event::Verified {
                name,
                address,
                length,
                proof,
            });
            return Ok(true);
        };
        if diff {
            if self.has_digest() {
                differences = self
                    .differences(placed, &range, MAX_DIFFERENCES, observer)
                    .await?;
            }
            let count = differences.len();
            observer.event(Event::Differences {
                count,
                bytes: differences,
            });
        }
        observer.event(Event::Mismatch {
            name,
            address,
            length,
            expected,
            found,
        });
        Ok(false)
    }
}
