//! What a CPU model sees of the rest of its chip: bytes at addresses, and refusals.

/// How many bytes one access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
}

impl Width {
    /// The number of bytes: 1, 2 or 4.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// Why a bus refused an access. The CPU makes an exception of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing answers at the address.
    Unmapped,
    /// A store to memory that cannot be written.
    ReadOnly,
    /// A fetch from memory that holds no code.
    NotExecutable,
    /// Memory that takes whole, aligned words only, as the instruction RAM of the ESP32 does.
    WordOnly,
}

/// Memory and registers behind a CPU. Little-endian. The address is what the CPU sees, 32 bits.
///
/// An access may be misaligned: a CPU that traps on these does so before it asks. A word or half
/// word that would run over the end of the address space is refused.
pub trait Bus {
    /// Tells how many steps the CPU had made ([`super::Cpu::steps`]) before the instruction whose
    /// accesses follow: what registers answer depends on the time.
    #[inline(always)]
    fn at(&mut self, _steps: u64) {}

    /// Whether an access has changed the interrupt lines of the CPU. It then ends its run, so that it
    /// can be told before the next instruction.
    #[inline(always)]
    fn lines_changed(&self) -> bool {
        false
    }

    /// Reads one byte. Reading a register may have effects.
    fn load8(&mut self, address: u32) -> Result<u8, Fault>;
    /// Reads two bytes.
    fn load16(&mut self, address: u32) -> Result<u16, Fault>;
    /// Reads four bytes.
    fn load32(&mut self, address: u32) -> Result<u32, Fault>;
    /// Writes one byte.
    fn store8(&mut self, address: u32, value: u8) -> Result<(), Fault>;
    /// Writes two bytes.
    fn store16(&mut self, address: u32, value: u16) -> Result<(), Fault>;
    /// Writes four bytes.
    fn store32(&mut self, address: u32, value: u32) -> Result<(), Fault>;

    /// Reads one byte of an instruction. Called once for each time an instruction is decoded, not
    /// each time it runs: whoever implements this remembers what was fetched, and lets
    /// [`Bus::code_epoch`] tell when that was overwritten.
    fn fetch(&mut self, address: u32) -> Result<u8, Fault>;

    /// A number that changes whenever bytes that have been fetched are overwritten, through whichever
    /// address they are seen at, by the CPU or by anyone else. A CPU looks at it when it begins to
    /// run and after each of its stores, and forgets its decoded instructions when it changed.
    fn code_epoch(&self) -> u32;
}
