//! What a partition is for: its type and subtype, and their names.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::number;

/// Type and subtype of a partition, as the table holds them (`esp_partition_type_t`,
/// `esp_partition_subtype_t`). Types from 0x40 on belong to applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The type.
    pub type_code: u8,
    /// The subtype, whose meaning depends on the type.
    pub subtype: u8,
}

impl Kind {
    /// Type of applications.
    pub const APP: u8 = 0;
    /// Type of data.
    pub const DATA: u8 = 1;
    /// Type of bootloaders.
    pub const BOOTLOADER: u8 = 2;
    /// Type of partition tables.
    pub const PARTITION_TABLE: u8 = 3;

    /// The application that runs when otadata choose none.
    pub const FACTORY: Self = Self::new(Self::APP, 0);
    /// An application for tests in the factory.
    pub const TEST: Self = Self::new(Self::APP, 0x20);
    /// Which application runs.
    pub const OTA_DATA: Self = Self::new(Self::DATA, 0);
    /// Non-volatile storage: keys and values.
    pub const NVS: Self = Self::new(Self::DATA, 2);
    /// What a crashed program leaves.
    pub const CORE_DUMP: Self = Self::new(Self::DATA, 3);
    /// Data of no particular kind, which is what an empty field means.
    pub const UNDEFINED: Self = Self::new(Self::DATA, 6);
    /// Which trusted execution environment runs.
    pub const TEE_OTA_DATA: Self = Self::new(Self::DATA, 0x90);
    /// The bootloader that the ROM starts.
    pub const PRIMARY_BOOTLOADER: Self = Self::new(Self::BOOTLOADER, 0);
    /// The bootloader that the ROM starts when the primary one is broken.
    pub const RECOVERY_BOOTLOADER: Self = Self::new(Self::BOOTLOADER, 2);
    /// The table itself.
    pub const PRIMARY_TABLE: Self = Self::new(Self::PARTITION_TABLE, 0);

    /// A type with a subtype.
    #[must_use]
    pub const fn new(type_code: u8, subtype: u8) -> Self {
        Self { type_code, subtype }
    }

    /// The OTA slot with this number, 0 to 15.
    #[must_use]
    pub fn ota(slot: u8) -> Option<Self> {
        (slot < OTA_SLOTS).then(|| Self::new(Self::APP, FIRST_OTA + slot))
    }

    /// Number of the OTA slot that an application partition is.
    #[must_use]
    pub fn ota_slot(self) -> Option<u8> {
        match self {
            Self {
                type_code: Self::APP,
                subtype,
            } if (FIRST_OTA..FIRST_OTA + OTA_SLOTS).contains(&subtype) => Some(subtype - FIRST_OTA),
            _ => None,
        }
    }

    /// Whether it holds an application.
    #[must_use]
    pub fn is_app(self) -> bool {
        self.type_code == Self::APP
    }

    /// Whether its place is fixed and lies in front of what the table hands out: the bootloader
    /// that the ROM starts, and the table itself.
    #[must_use]
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::PRIMARY_BOOTLOADER | Self::PRIMARY_TABLE)
    }
}

/// Subtype of `ota_0`.
const FIRST_OTA: u8 = 0x10;
/// Number of OTA slots that there can be.
const OTA_SLOTS: u8 = 16;
/// Subtype of `tee_0`.
const FIRST_TEE: u8 = 0x30;
/// Number of slots for trusted execution environments.
const TEE_SLOTS: u8 = 2;

const TYPES: [(&str, u8); 4] = [
    ("app", Kind::APP),
    ("data", Kind::DATA),
    ("bootloader", Kind::BOOTLOADER),
    ("partition_table", Kind::PARTITION_TABLE),
];

/// Subtypes by type; the numbered ones are not among them.
const SUBTYPES: [(u8, &str, u8); 19] = [
    (Kind::APP, "factory", 0x00),
    (Kind::APP, "test", 0x20),
    (Kind::DATA, "ota", 0x00),
    (Kind::DATA, "phy", 0x01),
    (Kind::DATA, "nvs", 0x02),
    (Kind::DATA, "coredump", 0x03),
    (Kind::DATA, "nvs_keys", 0x04),
    (Kind::DATA, "efuse", 0x05),
    (Kind::DATA, "undefined", 0x06),
    (Kind::DATA, "esphttpd", 0x80),
    (Kind::DATA, "fat", 0x81),
    (Kind::DATA, "spiffs", 0x82),
    (Kind::DATA, "littlefs", 0x83),
    (Kind::DATA, "tee_ota", 0x90),
    (Kind::BOOTLOADER, "primary", 0x00),
    (Kind::BOOTLOADER, "ota", 0x01),
    (Kind::BOOTLOADER, "recovery", 0x02),
    (Kind::PARTITION_TABLE, "primary", 0x00),
    (Kind::PARTITION_TABLE, "ota", 0x01),
];

