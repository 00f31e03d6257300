//! Otadata: by which ESP-IDF's bootloader chooses an application.
//!
//! Two sectors hold an entry each: a sequence number, and what is known of the application. The
//! valid entry with the higher number counts; the number less 1, modulo the number of OTA slots,
//! is the slot. As a new choice is written into the other sector, one of them is valid at any time,
//! also when the power fails.

use thiserror::Error;

use crate::{Kind, Partition, PartitionTable};

/// Bytes of a sector, one for each entry.
pub const SECTOR: u32 = 0x1000;

/// Bytes of an entry (`esp_ota_select_entry_t`).
pub const ENTRY_LEN: usize = 32;

/// An entry: which application is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectEntry {
    /// Sequence number; 0xffffffff: none.
    pub sequence: u32,
    /// A label that nothing reads.
    pub label: [u8; 20],
    /// What is known of the application.
    pub state: OtaState,
    /// CRC-32 of the sequence number.
    pub crc: u32,
}

/// What is known of an application (`esp_ota_img_states_t`). It counts where the bootloader has
/// been built with rollback; without, only invalid and aborted ones are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtaState {
    /// It was written and has not run; the bootloader makes it pending.
    New,
    /// It runs for the first time and has to confirm itself; if it is still so at the next start,
    /// the bootloader makes it aborted.
    PendingVerify,
    /// It has confirmed itself.
    Valid,
    /// It has said that it does not work; it is not started any more.
    Invalid,
    /// It has not confirmed itself; it is not started any more.
    Aborted,
    /// Nothing is known; it is started.
    Undefined,
    /// A number without meaning.
    Unknown(u32),
}

impl OtaState {
    const CODES: [(Self, u32, &'static str); 6] = [
        (Self::New, 0, "new"),
        (Self::PendingVerify, 1, "pending-verify"),
        (Self::Valid, 2, "valid"),
        (Self::Invalid, 3, "invalid"),
        (Self::Aborted, 4, "aborted"),
        (Self::Undefined, u32::MAX, "undefined"),
    ];

    /// What a number means.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        let known = Self::CODES.iter().find(|(_, known, _)| *known == code);
        known.map_or(Self::Unknown(code), |(state, ..)| *state)
    }

    /// Its number.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Unknown(code) => code,
            known => Self::CODES
                .iter()
                .find(|(state, ..)| *state == known)
                .map_or(u32::MAX, |(_, code, _)| *code),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let known = Self::CODES.iter().find(|(state, ..)| *state == self);
        known.map_or("unknown", |(.., name)| *name)
    }
}

impl SelectEntry {
    /// An entry as the bootloader accepts it.
    #[must_use]
    pub fn new(sequence: u32, state: OtaState) -> Self {
        Self {
            sequence,
            label: [0xFF; 20],
            state,
            crc: crc(sequence),
        }
    }

    /// Reads the bytes of an entry.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; ENTRY_LEN]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut label = [0; 20];
        label.copy_from_slice(&bytes[4..24]);
        Self {
            sequence: word(0),
            label,
            state: OtaState::from_code(word(24)),
            crc: word(28),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..4].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[4..24].copy_from_slice(&self.label);
        bytes[24..28].copy_from_slice(&self.state.code().to_le_bytes());
        bytes[28..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.to_bytes() == [0xFF; ENTRY_LEN]
    }

    /// Whether the CRC is that of the sequence number.
    #[must_use]
    pub fn crc_matches(&self) -> bool {
        self.crc == crc(self.sequence)
    }

    /// Whether it says that nothing shall be started by it: no number, or an application that does
    /// not work (`bootloader_common_ota_select_invalid`).
    #[must_use]
    pub fn is_ruled_out(&self) -> bool {
        self.sequence == u32::MAX || matches!(self.state, OtaState::Invalid | OtaState::Aborted)
    }

    /// Whether the bootloader goes by it (`bootloader_common_ota_select_valid`).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.is_ruled_out() && self.crc_matches()
    }

    /// The OTA slot that it chooses, when there are so many of them.
    #[must_use]
    pub fn slot(&self, slots: u8) -> Option<u8> {
        let slot = self.sequence.wrapping_sub(1).checked_rem(slots.into())?;
        u8::try_from(slot).ok()
    }
}

/// CRC-32 as the ROM's `crc32_le` makes it of the sequence number, begun with 0xffffffff, which
/// the ROM inverts.
fn crc(sequence: u32) -> u32 {
    let register = sequence.to_le_bytes().iter().fold(0, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            (register >> 1) ^ (0xEDB8_8320 & (register & 1).wrapping_neg())
        })
    });
    !register
}

