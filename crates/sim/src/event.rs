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
    /// Code in RAM was to be run. It was answered, and the chip has stopped: code is not executed.
    CodeNotExecuted {
        /// The entry point.
        entry: u32,
    },
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