/// Names of types and subtypes: those of ESP-IDF, and those that a project adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vocabulary {
    custom: Vec<(Kind, String)>,
}

/// Why a subtype cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VocabularyError {
    /// It is not written as it should be.
    #[error(
        "'{text}' is no subtype; write TYPE,NAME,VALUE with a hexadecimal value: data,log,0x40"
    )]
    Malformed {
        /// What was given.
        text: String,
    },
    /// The type has no subtypes with names.
    #[error("'{text}': there is no type '{type_name}'; there are {}", TYPES.map(|(name, _)| name).join(", "))]
    UnknownType {
        /// What was given.
        text: String,
        /// The type in it.
        type_name: String,
    },
    /// The type has a subtype with that value or name.
    #[error("'{text}': this is the subtype '{other}' already")]
    Taken {
        /// What was given.
        text: String,
        /// The subtype that is there.
        other: String,
    },
}

impl Vocabulary {
    /// Adds a subtype, given as `TYPE,NAME,VALUE` with a hexadecimal value: what ESP-IDF's build
    /// passes for a component's own subtypes.
    ///
    /// # Errors
    /// It is malformed, or its value or name is taken.
    pub fn add(&mut self, text: &str) -> Result<(), VocabularyError> {
        let malformed = || VocabularyError::Malformed {
            text: text.to_owned(),
        };
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let [type_name, name, value] = fields[..] else {
            return Err(malformed());
        };
        let type_code = type_code(type_name).ok_or_else(|| VocabularyError::UnknownType {
            text: text.to_owned(),
            type_name: type_name.to_owned(),
        })?;
        let digits = value
            .strip_prefix("0x")
            .or_else(|| value.strip_prefix("0X"))
            .unwrap_or(value);
        let is_hex = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        let subtype = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        let subtype = subtype.ok_or_else(malformed)?;
        if name.is_empty() || number(name).is_some() {
            return Err(malformed());
        }
        let kind = Kind::new(type_code, subtype);
        let same_value = self.subtype_name(kind).map(Cow::into_owned);
        let same_name = self.subtype(type_code, name).map(|_| name.to_owned());
        if let Some(other) = same_value.or(same_name) {
            return Err(VocabularyError::Taken {
                text: text.to_owned(),
                other,
            });
        }
        self.custom.push((kind, name.to_ascii_lowercase()));
        Ok(())
    }

