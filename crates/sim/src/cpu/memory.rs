//! The memory in front of a CPU: banks, seen through windows.

use std::collections::HashMap;

use super::{Bus, Fault};

const PAGE_BITS: u32 = 12;
const PAGES: usize = 1 << (32 - PAGE_BITS);
/// Memory is remembered as fetched, or not, in pieces of this many bytes.
const GRANULE_BITS: u32 = 4;
/// What memory holds at first. What nobody has written is not written by us either, so that it takes
/// none of the host's memory.
static ZEROS: [u8; 1 << PAGE_BITS] = [0; 1 << PAGE_BITS];
/// In the page table: no window.
const NONE: u8 = 0;
/// In the page table: several windows, or one that does not fill the page; look at each.
const SEVERAL: u8 = u8::MAX;

/// What may be done through a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads, stores and code.
    Ram,
    /// Loads and stores.
    Data,
    /// Loads and code.
    Rom,
    /// Loads.
    Constants,
    /// Loads, stores and code, whole aligned words only: instruction RAM of Xtensa chips.
    WordOnly,
}

impl Access {
    const fn writes(self) -> bool {
        matches!(self, Self::Ram | Self::Data | Self::WordOnly)
    }

    const fn executes(self) -> bool {
        matches!(self, Self::Ram | Self::Rom | Self::WordOnly)
    }
}

/// A piece of physical memory of an [`AddressSpace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank(usize);

/// Why a memory map is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// A window of no length, or one that does not fit its bank or the address space.
    #[error("a window of {len:#x} bytes at {start:#010x} does not fit")]
    DoesNotFit {
        /// First address.
        start: u32,
        /// Length in bytes.
        len: u32,
    },
    /// A window over another one.
    #[error("the window at {start:#010x} overlaps the one at {other:#010x}")]
    Overlap {
        /// First address.
        start: u32,
        /// First address of the window that was there.
        other: u32,
    },
    /// More windows than the page table can number (254).
    #[error("too many windows")]
    TooMany,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: u32,
    len: u32,
    /// Where its first byte is in `AddressSpace::bytes`.
    at: usize,
    access: Access,
}

/// Memory at its addresses. Whoever has registers beside it is a [`Bus`] of its own, and asks here
/// first.
///
/// One [`Bank`] may be seen through several windows, as the RAM of most chips is through the
/// instruction and the data bus.
#[derive(Debug)]
pub struct AddressSpace {
    bytes: Vec<u8>,
    /// Of each granule of `bytes`, whether code was fetched from it since it was written.
    fetched: Vec<bool>,
    banks: Vec<(usize, u32)>,
    windows: Vec<Window>,
    /// For each page of 4 KB a window's number + 1, [`NONE`] or [`SEVERAL`].
    pages: Vec<u8>,
    epoch: u32,
    /// A store has changed a byte since this was last set to `false`.
    pub(crate) changed: bool,
    /// Of each byte that a store has changed since [`Self::remember`], what it was.
    before: HashMap<usize, u8>,
    remembers: bool,
}

impl Default for AddressSpace {
    /// An address space without memory.
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            fetched: Vec::new(),
            banks: Vec::new(),
            windows: Vec::new(),
            pages: vec![NONE; PAGES],
            epoch: 0,
            changed: false,
            before: HashMap::new(),
            remembers: false,
        }
    }
}

impl AddressSpace {
    /// Adds `len` bytes of memory, all 0, which no window shows yet.
    pub fn add_bank(&mut self, len: u32) -> Bank {
        // A granule belongs to one bank, so that two banks do not look like one another's code.
        let start = self.bytes.len().next_multiple_of(1 << GRANULE_BITS);
        let mut bytes = vec![0; start + len as usize];
        for (new, old) in bytes.chunks_mut(ZEROS.len()).zip(used(&mut self.bytes)) {
            if let Some(old) = old {
                new[..old.len()].copy_from_slice(old);
            }
        }
        self.bytes = bytes;
        self.fetched
            .resize((self.bytes.len() >> GRANULE_BITS) + 1, false);
        self.banks.push((start, len));
        Bank(self.banks.len() - 1)
    }

