//! Programs that are not what they should be.

use std::fs;
use std::path::Path;

use guru_crash::explain::{ElfFit, Force};
use libtest_mimic::Failed;

use super::{explained, fit, named};

/// A crash of `elf/esp32c3.elf`, as far as addresses go: MEPC at its entry. `digest` is its line.
fn log(entry: u32, digest: &str) -> String {
    let stack: Vec<String> = (0..8_u32)
        .map(|word| format!("0x{:08x}", entry + 8 * word))
        .collect();
    format!(
        "ESP-ROM:esp32c3-api1-20210207\nBuild:Feb  7 2021\nrst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)\n\
         Guru Meditation Error: Core  0 panic'ed (Load access fault). Exception was unhandled.\n\n\
         Core  0 register dump:\n\
         MEPC    : 0x{entry:08x}  RA      : 0x{entry:08x}  SP      : 0x3fc91a40  GP      : 0x3fc8ba00  \n\
         MSTATUS : 0x00001881  MTVEC   : 0x40380001  MCAUSE  : 0x00000005  MTVAL   : 0x00000004  \n\n\
         Stack memory:\n3fc91a40: {}\n\n{digest}\nRebooting...\n",
        stack.join(" ")
    )
}

fn entry(elf: &[u8]) -> u32 {
    u32::from_le_bytes(elf[24..28].try_into().expect("4 bytes"))
}

pub fn stripped(folder: &Path) -> Result<(), Failed> {
    let mut elf = fs::read(folder.join("elf/esp32c3.elf"))?;
    let log = log(entry(&elf), "");
    let whole = explained(&log, elf.clone(), Force::No).ok_or("it is an ELF file")?;
    assert_eq!(fit(&whole), ElfFit::Plausible);
    assert!(!named(&whole).is_empty());
    // As `strip` does: of the sections only those that are loaded remain, and the names of sections.
    let half = |elf: &[u8], at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let table = u32::from_le_bytes(elf[32..36].try_into()?) as usize;
    let (count, names) = (half(&elf, 48), half(&elf, 50));
    for number in (0..count).filter(|number| *number != names) {
        let header = table + 40 * number;
        let loaded = elf[header + 8] & 2 != 0;
        if !loaded {
            elf[header + 4..header + 8].fill(0);
        }
    }
    let stripped = explained(&log, elf, Force::No).ok_or("it is an ELF file")?;
    assert_eq!(named(&stripped), [""; 0]);
    let text = &stripped.elf.files[0].text;
    assert!(text.contains("stripped"), "{text}");
    Ok(())
}

pub fn others(folder: &Path) -> Result<(), Failed> {
    let elf = fs::read(folder.join("elf/esp32c3.elf"))?;
    let entry = entry(&elf);
    let of_xtensa = fs::read(folder.join("elf/esp32.elf"))?;
    let zeros = "ELF file SHA256: 0000000000000000";
    for (elf, digest, expected) in [
        (&of_xtensa, "", ElfFit::OtherMachine),
        (&elf, "ELF file SHA256: 0123abcd4", ElfFit::OtherBuild),
        (&elf, zeros, ElfFit::Plausible),
    ] {
        let log = log(entry, digest);
        let told = explained(&log, elf.clone(), Force::No).ok_or("it is an ELF file")?;
        assert_eq!(fit(&told), expected);
        assert_eq!(named(&told).is_empty(), expected != ElfFit::Plausible);
    }
    Ok(())
}

/// With the digest of the whole file. The numbers are always the same ones.
pub fn at_random(folder: &Path) -> Result<(), Failed> {
    let elf = fs::read(folder.join("elf/esp32c3.elf"))?;
    let mut symbols = guru_symbols::Symbols::new();
    let sha256 = symbols.add("app", elf.clone())?.sha256();
    let digits: String = sha256[..5]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let log = log(entry(&elf), &format!("ELF file SHA256: {}", &digits[..9]));
    let told = explained(&log, elf.clone(), Force::No).ok_or("it is an ELF file")?;
    assert_eq!(fit(&told), ElfFit::Same);
    let mut state = 0x1234_5678_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for round in 0..12 {
        let mut damaged = elf.clone();
        if round % 2 == 0 {
            damaged.truncate(random(elf.len()));
        } else {
            // Half of them where the headers are.
            for count in 0..200 {
                let below = if count % 2 == 0 { elf.len() } else { 4096 };
                damaged[random(below)] = random(256) as u8;
            }
        }
        if let Some(told) = explained(&log, damaged.clone(), Force::No) {
            assert!(matches!(
                fit(&told),
                ElfFit::OtherBuild | ElfFit::OtherMachine
            ));
            assert_eq!(named(&told), [""; 0], "round {round}");
        }
        explained(&log, damaged, Force::Yes);
    }
    Ok(())
}
