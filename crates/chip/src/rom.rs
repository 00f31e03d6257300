//! Look-ups in what is known of the mask ROM.

use crate::Revision;
use crate::model::*;

impl Rom {
    /// Whether the loader answers this opcode; in Secure Download Mode far fewer are left.
    #[must_use]
    pub fn answers(&self, opcode: u8, secure_download: bool) -> bool {
        let commands = if secure_download {
            self.secure_commands
        } else {
            self.commands
        };
        commands.contains(&opcode)
    }

    /// Whether BEGIN has the fifth word, by which the loader encrypts what it writes.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.begin_words > 4
    }

    /// The boot log of the ROM in chips of this revision.
    #[must_use]
    pub fn banner(&self, revision: Revision) -> Option<&'static Banner> {
        self.banners
            .iter()
            .rev()
            .find(|banner| banner.min_revision <= revision.0)
    }

    /// The usual boot mode of the ROM in chips of this revision: into the serial loader, or into
    /// flash. The first of those listed counts; entries for a later revision take over.
    #[must_use]
    pub fn boot_mode(&self, revision: Revision, download: bool) -> Option<&'static BootMode> {
        let fits = |mode: &&BootMode| mode.download == download && mode.min_revision <= revision.0;
        let newest = self
            .boot_modes
            .iter()
            .filter(fits)
            .map(|mode| mode.min_revision)
            .max()?;
        self.boot_modes
            .iter()
            .filter(fits)
            .find(|mode| mode.min_revision == newest)
    }

    /// What the number of a reset means on this chip.
    #[must_use]
    pub fn reset_reason(&self, code: u8) -> Option<&'static ResetReason> {
        self.reset_reasons.iter().find(|reason| reason.code == code)
    }

    /// The name that the ROM in chips of this revision prints for a strapping value.
    #[must_use]
    pub fn boot_mode_of(&self, revision: Revision, strap: u16) -> Option<&'static BootMode> {
        self.boot_modes
            .iter()
            .filter(|mode| mode.strap == strap && mode.min_revision <= revision.0)
            .max_by_key(|mode| mode.min_revision)
    }
}

impl Chip {
    /// What programs in RAM find in the mask ROM of chips of this revision, where that is known.
    #[must_use]
    pub fn rom_code(&self, revision: Revision) -> Option<&'static RomCode> {
        self.rom_code
            .iter()
            .rev()
            .find(|code| code.min_revision <= revision.0)
    }
}

impl RomData {
    /// What the word at [`RomData::eco_version`] says in chips of this revision.
    #[must_use]
    pub fn eco(&self, revision: Revision) -> Option<u32> {
        self.eco_versions
            .iter()
            .rev()
            .find(|(since, _)| *since <= revision.0)
            .map(|(_, version)| *version)
    }
}
