/// Bytes of a sector, the smallest unit that a flash erases.
pub const SECTOR: u32 = 0x1000;

/// Bytes of a block, the unit that a ROM erases at once where it can.
pub const BLOCK: u32 = 0x1_0000;

/// The start of the sector that `address` lies in.
pub const fn sector_floor(address: u32) -> u32 {
    address - address % SECTOR
}

/// The end of the sector that the byte before `address` lies in; `u64`, because the last sector
/// of the address space ends at 4 GiB.
pub const fn sector_ceil(address: u64) -> u64 {
    address.div_ceil(SECTOR as u64) * SECTOR as u64
}