    /// Shows `len` bytes of a bank, from `offset` on, at the address `start`.
    pub fn add_window(
        &mut self,
        start: u32,
        len: u32,
        bank: Bank,
        offset: u32,
        access: Access,
    ) -> Result<(), MapError> {
        let fits = |end: Option<u32>, limit: u32| end.is_some_and(|end| end <= limit);
        let bank = self.banks.get(bank.0).copied();
        let Some((at, _)) = bank.filter(|(_, size)| {
            len > 0 && fits(offset.checked_add(len), *size) && start.checked_add(len - 1).is_some()
        }) else {
            return Err(MapError::DoesNotFit { start, len });
        };
        let last = start + (len - 1);
        let overlaps = |w: &&Window| start <= w.start + (w.len - 1) && w.start <= last;
        if let Some(other) = self.windows.iter().find(overlaps) {
            return Err(MapError::Overlap {
                start,
                other: other.start,
            });
        }
        let number = u8::try_from(self.windows.len() + 1).unwrap_or(SEVERAL);
        if number == SEVERAL {
            return Err(MapError::TooMany);
        }
        self.windows.push(Window {
            start,
            len,
            at: at + offset as usize,
            access,
        });
        for page in start >> PAGE_BITS..=last >> PAGE_BITS {
            let entry = &mut self.pages[page as usize];
            *entry = if *entry == NONE { number } else { SEVERAL };
        }
        Ok(())
    }

    /// Copies memory out, as a debugger would: no registers, and nothing if not all of it is memory.
    pub fn peek(&self, address: u32, into: &mut [u8]) -> Result<(), Fault> {
        for (offset, byte) in (0..).zip(into) {
            let at = address.checked_add(offset).ok_or(Fault::Unmapped)?;
            *byte = self.bytes[self.find(at, 1).ok_or(Fault::Unmapped)?.0];
        }
        Ok(())
    }

    /// Puts bytes into memory, read-only memory too, as a loader of images does. At the first
    /// address that is not memory it stops.
    pub fn poke(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        for (offset, byte) in (0..).zip(bytes) {
            let at = address.checked_add(offset).ok_or(Fault::Unmapped)?;
            let (index, _) = self.find(at, 1).ok_or(Fault::Unmapped)?;
            self.bytes[index] = *byte;
            self.written(index, 1);
        }
        Ok(())
    }

    /// Where `len` bytes at an address are, if one window shows them all.
    #[inline]
    fn find(&self, address: u32, len: u32) -> Option<(usize, Access)> {
        let inside = |w: &Window| {
            let offset = address.wrapping_sub(w.start);
            let room = offset < w.len && w.len - offset >= len;
            room.then(|| (w.at + offset as usize, w.access))
        };
        match self.pages[(address >> PAGE_BITS) as usize] {
            NONE => None,
            SEVERAL => self.windows.iter().find_map(inside),
            number => self.windows.get(usize::from(number) - 1).and_then(inside),
        }
    }

