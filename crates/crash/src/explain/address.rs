//! What an address in a dump tells by itself.

use std::fmt;

use guru_chip::{Architecture, Chip};
use serde::{Serialize, Serializer};

/// What an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressClass {
    /// Zero.
    Null,
    /// This many bytes behind zero, or before it.
    NearNull(i32),
    /// A value that a program fills memory with, and how many bytes behind it.
    Pattern(Pattern, u32),
    /// Four bytes of text, in the order of memory.
    Text(String),
    /// In a memory of the chip.
    Memory(Region),
    /// In no memory of the chip.
    Unmapped,
    /// Nothing can be said: it is not known which chip it is, and those that it may be differ.
    Unknown,
}

/// Values by which memory is marked. From ESP-IDF: `portmacro.h` and `FreeRTOSConfig.h` (stack),
/// `multi_heap_poisoning.c` (heap). What an ESP32 reads without its cache is from logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// 0xa5a5a5a5: a stack as a new task finds it.
    UnwrittenStack,
    /// 0xfefefefe: memory that was freed.
    Freed,
    /// 0xcececece: memory that was allocated and not written.
    Fresh,
    /// 0xabba1234: the mark before a block of the heap.
    HeapHead,
    /// 0xbaad5678: the mark behind a block of the heap.
    HeapTail,
    /// 0xbad00bad: what an ESP32 reads from flash while its cache is off.
    CacheOff,
    /// 0xdeadbeef: a filler of many programs.
    DeadBeef,
    /// 0xffffffff: erased flash, or -1.
    Ones,
}

/// A kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Flash as the instruction bus sees it.
    FlashCode,
    /// Flash as the data bus sees it.
    FlashData,
    /// Flash, on chips that have one window for both.
    Flash,
    /// The window through which flash and PSRAM are seen, on chips where they share it.
    Cached,
    /// RAM as the instruction bus sees it.
    Iram,
    /// RAM as the data bus sees it.
    Dram,
    /// RAM that both buses see at the same addresses.
    Ram,
    /// Memory that lives on in deep sleep.
    Rtc,
    /// External RAM.
    Psram,
    /// Registers of peripherals.
    Peripheral,
    /// The mask ROM.
    Rom,
}

/// A pointer to a structure and the offset of a member add up to what is looked at here: members lie
/// within this many bytes (ESP-IDF's guide speaks of "close to zero").
const MEMBERS: u32 = 4096;

impl Pattern {
    const ALL: [Self; 8] = [
        Self::UnwrittenStack,
        Self::Freed,
        Self::Fresh,
        Self::HeapHead,
        Self::HeapTail,
        Self::CacheOff,
        Self::DeadBeef,
        Self::Ones,
    ];

    /// The value.
    #[must_use]
    pub const fn value(self) -> u32 {
        match self {
            Self::UnwrittenStack => 0xa5a5_a5a5,
            Self::Freed => 0xfefe_fefe,
            Self::Fresh => 0xcece_cece,
            Self::HeapHead => 0xabba_1234,
            Self::HeapTail => 0xbaad_5678,
            Self::CacheOff => 0xbad0_0bad,
            Self::DeadBeef => 0xdead_beef,
            Self::Ones => 0xffff_ffff,
        }
    }

    /// What it says, behind "the pattern".
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::UnwrittenStack => "of a stack that was never written",
            Self::Freed => "of heap memory that was freed",
            Self::Fresh => "of heap memory that was allocated and never written",
            Self::HeapHead => "before a block of the heap",
            Self::HeapTail => "behind a block of the heap",
            Self::CacheOff => "that an ESP32 reads from flash while the cache is off",
            Self::DeadBeef => "by which programs mark what is invalid",
            Self::Ones => "of erased flash, and of -1",
        }
    }
}

impl Region {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlashCode => "flash code",
            Self::FlashData => "flash data",
            Self::Flash => "flash",
            Self::Cached => "flash or PSRAM",
            Self::Iram => "IRAM",
            Self::Dram => "DRAM",
            Self::Ram => "RAM",
            Self::Rtc => "RTC memory",
            Self::Psram => "PSRAM",
            Self::Peripheral => "peripheral registers",
            Self::Rom => "ROM",
        }
    }

    /// Whether code can lie there.
    #[must_use]
    pub const fn may_hold_code(self) -> bool {
        !matches!(self, Self::FlashData | Self::Dram | Self::Peripheral)
    }

    /// Whether a stack can lie there.
    #[must_use]
    pub const fn may_hold_a_stack(self) -> bool {
        matches!(
            self,
            Self::Dram | Self::Ram | Self::Rtc | Self::Psram | Self::Cached
        )
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::NearNull(offset @ 0..) => write!(out, "{offset} bytes behind null"),
            Self::NearNull(offset) => write!(out, "{} bytes before null", offset.unsigned_abs()),
            Self::Pattern(pattern, 0) => {
                write!(out, "the pattern {}", pattern.meaning())
            }
            Self::Pattern(pattern, behind) => write!(
                out,
                "{behind} bytes behind 0x{:08x}, the pattern {}",
                pattern.value(),
                pattern.meaning()
            ),
            Self::Text(text) => write!(out, "the text \"{text}\""),
            Self::Memory(region) => out.write_str(region.name()),
            Self::Unmapped => out.write_str("no memory"),
            Self::Unknown => out.write_str("unknown without the chip's name"),
        }
    }
}