/// Both entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtaData {
    /// The entries, by sector.
    pub entries: [SelectEntry; 2],
}

/// Why otadata cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OtaError {
    /// The table has no otadata.
    #[error(
        "the partition table has no otadata (data, ota); such a device always starts the same application"
    )]
    NoOtaData,
    /// The table has no OTA slots.
    #[error("the partition table has no OTA slots (app, ota_0 ...)")]
    NoSlots,
    /// The bytes end before the second entry.
    #[error("otadata end at 0x{length:x}; the second entry stands at 0x1000")]
    Truncated {
        /// Number of bytes.
        length: usize,
    },
    /// What was named is neither a slot nor the factory application.
    #[error("'{name}' is no application that otadata can choose; there are {}", choices.join(", "))]
    NoSuchSlot {
        /// What was named.
        name: String,
        /// What could be.
        choices: Vec<String>,
    },
    /// The slots are not numbered from 0 without gaps.
    #[error(
        "ota_{missing} is missing in the partition table: with gaps between slots it is not certain what is started"
    )]
    Gap {
        /// The first number that is missing.
        missing: u8,
    },
    /// The sequence numbers are used up.
    #[error("the sequence number 0x{sequence:x} has no successor; erase otadata first")]
    Exhausted {
        /// The number.
        sequence: u32,
    },
}

/// What otadata can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What is started when otadata choose nothing: the factory application, or the first slot.
    Factory,
    /// An OTA slot.
    Slot(u8),
}

/// What to do so that something is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Nothing: it is chosen already.
    Nothing,
    /// Erase one sector and write one entry; the other sector is as it was.
    Write {
        /// 0 or 1.
        sector: usize,
        /// The entry.
        entry: SelectEntry,
    },
    /// Erase both sectors, in this order: what is chosen stays so until the last moment.
    Erase([usize; 2]),
}

/// The application that is started next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextBoot<'t> {
    /// The partition; `None`: the bootloader tries all of them in turn.
    pub partition: Option<&'t Partition>,
    /// By what.
    pub why: Why,
}

/// By what the bootloader chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The table has no otadata, or no OTA slots.
    NoChoice,
    /// Neither entry says anything.
    Empty,
    /// An entry says so.
    Entry(Selected),
    /// An entry has a number and the wrong CRC, and none is valid.
    Broken,
}

/// The entry that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Its sector, 0 or 1.
    pub sector: usize,
    /// The OTA slot.
    pub slot: u8,
    /// What is known of the application.
    pub state: OtaState,
}

impl OtaData {
    /// Both sectors erased: nothing is chosen.
    pub const ERASED: Self = Self {
        entries: [SelectEntry {
            sequence: u32::MAX,
            label: [0xFF; 20],
            state: OtaState::Undefined,
            crc: u32::MAX,
        }; 2],
    };