    #[inline]
    fn written(&mut self, index: usize, len: usize) {
        let (first, last) = (index >> GRANULE_BITS, (index + len - 1) >> GRANULE_BITS);
        if self.fetched[first] || self.fetched[last] {
            self.fetched[first] = false;
            self.fetched[last] = false;
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// Reads memory. `None`: no window shows all of it.
    #[inline]
    pub(crate) fn load_memory<const N: usize>(&self, address: u32) -> Option<Result<u32, Fault>> {
        let (index, access) = self.find(address, N as u32)?;
        if access == Access::WordOnly && (N != 4 || address & 3 != 0) {
            return Some(Err(Fault::WordOnly));
        }
        let mut word = [0; 4];
        word[..N].copy_from_slice(&self.bytes[index..index + N]);
        Some(Ok(u32::from_le_bytes(word)))
    }

    /// Writes memory. `None`: no window shows all of it.
    #[inline]
    pub(crate) fn store_memory<const N: usize>(
        &mut self,
        address: u32,
        value: u32,
    ) -> Option<Result<(), Fault>> {
        let (index, access) = self.find(address, N as u32)?;
        if !access.writes() {
            return Some(Err(Fault::ReadOnly));
        }
        if access == Access::WordOnly && (N != 4 || address & 3 != 0) {
            return Some(Err(Fault::WordOnly));
        }
        let value = &value.to_le_bytes()[..N];
        let differs = self.bytes[index..index + N] != *value;
        self.changed |= differs;
        if differs && self.remembers {
            self.note(index, N);
        }
        self.bytes[index..index + N].copy_from_slice(value);
        self.written(index, N);
        Some(Ok(()))
    }

    /// Remembers from now on what stores change.
    pub(crate) fn remember(&mut self) {
        self.before.clear();
        self.remembers = true;
    }

    /// No longer remembers it.
    pub(crate) fn forget(&mut self) {
        self.remembers = false;
    }

    /// Whether all is as it was at [`Self::remember`].
    pub(crate) fn is_as_remembered(&self) -> bool {
        let mut before = self.before.iter();
        before.all(|(index, byte)| self.bytes[*index] == *byte)
    }

    #[cold]
    fn note(&mut self, index: usize, len: usize) {
        for index in index..index + len {
            self.before.entry(index).or_insert(self.bytes[index]);
        }
    }

    /// Whether some window shows the byte at an address.
    pub(crate) fn holds(&self, address: u32) -> bool {
        self.find(address, 1).is_some()
    }

    /// Reads a byte as part of an instruction; see [`Bus::fetch`].
    pub(crate) fn fetch_memory(&mut self, address: u32) -> Result<u8, Fault> {
        let (index, access) = self.find(address, 1).ok_or(Fault::Unmapped)?;
        if !access.executes() {
            return Err(Fault::NotExecutable);
        }
        self.fetched[index >> GRANULE_BITS] = true;
        Ok(self.bytes[index])
    }

    /// Whether code can be fetched from an address.
    pub(crate) fn executes(&self, address: u32) -> bool {
        self.find(address, 1)
            .is_some_and(|(_, access)| access.executes())
    }

    /// See [`Bus::code_epoch`].
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Clears what can be written.
    pub(crate) fn clear(&mut self) {
        for window in self.windows.iter().filter(|window| window.access.writes()) {
            let bytes = &mut self.bytes[window.at..window.at + window.len as usize];
            used(bytes).flatten().for_each(|piece| piece.fill(0));
        }
        self.fetched.fill(false);
        self.epoch = self.epoch.wrapping_add(1);
    }
}

impl AddressSpace {
    #[inline]
    fn load<const N: usize>(&self, address: u32) -> Result<u32, Fault> {
        match self.load_memory::<N>(address) {
            Some(result) => result,
            None if N == 1 => Err(Fault::Unmapped),
            None => self.load_across::<N>(address),
        }
    }

    /// What begins in one window and ends in the next.
    #[cold]
    fn load_across<const N: usize>(&self, address: u32) -> Result<u32, Fault> {
        let mut word = 0;
        for offset in 0..N as u32 {
            let at = address.checked_add(offset).ok_or(Fault::Unmapped)?;
            word |= self.load::<1>(at)? << (8 * offset);
        }
        Ok(word)
    }

    #[inline]
    fn store<const N: usize>(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        match self.store_memory::<N>(address, value) {
            Some(result) => result,
            None if N == 1 => Err(Fault::Unmapped),
            None => self.store_across::<N>(address, value),
        }
    }

    #[cold]
    fn store_across<const N: usize>(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        for (offset, byte) in (0..N as u32).zip(value.to_le_bytes()) {
            let at = address.checked_add(offset).ok_or(Fault::Unmapped)?;
            self.store::<1>(at, byte.into())?;
        }
        Ok(())
    }
}

impl Bus for AddressSpace {
    #[inline]
    fn load8(&mut self, address: u32) -> Result<u8, Fault> {
        self.load::<1>(address).map(|value| value as u8)
    }

    #[inline]
    fn load16(&mut self, address: u32) -> Result<u16, Fault> {
        self.load::<2>(address).map(|value| value as u16)
    }

    #[inline]
    fn load32(&mut self, address: u32) -> Result<u32, Fault> {
        self.load::<4>(address)
    }

    #[inline]
    fn store8(&mut self, address: u32, value: u8) -> Result<(), Fault> {
        self.store::<1>(address, value.into())
    }

    #[inline]
    fn store16(&mut self, address: u32, value: u16) -> Result<(), Fault> {
        self.store::<2>(address, value.into())
    }

    #[inline]
    fn store32(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        self.store::<4>(address, value)
    }

    fn fetch(&mut self, address: u32) -> Result<u8, Fault> {
        self.fetch_memory(address)
    }

    #[inline]
    fn code_epoch(&self) -> u32 {
        self.epoch
    }
}

/// The pages of memory, without those that hold what they held at first.
fn used(bytes: &mut [u8]) -> impl Iterator<Item = Option<&mut [u8]>> {
    let pages = bytes.chunks_mut(ZEROS.len());
    pages.map(|page| (*page != ZEROS[..page.len()]).then_some(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_through_the_data_window_tells_of_code_fetched_through_the_other() {
        let mut space = AddressSpace::default();
        let ram = space.add_bank(0x2000);
        space
            .add_window(0x4037_C000, 0x2000, ram, 0, Access::Ram)
            .unwrap();
        space
            .add_window(0x3FC8_0000, 0x2000, ram, 0, Access::Data)
            .unwrap();
        space.store32(0x3FC8_0100, 0x1234_5678).unwrap();
        let before = space.code_epoch();
        assert_eq!(space.fetch(0x4037_C100), Ok(0x78));
        space.store8(0x3FC8_0200, 1).unwrap();
        assert_eq!(space.code_epoch(), before);
        space.store8(0x3FC8_0100, 1).unwrap();
        assert_ne!(space.code_epoch(), before);
        assert_eq!(space.fetch(0x3FC8_0100), Err(Fault::NotExecutable));
    }

    #[test]
    fn read_only_and_word_only_memory_refuse_what_they_cannot_do() {
        let mut space = AddressSpace::default();
        let ram = space.add_bank(0x100);
        let rom = space.add_bank(0x100);
        space
            .add_window(0x1000, 0x100, ram, 0, Access::WordOnly)
            .unwrap();
        space
            .add_window(0x1100, 0x100, rom, 0, Access::Rom)
            .unwrap();
        space.poke(0x1100, &[1, 2, 3, 4]).unwrap();
        assert_eq!(space.load32(0x1100), Ok(0x0403_0201));
        assert_eq!(space.store32(0x1100, 0), Err(Fault::ReadOnly));
        assert_eq!(space.load8(0x1000), Err(Fault::WordOnly));
        assert_eq!(space.store32(0x1001, 0), Err(Fault::WordOnly));
        assert_eq!(space.store32(0x1000, 5), Ok(()));
        assert_eq!(space.load32(0x1200), Err(Fault::Unmapped));
    }

    #[test]
    fn a_misaligned_word_may_cross_from_one_window_to_the_next() {
        let mut space = AddressSpace::default();
        let (one, two) = (space.add_bank(0x10), space.add_bank(0x10));
        space.add_window(0x1000, 0x10, one, 0, Access::Ram).unwrap();
        space.add_window(0x1010, 0x10, two, 0, Access::Ram).unwrap();
        space.store32(0x100E, 0xA1B2_C3D4).unwrap();
        assert_eq!(space.load32(0x100E), Ok(0xA1B2_C3D4));
        assert_eq!(space.load16(0x1010), Ok(0xA1B2));
        assert_eq!(space.load32(0x101E), Err(Fault::Unmapped));
        assert_eq!(space.load32(u32::MAX), Err(Fault::Unmapped));
    }

    #[test]
    fn memory_is_as_remembered_once_each_byte_is_back() {
        let mut space = AddressSpace::default();
        let ram = space.add_bank(0x100);
        space
            .add_window(0x1000, 0x100, ram, 0, Access::Ram)
            .unwrap();
        space.store32(0x1000, 0x1234).unwrap();
        space.remember();
        assert!(space.is_as_remembered());
        space.store8(0x1001, 7).unwrap();
        space.store32(0x1000, 9).unwrap();
        assert!(!space.is_as_remembered());
        space.store32(0x1000, 0x1234).unwrap();
        assert!(space.is_as_remembered());
    }

    #[test]
    fn a_reset_clears_what_can_be_written_and_nothing_else() {
        let mut space = AddressSpace::default();
        let rom = space.add_bank(0x1234);
        space.add_window(0, 0x1234, rom, 0, Access::Rom).unwrap();
        space.poke(0x1000, &[5]).unwrap();
        let ram = space.add_bank(0x5000);
        space
            .add_window(0x8000, 0x5000, ram, 0, Access::Ram)
            .unwrap();
        for at in [0x8000, 0xA123, 0xCFFC] {
            space.store32(at, 0xDEAD_BEEF).unwrap();
        }
        space.clear();
        let mut all = vec![1; 0x5000];
        space.peek(0x8000, &mut all).unwrap();
        assert!(all.iter().all(|byte| *byte == 0));
        assert_eq!(space.load8(0x1000), Ok(5));
    }

    #[test]
    fn windows_that_overlap_or_do_not_fit_are_refused() {
        let mut space = AddressSpace::default();
        let ram = space.add_bank(0x100);
        space
            .add_window(0xFFFF_FF00, 0x100, ram, 0, Access::Ram)
            .unwrap();
        let overlap = space.add_window(0xFFFF_FFFC, 4, ram, 0, Access::Ram);
        assert!(matches!(overlap, Err(MapError::Overlap { .. })));
        for (start, len, offset) in [(0, 0x101, 0), (0, 0, 0), (0, 1, 0x100), (u32::MAX, 2, 0)] {
            let result = space.add_window(start, len, ram, offset, Access::Ram);
            assert!(matches!(result, Err(MapError::DoesNotFit { .. })));
        }
    }
}
