//! What every peripheral of a running program is to the rest of the machine.

/// What an access did beyond its value. It decides whether a program that only waits can be led
/// past the waiting: a loop whose accesses say nothing here, that stores nothing new and comes back
/// to the same registers, does the same until the next event.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activity {
    /// Something is different from before: a byte was taken from a FIFO, a register has another
    /// value, a command ran that changed its target.
    pub changed: bool,
    /// The value depends on the time of the access: a counter.
    pub moves: bool,
}

/// A block of registers. Offsets count from the block's first address and are multiples of 4;
/// times are nanoseconds of the virtual clock.
pub(crate) trait Block {
    /// Value of a register. `None`: it is not modelled.
    fn read(&mut self, offset: u32, now: u64, activity: &mut Activity) -> Option<u32>;

    /// Writes a register. `false`: it is not modelled.
    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool;

    /// The interrupt sources that are asserted, as bits of the block's own choice.
    fn interrupts(&mut self, _now: u64) -> u32 {
        0
    }

    /// When, after `now`, a register or an interrupt source of the block changes by itself next,
    /// with nothing coming from outside. Counters do not count: their reads say that they move.
    fn next_event(&self, _now: u64) -> Option<u64> {
        None
    }
}