    /// Name of a type.
    #[must_use]
    pub fn type_name(&self, type_code: u8) -> Option<&'static str> {
        let found = TYPES.iter().find(|(_, code)| *code == type_code);
        found.map(|(name, _)| *name)
    }

    /// Name of a subtype.
    #[must_use]
    pub fn subtype_name(&self, kind: Kind) -> Option<Cow<'_, str>> {
        let Kind { type_code, subtype } = kind;
        if let Some(slot) = kind.ota_slot() {
            return Some(format!("ota_{slot}").into());
        }
        if type_code == Kind::APP && (FIRST_TEE..FIRST_TEE + TEE_SLOTS).contains(&subtype) {
            return Some(format!("tee_{}", subtype - FIRST_TEE).into());
        }
        let known = SUBTYPES
            .iter()
            .find(|(owner, _, code)| (*owner, *code) == (type_code, subtype))
            .map(|(_, name, _)| *name);
        let custom = || {
            let mut custom = self.custom.iter();
            let found = custom.find(|(custom, _)| *custom == kind);
            found.map(|(_, name)| name.as_str())
        };
        known.or_else(custom).map(Cow::Borrowed)
    }

    /// The type with a name, which may be in capitals.
    #[must_use]
    pub fn type_code(&self, name: &str) -> Option<u8> {
        type_code(&name.to_ascii_lowercase())
    }

    /// The subtype of a type with a name, which may be in capitals.
    #[must_use]
    pub fn subtype(&self, type_code: u8, name: &str) -> Option<u8> {
        let name = name.to_ascii_lowercase();
        let mut named = self.named();
        let found = named.find(|(kind, known)| kind.type_code == type_code && *known == name);
        found.map(|(kind, _)| kind.subtype)
    }

    /// Whether a name is that of any type's subtype.
    pub(crate) fn is_subtype(&self, name: &str) -> bool {
        self.named().any(|(_, known)| known == name)
    }

    /// The names that the type field takes.
    pub(crate) fn types(&self) -> Vec<String> {
        TYPES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// The names that the subtype field of a type takes.
    pub(crate) fn subtypes(&self, type_code: u8) -> Vec<String> {
        let of_type = self.named().filter(|(kind, _)| kind.type_code == type_code);
        of_type.map(|(_, name)| name.into_owned()).collect()
    }

    /// All subtypes that have names.
    fn named(&self) -> impl Iterator<Item = (Kind, Cow<'_, str>)> {
        let plain = SUBTYPES
            .iter()
            .map(|(type_code, name, subtype)| (Kind::new(*type_code, *subtype), (*name).into()));
        let numbered = |prefix: &'static str, first: u8, count: u8| {
            (0..count).map(move |slot| {
                let name = Cow::Owned(format!("{prefix}_{slot}"));
                (Kind::new(Kind::APP, first + slot), name)
            })
        };
        let custom = self
            .custom
            .iter()
            .map(|(kind, name)| (*kind, name.as_str().into()));
        plain
            .chain(numbered("ota", FIRST_OTA, OTA_SLOTS))
            .chain(numbered("tee", FIRST_TEE, TEE_SLOTS))
            .chain(custom)
    }
}

fn type_code(name: &str) -> Option<u8> {
    let found = TYPES.iter().find(|(known, _)| *known == name);
    found.map(|(_, code)| *code)
}

impl fmt::Display for Kind {
    /// As the fields of a CSV file, with ESP-IDF's names: `app,ota_0`, `64,1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Vocabulary::default();
        match names.type_name(self.type_code) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.type_code)?,
        }
        match names.subtype_name(*self) {
            Some(name) => write!(f, ",{name}"),
            None => write!(f, ",{}", self.subtype),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_kind_and_every_kind_its_name() {
        let names = Vocabulary::default();
        let mut count = 0;
        for (kind, name) in names.named() {
            assert_eq!(names.subtype(kind.type_code, &name), Some(kind.subtype));
            assert_eq!(names.subtype_name(kind), Some(name));
            count += 1;
        }
        assert_eq!(count, 19 + 16 + 2);
        assert_eq!(names.subtype(Kind::APP, "OTA_15"), Some(0x1F));
        assert_eq!(names.subtype(Kind::APP, "ota_16"), None);
        assert_eq!(names.subtype(Kind::DATA, "factory"), None);
        assert_eq!(Kind::new(0, 0x1F).ota_slot(), Some(15));
        assert_eq!(Kind::new(1, 0x10).ota_slot(), None);
    }

    #[test]
    fn a_project_adds_subtypes_of_its_own() {
        let mut names = Vocabulary::default();
        names.add("app, plugin, 0x40").unwrap();
        names.add("data,Log,41").unwrap();
        assert_eq!(names.subtype(Kind::APP, "plugin"), Some(0x40));
        assert_eq!(names.subtype(Kind::DATA, "log"), Some(0x41));
        assert_eq!(
            names.subtype_name(Kind::new(Kind::DATA, 0x41)).as_deref(),
            Some("log")
        );
    }

    #[test]
    fn a_subtype_whose_value_or_name_is_taken_is_refused() {
        let mut names = Vocabulary::default();
        for taken in [
            "data,mine,0x02",
            "app,mine,1f",
            "data,nvs,0x40",
            "app,ota_3,40",
        ] {
            assert!(
                matches!(names.add(taken), Err(VocabularyError::Taken { .. })),
                "{taken}"
            );
        }
        for malformed in [
            "",
            "app,x",
            "app,x,0x100",
            "app,x,+1",
            "app,,0x40",
            "app,7,0x40",
        ] {
            assert!(
                matches!(names.add(malformed), Err(VocabularyError::Malformed { .. })),
                "{malformed}"
            );
        }
        assert!(matches!(
            names.add("what,x,0x40"),
            Err(VocabularyError::UnknownType { .. })
        ));
    }
}
