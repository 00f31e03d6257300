//! What an application or a bootloader says of itself, at the start of one of its segments.
//!
//! Sources: `esp_app_desc_t` in ESP-IDF's `esp_app_desc.h`, `esp_bootloader_desc_t` in its
//! `esp_bootloader_desc.h`. Numbers are little-endian.

/// What an application built with ESP-IDF, or for its bootloader, says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDescriptor {
    /// Number that only grows, for protection against older versions.
    pub secure_version: u32,
    /// Version of the application.
    pub version: String,
    /// Name of the project.
    pub project: String,
    /// Time of the build, as the compiler writes it.
    pub time: String,
    /// Date of the build, as the compiler writes it.
    pub date: String,
    /// Version of ESP-IDF.
    pub idf_version: String,
    /// SHA-256 of the ELF file it was made from; zeros when nobody filled it in.
    pub elf_sha256: [u8; 32],
    /// Lowest version of the chip's eFuse block, major * 100 + minor.
    pub min_efuse_block: u16,
    /// Highest version of the chip's eFuse block, major * 100 + minor.
    pub max_efuse_block: u16,
    /// Binary logarithm of the size of an MMU page in bytes; 0: not said.
    pub mmu_page_log2: u8,
}

impl AppDescriptor {
    /// Length in bytes.
    pub const LEN: usize = 256;
    /// First word.
    pub const MAGIC: u32 = 0xABCD_5432;

    /// Reads a descriptor; `None` when the bytes are none.
    #[must_use]
    pub fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let mut fields = Fields(bytes);
        if fields.u32() != Self::MAGIC {
            return None;
        }
        let secure_version = fields.u32();
        fields.take::<8>();
        Some(Self {
            secure_version,
            version: fields.text::<32>(),
            project: fields.text::<32>(),
            time: fields.text::<16>(),
            date: fields.text::<16>(),
            idf_version: fields.text::<32>(),
            elf_sha256: fields.take(),
            min_efuse_block: u16::from_le_bytes(fields.take()),
            max_efuse_block: u16::from_le_bytes(fields.take()),
            mmu_page_log2: fields.take::<1>()[0],
        })
    }

    /// Size of an MMU page in bytes, where it is said and can be one.
    #[must_use]
    pub fn mmu_page(&self) -> Option<u32> {
        match self.mmu_page_log2 {
            0 => None,
            log2 => 1_u32.checked_shl(log2.into()),
        }
    }
}

/// What a second-stage bootloader says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootloaderDescriptor {
    /// Number that its builder has given it.
    pub version: u32,
    /// Version of ESP-IDF.
    pub idf_version: String,
    /// Date and time of the build, as the compiler writes them.
    pub date_time: String,
}

impl BootloaderDescriptor {
    /// Length in bytes.
    pub const LEN: usize = 80;
    /// First byte.
    pub const MAGIC: u8 = 0x50;

    /// Reads a descriptor; `None` when the bytes are none.
    #[must_use]
    pub fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let [magic, ..] = fields.take::<4>();
        (magic == Self::MAGIC).then(|| Self {
            version: fields.u32(),
            idf_version: fields.text::<32>(),
            date_time: fields.text::<24>(),
        })
    }
}

/// Fields one behind the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// The next bytes; zeros where there are none, which the lengths above rule out.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// Text up to the first NUL; what is no UTF-8 is replaced.
    fn text<const N: usize>(&mut self) -> String {
        let bytes: [u8; N] = self.take();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(N);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> [u8; AppDescriptor::LEN] {
        let mut bytes = [0; AppDescriptor::LEN];
        let mut put = |offset: usize, field: &[u8]| {
            bytes[offset..offset + field.len()].copy_from_slice(field);
        };
        put(0, &AppDescriptor::MAGIC.to_le_bytes());
        put(4, &7_u32.to_le_bytes());
        put(16, b"v1.2-3-gabcdef");
        put(48, b"blink");
        put(80, b"12:34:56");
        put(96, b"Nov 21 2026");
        put(112, b"v5.4.1");
        put(144, &[0xA5; 32]);
        put(176, &[3, 0, 99, 0, 16]);
        bytes
    }

    #[test]
    fn the_fields_of_an_application_are_where_esp_idf_puts_them() {
        let descriptor = AppDescriptor::parse(&app()).unwrap();
        assert_eq!(
            descriptor,
            AppDescriptor {
                secure_version: 7,
                version: "v1.2-3-gabcdef".into(),
                project: "blink".into(),
                time: "12:34:56".into(),
                date: "Nov 21 2026".into(),
                idf_version: "v5.4.1".into(),
                elf_sha256: [0xA5; 32],
                min_efuse_block: 3,
                max_efuse_block: 99,
                mmu_page_log2: 16,
            }
        );
        assert_eq!(descriptor.mmu_page(), Some(0x1_0000));
    }

    #[test]
    fn a_page_size_beyond_32_bits_is_none() {
        for (log2, page) in [(0, None), (31, Some(1 << 31)), (32, None), (255, None)] {
            let mut bytes = app();
            bytes[180] = log2;
            assert_eq!(AppDescriptor::parse(&bytes).unwrap().mmu_page(), page);
        }
    }

    #[test]
    fn text_without_an_end_and_without_sense_is_still_text() {
        let mut bytes = app();
        bytes[48..80].fill(0xFF);
        let project = AppDescriptor::parse(&bytes).unwrap().project;
        assert_eq!(project.chars().count(), 32);
    }

    #[test]
    fn other_first_bytes_are_no_descriptor() {
        assert_eq!(AppDescriptor::parse(&[0; AppDescriptor::LEN]), None);
        assert_eq!(
            BootloaderDescriptor::parse(&[0; BootloaderDescriptor::LEN]),
            None
        );
    }

    #[test]
    fn the_fields_of_a_bootloader_are_where_esp_idf_puts_them() {
        let mut bytes = [0; BootloaderDescriptor::LEN];
        bytes[0] = BootloaderDescriptor::MAGIC;
        bytes[4] = 1;
        bytes[8..14].copy_from_slice(b"v5.4.1");
        bytes[40..60].copy_from_slice(b"Nov 21 2026 12:34:56");
        assert_eq!(
            BootloaderDescriptor::parse(&bytes),
            Some(BootloaderDescriptor {
                version: 1,
                idf_version: "v5.4.1".into(),
                date_time: "Nov 21 2026 12:34:56".into(),
            })
        );
    }
}
