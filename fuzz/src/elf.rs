use guru_chip::CHIPS;
use guru_image::{
    BuildOptions, Contents, CountedSegments, Elf, ElfSource, Esp8266Version, SecurePad, SharedPage,
    build,
};
use guru_size::{By, LinkerMap, Program, Size};

use crate::image::firmware;

/// A linker's map.
pub fn linker_map(bytes: &[u8]) {
    if let Ok(contents) = Contents::from_bytes("fuzz", bytes.to_vec()) {
        let _ = LinkerMap::read(&contents);
    }
}

/// An ELF file: it is read and made an image of for every chip; an image is as long as was said, and
/// what fills it adds up to that.
pub fn elf(bytes: &[u8]) {
    /// Longer ones are not written: a small file can ask for much.
    const MOST: u64 = 1 << 20;
    let Ok(contents) = Contents::from_bytes("fuzz", bytes.to_vec()) else {
        return;
    };
    firmware(&contents);
    let Ok(elf) = Elf::read(&contents) else {
        return;
    };
    let usual = BuildOptions::default();
    let odd = BuildOptions {
        version: Esp8266Version::V3,
        source: ElfSource::Segments,
        header: CountedSegments::InRam,
        shared_page: SharedPage::Join,
        pad_to: 0x1000,
        ..BuildOptions::default()
    };
    let signed = BuildOptions {
        version: Esp8266Version::V2,
        secure_pad: SecurePad::V2,
        shared_page: SharedPage::Join,
        elf_sha256_offset: Some(0x40),
        ..BuildOptions::default()
    };
    let program = Program::read(&elf, None);
    for chip in CHIPS {
        if let Ok(program) = &program
            && let Ok(size) = Size::on(chip, &elf, program)
        {
            for by in [By::Memory, By::Crate, By::Symbol] {
                let sum: u64 = size.rows(by).iter().map(|row| row.usage.image).sum();
                assert_eq!(sum, size.makeup.total());
            }
        }
        for options in [&usual, &odd, &signed] {
            let files = build(&elf, chip, options, &mut |_| {});
            for file in files
                .into_iter()
                .flatten()
                .filter(|file| file.len() <= MOST)
            {
                let mut image = Vec::new();
                assert!(file.write_to(&mut image).is_ok(), "the file can be read");
                assert_eq!(image.len() as u64, file.len());
            }
        }
    }
}
