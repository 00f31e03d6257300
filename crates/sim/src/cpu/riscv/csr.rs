//! Control and status registers.

/// Numbers of the registers that do something; volume II, section 2.2.
pub(super) mod number {
    pub const MSTATUS: u16 = 0x300;
    pub const MISA: u16 = 0x301;
    pub const MIE: u16 = 0x304;
    pub const MTVEC: u16 = 0x305;
    /// Vector table of the CLIC (ESP32-C5, -C61, -P4).
    pub const MTVT: u16 = 0x307;
    pub const MEPC: u16 = 0x341;
    pub const MCAUSE: u16 = 0x342;
    pub const MTVAL: u16 = 0x343;
    pub const MIP: u16 = 0x344;
    pub const MCYCLE: u16 = 0xB00;
    pub const MINSTRET: u16 = 0xB02;
    pub const MCYCLEH: u16 = 0xB80;
    pub const MINSTRETH: u16 = 0xB82;
    pub const MVENDORID: u16 = 0xF11;
    pub const MHARTID: u16 = 0xF14;
    /// Performance counter of the ESP32-C3 and its relatives (`CSR_PCCR_MACHINE` in ESP-IDF's
    /// `riscv/csr.h`), from which ROM and ESP-IDF take the time.
    pub const PCCR_MACHINE: u16 = 0x7E2;
    /// The same as user code may see it.
    pub const PCCR_USER: u16 = 0x802;
    /// The privilege level (`CSR_PRV_MODE` in ESP-IDF's `riscv/csr.h`), 0xC10 on newer cores.
    pub const PRV_MODE: u16 = 0x810;
    pub const PRV_MODE_NEWER: u16 = 0xC10;
}

/// `mstatus`: interrupts are enabled.
pub(super) const STATUS_MIE: u32 = 1 << 3;
/// `mstatus`: they were, before the trap.
pub(super) const STATUS_MPIE: u32 = 1 << 7;
/// `mstatus`: the mode before the trap. Machine mode, always.
pub(super) const STATUS_MPP: u32 = 3 << 11;
/// Espressif's JEDEC number, as its RISC-V cores give it in `mvendorid`.
const ESPRESSIF: u32 = 0x612;

/// The registers. What only holds a value is held by number.
#[derive(Clone, Debug)]
pub(super) struct Csrs {
    held: Box<[u32; 4096]>,
    misa: u32,
    /// Instructions begun and traps taken; and of these, the ones that were not an instruction
    /// brought to its end.
    pub steps: u64,
    pub traps: u64,
    /// What to add to the two for `mcycle` and `minstret`.
    cycle_offset: u64,
    retired_offset: u64,
    counter_offset: u32,
    /// Interrupt lines. `mip` shows the low 32.
    pub pending: u64,
}

impl Csrs {
    pub fn new(hart: u32, atomics: bool) -> Self {
        let mut held = Box::new([0; 4096]);
        held[usize::from(number::MSTATUS)] = STATUS_MPP;
        held[usize::from(number::MVENDORID)] = ESPRESSIF;
        held[usize::from(number::MHARTID)] = hart;
        let letters = if atomics { "ACIM" } else { "CIM" };
        let bits = letters
            .bytes()
            .fold(0, |bits, letter| bits | 1 << (letter - b'A'));
        Self {
            held,
            misa: 1 << 30 | bits,
            steps: 0,
            traps: 0,
            cycle_offset: 0,
            retired_offset: 0,
            counter_offset: 0,
            pending: 0,
        }
    }

    /// A register that only holds what was written.
    pub fn held(&self, number: u16) -> u32 {
        self.held[usize::from(number & 0xFFF)]
    }

    pub fn hold(&mut self, number: u16, value: u32) {
        self.held[usize::from(number & 0xFFF)] = value;
    }

    fn cycle(&self) -> u64 {
        self.steps.wrapping_add(self.cycle_offset)
    }

    fn retired(&self) -> u64 {
        self.steps.wrapping_sub(self.traps)
    }

    fn instret(&self) -> u64 {
        self.retired().wrapping_add(self.retired_offset)
    }

