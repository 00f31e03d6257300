/// Something that happened to a simulated chip, for whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The chip was reset, and started in its loader or from flash.
    Reset {
        /// The cause as the chip prints it.
        cause: &'static str,
        /// Whether the serial loader runs.
        download: bool,
    },
    /// Code in RAM was to be run. It was answered, and the chip has stopped: of this chip no code is
    /// executed.
    CodeNotExecuted {
        /// The entry point.
        entry: u32,
    },
    /// A program in RAM runs.
    Started {
        /// The entry point.
        entry: u32,
    },
    /// The program looked at, or wrote, a register that is not modelled. It reads as what was written
    /// last, or 0. Said once for each register and direction.
    UnknownRegister {
        /// Its address.
        address: u32,
        /// It was written.
        write: bool,
    },
    /// The program called a function of the ROM that is not there. The CPU has stopped.
    UnknownRomFunction {
        /// Its address.
        address: u32,
        /// Where the CPU was to return to.
        caller: u32,
    },
    /// The program did something that nobody handles. The CPU has stopped.
    Crashed {
        /// What it was: `mcause` (RISC-V) or `EXCCAUSE` (Xtensa).
        cause: u32,
        /// The address of the instruction.
        pc: u32,
        /// The address that could not be reached, or the instruction; 0 if it was neither.
        value: u32,
    },
    /// The program has returned to the ROM's loader.
    Returned,
    /// The chip has loaded its image from flash. It is not executed.
    AppNotExecuted,
    /// The UART's rate was changed by a command.
    BaudChanged {
        /// Bits per second.
        baud: u32,
    },
    /// Bytes came while the loader could not take them.
    Overflow {
        /// How many were lost.
        lost: u64,
    },
    /// A fault took the supply away; it comes back.
    PowerLost,
    /// A fault took the connection away.
    Disconnected,
    /// The chip's own USB device has left the bus with a reset.
    LeftBus,
    /// The loader waits for its flash for ever.
    Stuck,
    /// The file behind the flash failed.
    FlashFile {
        /// What the system said.
        error: String,
    },
}

/// Counts since a simulated chip was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes from the host to the chip, as handed over.
    pub bytes_to_chip: u64,
    /// Bytes from the chip to the host, as delivered.
    pub bytes_to_host: u64,
    /// Bytes that the chip has put on the line, delivered or not: by these, faults have their places.
    pub sent_to_host: u64,
    /// Transfers from the host: calls of `write`.
    pub writes: u64,
    /// Commands that the loader has answered.
    pub commands: u64,
    /// Resets.
    pub resets: u64,
    /// Erase commands of the flash.
    pub erase_commands: u64,
    /// Bytes that were erased.
    pub erased_bytes: u64,
    /// Program commands of the flash.
    pub program_commands: u64,
    /// Bytes that were programmed.
    pub programmed_bytes: u64,
    /// Bytes that waited in the receive buffer, at the most.
    pub max_buffered: usize,
    /// Bytes that were lost because the receive buffer was full.
    pub lost_bytes: u64,
}
