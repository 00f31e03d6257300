//! Which options of the Xtensa architecture a chip's core was configured with.

/// What happens at a load or store whose address is not a multiple of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misaligned {
    /// The core does it, as LX6 and LX7 of these chips do.
    Done,
    /// `LoadStoreAlignment` is raised, as on the LX106.
    Raises,
}

/// Where the exception vectors lie, as offsets from `VECBASE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vectors {
    /// The six window vectors are 0x40 apart from here, overflow 4 first.
    pub window: u32,
    /// Interrupts of level 2 and above, by level minus 2; the debug level and the NMI are among
    /// them. Unused entries are 0.
    pub level: [u32; 6],
    /// General exceptions while `PS.UM` is clear.
    pub kernel: u32,
    /// General exceptions while `PS.UM` is set.
    pub user: u32,
    /// Exceptions while `PS.EXCM` is set.
    pub double: u32,
}

/// The interrupts of a core: one bit or one entry an interrupt number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupts {
    /// The level of each interrupt, 1 to 7; 0 where there is none.
    pub level: [u8; 32],
    /// Those that software sets with `INTSET`.
    pub software: u32,
    /// Those that remember an edge of their line.
    pub edge: u32,
    /// The interrupt of each `CCOMPARE` register, in order.
    pub timers: &'static [u8],
    /// The non-maskable one, if there is one: `INTENABLE` does not concern it.
    pub nmi: Option<u8>,
}

/// A core's options. An instruction of an option that is absent is illegal.
///
/// The numbers are those of `core-isa.h` of each core, as published with Espressif's ESP-IDF
/// (`components/xtensa/<chip>/include/xtensa/config`) and, for the LX106, with its RTOS SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Registers are seen through a window of 16; otherwise there are 16.
    pub windowed: bool,
    /// How many registers there are behind the window: 64 in all chips, or 32.
    pub registers: u8,
    /// `LOOP`, `LOOPNEZ`, `LOOPGTZ`.
    pub loops: bool,
    /// `MULUH`, `MULSH`.
    pub mul32_high: bool,
    /// `QUOU`, `QUOS`, `REMU`, `REMS`.
    pub div32: bool,
    /// `MIN`, `MAX`, `MINU`, `MAXU`, `SEXT`, `CLAMPS`: a core has all of them or none.
    pub minmax: bool,
    /// `SALT`, `SALTU`: LX7 has them.
    pub salt: bool,
    /// `BR` and the instructions on it.
    pub booleans: bool,
    /// The 40-bit accumulator and the `M` registers.
    pub mac16: bool,
    /// The floating point unit for single precision, which is coprocessor 0.
    pub float: bool,
    /// `S32C1I` and `SCOMPARE1`.
    pub s32c1i: bool,
    /// `L32R` relative to `LITBASE`.
    pub litbase: bool,
    /// `THREADPTR`.
    pub threadptr: bool,
    /// User registers of the chip's own instructions, first and last: they are kept, so that code
    /// may save and restore them.
    pub user: &'static [(u8, u8)],
    /// How many `MISC` registers there are.
    pub misc: u8,
    /// Misaligned loads and stores.
    pub misaligned: Misaligned,
    /// `VECBASE` after a reset.
    pub vecbase: u32,
    /// Where a core begins after a reset.
    pub reset: u32,
    /// Vectors.
    pub vectors: Vectors,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// The interrupt level that `PS.EXCM` masks.
    pub excm_level: u8,
    /// The level of debug exceptions.
    pub debug_level: u8,
    /// The highest level there is: the NMI's.
    pub top_level: u8,
    /// What `CONFIGID0` and `CONFIGID1` read.
    pub config_id: [u32; 2],
}

/// Vectors of the LX6 and LX7 cores of all chips.
const LX6_VECTORS: Vectors = Vectors {
    window: 0,
    level: [0x180, 0x1c0, 0x200, 0x240, 0x280, 0x2c0],
    kernel: 0x300,
    user: 0x340,
    double: 0x3c0,
};

/// Interrupts of the LX6 and LX7 cores of all chips.
const LX6_INTERRUPTS: Interrupts = Interrupts {
    level: [
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 1, 1, 7, 3, 5, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 3, 4, 3,
        4, 5,
    ],
    software: 1 << 7 | 1 << 29,
    edge: 1 << 10 | 1 << 22 | 1 << 28 | 1 << 30,
    timers: &[6, 15, 16],
    nmi: Some(14),
};

impl Config {
    /// The LX6 of the ESP32.
    pub const ESP32: Self = Self {
        windowed: true,
        registers: 64,
        loops: true,
        mul32_high: true,
        div32: true,
        minmax: true,
        salt: false,
        booleans: true,
        mac16: true,
        float: true,
        s32c1i: true,
        litbase: false,
        threadptr: true,
        user: &[(234, 236)],
        misc: 4,
        misaligned: Misaligned::Done,
        vecbase: 0x4000_0000,
        reset: 0x4000_0400,
        vectors: LX6_VECTORS,
        interrupts: LX6_INTERRUPTS,
        excm_level: 3,
        debug_level: 6,
        top_level: 7,
        config_id: [0xc2bc_fffe, 0x1cc5_fe96],
    };

    /// The LX7 of the ESP32-S2: no loops, no booleans, no MAC16, no floating
    /// point, no compare and swap.
    pub const ESP32_S2: Self = Self {
        loops: false,
        booleans: false,
        mac16: false,
        float: false,
        s32c1i: false,
        salt: true,
        user: &[(0, 0)],
        config_id: [0xc2ec_fafe, 0x2207_5f76],
        ..Self::ESP32
    };

    /// The LX7 of the ESP32-S3, without its vector instructions, which are illegal here.
    pub const ESP32_S3: Self = Self {
        salt: true,
        user: &[(0, 18)],
        config_id: [0xc2f0_fffe, 0x2309_0f1f],
        ..Self::ESP32
    };

    /// The LX106 of the ESP8266.
    pub const LX106: Self = Self {
        windowed: false,
        registers: 16,
        loops: false,
        mul32_high: false,
        div32: false,
        minmax: false,
        salt: false,
        booleans: false,
        mac16: false,
        float: false,
        s32c1i: false,
        litbase: true,
        threadptr: false,
        user: &[],
        misc: 0,
        misaligned: Misaligned::Raises,
        vecbase: 0x4000_0000,
        reset: 0x4000_0080,
        vectors: Vectors {
            window: 0,
            level: [0x10, 0x20, 0, 0, 0, 0],
            kernel: 0x30,
            user: 0x50,
            double: 0x70,
        },
        interrupts: Interrupts {
            level: [
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0,
            ],
            software: 1 << 7,
            edge: 0x3f00,
            timers: &[6],
            nmi: Some(14),
        },
        excm_level: 1,
        debug_level: 2,
        top_level: 3,
        config_id: [0xc28c_dafa, 0x1082_b6f6],
    };
}