    /// Reads a register; none if the CPU does not have it.
    pub fn read(&self, number: u16) -> Option<u32> {
        use number::*;
        Some(match number {
            MISA => self.misa,
            MIP => self.pending as u32,
            // cycle, time and instret, and the machine's own.
            MCYCLE | 0xC00 | 0xC01 => self.cycle() as u32,
            MCYCLEH | 0xC80 | 0xC81 => (self.cycle() >> 32) as u32,
            MINSTRET | 0xC02 => self.instret() as u32,
            MINSTRETH | 0xC82 => (self.instret() >> 32) as u32,
            PCCR_MACHINE | PCCR_USER => (self.steps as u32).wrapping_add(self.counter_offset),
            // Machine mode is the only one.
            PRV_MODE | PRV_MODE_NEWER => 3,
            _ if holds(number) => self.held(number),
            _ => return None,
        })
    }

    /// Writes a register, or the bits of it that can be written. False if the CPU does not have it
    /// or it is read-only.
    pub fn write(&mut self, number: u16, value: u32) -> bool {
        use number::*;
        // Bits 10 and 11 of a number both set: read-only, by the manual's convention.
        if number >> 10 == 3 || self.read(number).is_none() {
            return false;
        }
        let wide = u64::from(value);
        match number {
            MSTATUS => self.hold(MSTATUS, value & (STATUS_MIE | STATUS_MPIE) | STATUS_MPP),
            MEPC => self.hold(MEPC, value & !1),
            // Lines, not memory.
            MISA | MIP | PRV_MODE => {}
            MCYCLE => {
                let target = self.cycle() >> 32 << 32 | wide;
                self.cycle_offset = target.wrapping_sub(self.steps);
            }
            MCYCLEH => {
                let target = wide << 32 | self.cycle() & 0xFFFF_FFFF;
                self.cycle_offset = target.wrapping_sub(self.steps);
            }
            MINSTRET => {
                let target = self.instret() >> 32 << 32 | wide;
                self.retired_offset = target.wrapping_sub(self.retired());
            }
            MINSTRETH => {
                let target = wide << 32 | self.instret() & 0xFFFF_FFFF;
                self.retired_offset = target.wrapping_sub(self.retired());
            }
            PCCR_MACHINE | PCCR_USER => {
                self.counter_offset = value.wrapping_sub(self.steps as u32);
            }
            _ => self.hold(number, value),
        }
        true
    }
}

/// Whether a register counts time or instructions.
pub(super) const fn counts(number: u16) -> bool {
    matches!(
        number,
        number::PCCR_MACHINE
            | number::PCCR_USER
            | number::MCYCLE
            | number::MCYCLEH
            | number::MINSTRET
            | number::MINSTRETH
            | 0xC00..=0xC02
            | 0xC80..=0xC82
    )
}

/// Whether a register exists of which this model needs nothing but that it holds its value.
const fn holds(number: u16) -> bool {
    matches!(number,
        // user interrupts, which nobody takes: ustatus, uie, utvec, utvt, uscratch to uip, uintthresh
        0x000 | 0x004 | 0x005 | 0x007 | 0x040..=0x044 | 0x047
        // mstatus, mie, mtvec, mcounteren, mtvt, mstatush
        | 0x300 | 0x304..=0x307 | 0x310
        // mcountinhibit, mhpmevent3 to 31
        | 0x320 | 0x323..=0x33F
        // mscratch, mepc, mcause, mtval; the CLIC's mnxti to mscratchcsw, and mclicbase
        | 0x340..=0x343 | 0x345..=0x349 | 0x350
        // pmpcfg, pmpaddr: kept, not enforced
        | 0x3A0..=0x3EF
        // triggers: tselect to tinfo, tcontrol, mcontext
        | 0x7A0..=0x7A5 | 0x7A8
        // custom, machine: performance events, caches, hardware loop and vector state
        | 0x7C0..=0x7FF
        // custom, user: performance counters, dedicated GPIO
        | 0x800..=0x8FF
        // mhpmcounter3 to 31 and their high halves: nothing counts
        | 0xB03..=0xB1F | 0xB83..=0xB9F
        // custom, machine: memory attributes (PMA) of the ESP32-C6 and later
        | 0xBC0..=0xBFF
        // mvendorid, marchid, mimpid, mhartid, mconfigptr; mintstatus
        | 0xF11..=0xF15 | 0xFB1
        // uintstatus
        | 0xCB1
        // custom, read-only
        | 0xFC0..=0xFFF)
}
