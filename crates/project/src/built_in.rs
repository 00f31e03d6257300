//! Bootloaders that this program carries in itself: those of the `espflash` crate, with the feature of that
//! name. They serve where nothing is installed.

use guru_chip::Chip;
use guru_image::FlashMode;

/// A bootloader for a chip, its flash mode and its crystal (MHz); `None`: there is none for these.
#[cfg(feature = "espflash")]
pub(crate) fn bootloader(
    chip: &Chip,
    mode: Option<FlashMode>,
    crystal: Option<u8>,
) -> Option<Vec<u8>> {
    use espflash::flasher::{FlashData, FlashMode as Mode, FlashSettings};
    use espflash::image_format::idf::IdfBootloaderFormat;
    use espflash::target::{Chip as Target, XtalFrequency};

    let target: Target = chip.id.parse().ok()?;
    let mode = match mode {
        Some(FlashMode::Qio) => Mode::Qio,
        Some(FlashMode::Qout) => return None,
        _ => Mode::Dio,
    };
    let crystal = match crystal {
        Some(26) => XtalFrequency::_26Mhz,
        _ => target.default_xtal_frequency(),
    };
    let settings = FlashSettings::new(Some(mode), None, None);
    let data = FlashData::new(settings, 0, None, target, crystal);
    // It gives bootloaders only with an application, of which nothing is used here.
    let empty = empty_elf();
    let format = IdfBootloaderFormat::new(&empty, &data, None, None, None, None).ok()?;
    let mut parts = format.flash_segments();
    let bootloader = parts.find(|part| part.addr == chip.image.bootloader_offset)?;
    Some(bootloader.data().to_vec())
}

/// A bootloader for a chip: without the feature `espflash`, none.
#[cfg(not(feature = "espflash"))]
pub(crate) fn bootloader(_: &Chip, _: Option<FlashMode>, _: Option<u8>) -> Option<Vec<u8>> {
    None
}

/// The header of an ELF file (32 bits, little-endian) with nothing in it.
#[cfg(feature = "espflash")]
fn empty_elf() -> Vec<u8> {
    let mut elf = vec![0; 52];
    elf[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    // ET_EXEC, EM_RISCV, version; the lengths of the headers.
    elf[16..24].copy_from_slice(&[2, 0, 0xF3, 0, 1, 0, 0, 0]);
    elf[40..52].copy_from_slice(&[52, 0, 32, 0, 0, 0, 40, 0, 0, 0, 0, 0]);
    elf
}

#[cfg(all(test, feature = "espflash"))]
mod tests {
    use super::*;

    #[test]
    fn most_chips_have_one_that_is_an_image_for_them() {
        for id in [
            "esp32", "esp32c2", "esp32c3", "esp32c6", "esp32h2", "esp32s2", "esp32s3",
        ] {
            let chip = guru_chip::by_id(id).unwrap();
            for (mode, crystal) in [(None, None), (Some(FlashMode::Qio), Some(40))] {
                let bytes = bootloader(chip, mode, crystal).unwrap();
                let contents = guru_image::Contents::from_bytes(id, bytes).unwrap();
                let info = guru_image::ImageInfo::read(&contents, Some(chip)).unwrap();
                assert_eq!(info.problems(), [], "{id}");
            }
        }
        let old = guru_chip::by_id("esp8266").unwrap();
        assert!(bootloader(old, None, None).is_none());
    }
}