    /// Reads the contents of the partition, or as much of them as the second entry needs.
    ///
    /// # Errors
    /// They are shorter.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OtaError> {
        let entry = |at: usize| bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        match (entry(0), entry(SECTOR as usize)) {
            (Some(first), Some(second)) => Ok(Self {
                entries: [first, second].map(SelectEntry::from_bytes),
            }),
            _ => Err(OtaError::Truncated {
                length: bytes.len(),
            }),
        }
    }

    /// Sector of the entry that counts (`bootloader_common_get_active_otadata`).
    #[must_use]
    pub fn active(&self) -> Option<usize> {
        let [first, second] = &self.entries;
        match (first.is_valid(), second.is_valid()) {
            (true, true) => Some(usize::from(second.sequence > first.sequence)),
            (true, false) => Some(0),
            (false, true) => Some(1),
            (false, false) => None,
        }
    }

    /// What the bootloader chooses (`bootloader_utility_get_selected_boot_partition`), without
    /// regard to whether it holds an application.
    #[must_use]
    pub fn next_boot<'t>(&self, table: &'t PartitionTable) -> NextBoot<'t> {
        let slots = slot_count(table);
        let factory = table.by_kind(Kind::FACTORY);
        let has_ota_data = table.by_kind(Kind::OTA_DATA).is_some();
        if !has_ota_data || slots == 0 {
            let why = Why::NoChoice;
            let first = || Kind::ota(0).and_then(|kind| table.by_kind(kind));
            return NextBoot {
                partition: factory.or_else(first),
                why,
            };
        }
        if self.entries.iter().all(SelectEntry::is_ruled_out) {
            let first = || Kind::ota(0).and_then(|kind| table.by_kind(kind));
            return NextBoot {
                partition: factory.or_else(first),
                why: Why::Empty,
            };
        }
        let active = self.active().map(|sector| (sector, &self.entries[sector]));
        let Some((sector, entry)) = active else {
            return NextBoot {
                partition: factory,
                why: Why::Broken,
            };
        };
        let slot = entry.slot(slots).unwrap_or(0);
        NextBoot {
            partition: Kind::ota(slot).and_then(|kind| table.by_kind(kind)),
            why: Why::Entry(Selected {
                sector,
                slot,
                state: entry.state,
            }),
        }
    }

    /// What to do so that `target` is started, as `state`. What is written goes into the sector
    /// that does not count, so that one entry is valid at any time.
    ///
    /// # Errors
    /// There is no such slot, or no number for it.
    pub fn select(
        &self,
        table: &PartitionTable,
        target: Target,
        state: OtaState,
    ) -> Result<Update, OtaError> {
        if table.by_kind(Kind::OTA_DATA).is_none() {
            return Err(OtaError::NoOtaData);
        }
        let Target::Slot(slot) = target else {
            return Ok(self.erase());
        };
        let slots = slot_count(table);
        if slots == 0 {
            return Err(OtaError::NoSlots);
        }
        let is_missing =
            |slot: &u8| Kind::ota(*slot).is_none_or(|kind| table.by_kind(kind).is_none());
        if let Some(missing) = (0..slots).find(is_missing) {
            return Err(OtaError::Gap { missing });
        }
        if slot >= slots {
            return Err(no_such_slot(table, &format!("ota_{slot}")));
        }
        let Some(active) = self.active() else {
            let entry = SelectEntry::new(u32::from(slot) + 1, state);
            return Ok(Update::Write { sector: 0, entry });
        };
        let current = &self.entries[active];
        if current.slot(slots) == Some(slot) && current.state == state {
            return Ok(Update::Nothing);
        }
        // The next number above the present one that, less 1, has the slot as its remainder. (That of
        // a present number of 0 is no guide: less 1, it wraps.)
        let (slots, slot) = (u32::from(slots), u32::from(slot));
        let ahead = (slot + slots - current.sequence % slots) % slots + 1;
        let sequence = current.sequence.checked_add(ahead);
        let sequence = sequence.filter(|next| *next != u32::MAX);
        let sequence = sequence.ok_or(OtaError::Exhausted {
            sequence: current.sequence,
        })?;
        Ok(Update::Write {
            sector: 1 - active,
            entry: SelectEntry::new(sequence, state),
        })
    }

    /// What to do so that otadata choose nothing.
    #[must_use]
    pub fn erase(&self) -> Update {
        if self.entries.iter().all(SelectEntry::is_erased) {
            return Update::Nothing;
        }
        match self.active() {
            Some(0) => Update::Erase([1, 0]),
            _ => Update::Erase([0, 1]),
        }
    }
}

impl Target {
    /// Reads what is to be started: `factory`, a number, `ota_1`, or the name of a partition.
    ///
    /// # Errors
    /// The table has none such.
    pub fn find(table: &PartitionTable, name: &str) -> Result<Self, OtaError> {
        let kind = match table.by_name(name) {
            Some(partition) => Some(partition.kind),
            None if name == "factory" => Some(Kind::FACTORY),
            None => {
                let number = name.strip_prefix("ota_").unwrap_or(name);
                number.parse().ok().and_then(Kind::ota)
            }
        };
        let found = kind.filter(|kind| table.by_kind(*kind).is_some());
        match found {
            Some(Kind::FACTORY) => Ok(Self::Factory),
            Some(kind) => match kind.ota_slot() {
                Some(slot) => Ok(Self::Slot(slot)),
                None => Err(no_such_slot(table, name)),
            },
            None => Err(no_such_slot(table, name)),
        }
    }
}

fn no_such_slot(table: &PartitionTable, name: &str) -> OtaError {
    let choices = table
        .partitions
        .iter()
        .filter(|partition| partition.kind == Kind::FACTORY || partition.kind.ota_slot().is_some());
    OtaError::NoSuchSlot {
        name: name.to_owned(),
        choices: choices.map(|partition| partition.name.clone()).collect(),
    }
}

/// Number of OTA slots in a table.
fn slot_count(table: &PartitionTable) -> u8 {
    let slots = table.partitions.iter();
    let count = slots.filter(|one| one.kind.ota_slot().is_some()).count();
    u8::try_from(count).unwrap_or(u8::MAX)
}