impl Serialize for AddressClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The memory map of a chip, or what the maps of all the chips that it can be have in common.
#[derive(Debug, Clone)]
pub struct MemoryMap {
    chips: Vec<&'static Chip>,
}

impl MemoryMap {
    /// Of this chip.
    #[must_use]
    pub fn of(chip: &'static Chip) -> Self {
        Self { chips: vec![chip] }
    }

    /// Of the chips of these architectures that have a stack at `stack` and, when it is not nonsense
    /// for all of them, code at `code`.
    #[must_use]
    pub fn of_candidates(architectures: &[Architecture], stack: &[u32], code: &[u32]) -> Self {
        let mut chips: Vec<_> = guru_chip::CHIPS
            .iter()
            .copied()
            .filter(|chip| architectures.contains(&chip.architecture))
            .collect();
        // One after the other: a stack pointer or an address that fits nowhere says nothing.
        for address in stack {
            narrow(&mut chips, *address, Region::may_hold_a_stack);
        }
        for address in code {
            narrow(&mut chips, *address, Region::may_hold_code);
        }
        Self { chips }
    }

    /// What an address is.
    #[must_use]
    pub fn classify(&self, address: u32) -> AddressClass {
        if let Some(class) = value_class(address) {
            return class;
        }
        match self.region(address) {
            Some(Some(region)) => AddressClass::Memory(region),
            Some(None) => match text_of(address) {
                Some(text) => AddressClass::Text(text),
                None => AddressClass::Unmapped,
            },
            None => AddressClass::Unknown,
        }
    }

    /// The memory at an address: `Some(None)` is none, `None` is unknown.
    #[must_use]
    pub fn region(&self, address: u32) -> Option<Option<Region>> {
        let mut regions = self.chips.iter().map(|chip| region(chip, address));
        let first = regions.next()?;
        regions.all(|other| other == first).then_some(first)
    }
}

fn narrow(chips: &mut Vec<&'static Chip>, address: u32, fits: fn(Region) -> bool) {
    let fitting: Vec<_> = chips
        .iter()
        .copied()
        .filter(|chip| region(chip, address).is_some_and(fits))
        .collect();
    if !fitting.is_empty() {
        *chips = fitting;
    }
}

/// What the value alone says.
fn value_class(address: u32) -> Option<AddressClass> {
    if address == 0 {
        return Some(AddressClass::Null);
    }
    let pattern = |pattern: &Pattern| {
        let behind = address.wrapping_sub(pattern.value());
        let most = match pattern {
            // Behind it come null and what is near it.
            Pattern::Ones => 1,
            _ => MEMBERS,
        };
        (behind < most).then_some(AddressClass::Pattern(*pattern, behind))
    };
    if let Some(class) = Pattern::ALL.iter().find_map(pattern) {
        return Some(class);
    }
    let signed = address.cast_signed();
    // A list's link within a structure leads a little before it.
    (-256..MEMBERS.cast_signed())
        .contains(&signed)
        .then_some(AddressClass::NearNull(signed))
}

/// The four bytes of a word as text, when a person could have written all of them.
#[must_use]
pub fn text_of(word: u32) -> Option<String> {
    let bytes = word.to_le_bytes();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    // Two signs among four may be an address as well.
    (printable && letters.count() >= 3).then(|| bytes.iter().copied().map(char::from).collect())
}

fn region(chip: &Chip, address: u32) -> Option<Region> {
    let machine = chip.machine.as_ref();
    let mut in_rom = machine.into_iter().flat_map(|machine| machine.rom);
    if in_rom.any(|rom| rom.contains(&address)) {
        return Some(Region::Rom);
    }
    let (mut code, mut data, mut psram, mut iram, mut dram, mut rtc) =
        (false, false, false, false, false, false);
    for name in chip.memory_names(address) {
        match name {
            "IROM_MASK" | "DROM_MASK" => return Some(Region::Rom),
            "DPORT" => return Some(Region::Peripheral),
            "EXTRAM_DATA" => psram = true,
            "IROM" => code = true,
            "DROM" => data = true,
            "IRAM" | "DIRAM_IRAM" | "CACHE_PRO" | "CACHE_APP" => iram = true,
            "DRAM" | "DIRAM_DRAM" => dram = true,
            _ if name.starts_with("RTC") => rtc = true,
            _ => {}
        }
    }
    if psram && chip.drom.contains(&address) {
        return Some(Region::Cached);
    }
    if psram {
        return Some(Region::Psram);
    }
    code |= chip.irom.contains(&address);
    data |= chip.drom.contains(&address);
    let found = match (code, data) {
        (true, true) if chip.irom == chip.drom => Some(Region::Cached),
        (true, true) => Some(Region::Flash),
        (true, false) => Some(Region::FlashCode),
        (false, true) => Some(Region::FlashData),
        (false, false) => match (iram, dram, rtc) {
            (.., true) => Some(Region::Rtc),
            (true, true, _) => Some(Region::Ram),
            (true, false, _) => Some(Region::Iram),
            (false, true, _) => Some(Region::Dram),
            (false, false, false) => None,
        },
    };
    found.or_else(|| is_peripheral(chip, address).then_some(Region::Peripheral))
}

/// Whether registers lie there: the chip's entry names some of each block of the bus.
fn is_peripheral(chip: &Chip, address: u32) -> bool {
    // The ESP32's first bus begins half a megabyte before its RAM; elsewhere nothing else is near.
    let block = |address: u32| match address < 0x4000_0000 {
        true => address >> 19,
        false => (address >> 20) + 0x1_0000,
    };
    let known = [
        chip.uart.date,
        chip.uart.clkdiv,
        chip.efuse.base,
        chip.spi.cmd,
    ];
    known.iter().any(|known| block(*known) == block(address))
        || chip
            .registers
            .stored
            .iter()
            .any(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(chip: &str, address: u32) -> String {
        MemoryMap::of(guru_chip::by_id(chip).unwrap())
            .classify(address)
            .to_string()
    }

    #[test]
    fn what_lies_near_null_is_a_member_of_a_null_pointer() {
        assert_eq!(class("esp32", 0), "null");
        assert_eq!(class("esp32", 0x1c), "28 bytes behind null");
        assert_eq!(class("esp32", 0xffff_fff0), "16 bytes before null");
        assert_eq!(
            class("esp32", 0xffff_ffff),
            "the pattern of erased flash, and of -1"
        );
    }

    #[test]
    fn patterns_are_known_with_the_offset_of_a_member() {
        assert_eq!(
            class("esp32c3", 0xfefe_ff06),
            "8 bytes behind 0xfefefefe, the pattern of heap memory that was freed"
        );
        assert_eq!(
            class("esp32c3", 0xa5a5_a5a5),
            "the pattern of a stack that was never written"
        );
    }

    #[test]
    fn four_letters_are_a_text_in_the_order_of_memory() {
        assert_eq!(class("esp32", 0x6c6c_6568), "the text \"hell\"");
        assert_eq!(text_of(0x4200_1234), None);
    }

    #[test]
    fn memories_have_the_names_that_people_use() {
        for (chip, address, name) in [
            ("esp32", 0x400d_1122, "flash code"),
            ("esp32", 0x3f40_0010, "flash data"),
            ("esp32", 0x3f80_0010, "PSRAM"),
            ("esp32", 0x3ffb_5570, "DRAM"),
            ("esp32", 0x4008_1234, "IRAM"),
            ("esp32", 0x4000_c2e0, "ROM"),
            ("esp32", 0x3ff4_4004, "peripheral registers"),
            ("esp32", 0x5000_0000, "RTC memory"),
            ("esp32", 0x2000_0000, "no memory"),
            ("esp32s3", 0x4200_1234, "flash code"),
            ("esp32s3", 0x3c10_0000, "flash data"),
            ("esp32s3", 0x3fc9_1a40, "DRAM"),
            ("esp32c3", 0x4200_8f10, "flash code"),
            ("esp32c3", 0x3fc9_1a40, "DRAM"),
            ("esp32c3", 0x4038_1a40, "IRAM"),
            ("esp32c3", 0x6000_4004, "peripheral registers"),
            ("esp32c6", 0x4200_8f10, "flash"),
            ("esp32c6", 0x4081_0000, "RAM"),
            ("esp32p4", 0x4ff1_0000, "RAM"),
            ("esp32p4", 0x4fc0_0100, "ROM"),
            ("esp8266", 0x4020_1234, "flash code"),
            ("esp8266", 0x3fff_fd40, "DRAM"),
            ("esp8266", 0x4000_0100, "ROM"),
        ] {
            assert_eq!(class(chip, address), name, "{chip} 0x{address:08x}");
        }
    }

    #[test]
    fn without_the_chip_only_what_all_have_in_common_is_said() {
        let xtensa = [Architecture::XtensaLx6, Architecture::XtensaLx7];
        let map = MemoryMap::of_candidates(&xtensa, &[0x3ffb_5570], &[0x400d_1122]);
        // The ESP32 and the ESP32-S2 have both there; only the latter has anything at 0x3f000000.
        assert_eq!(
            map.classify(0x400d_1122),
            AddressClass::Memory(Region::FlashCode)
        );
        assert_eq!(map.classify(0x3f00_0010), AddressClass::Unknown);
        assert_eq!(map.classify(8), AddressClass::NearNull(8));
    }

    proptest! {
        #[test]
        fn every_address_of_every_chip_has_a_class(address: u32) {
            for chip in guru_chip::CHIPS {
                let class = MemoryMap::of(chip).classify(address);
                prop_assert_ne!(class, AddressClass::Unknown);
            }
        }
    }
}
