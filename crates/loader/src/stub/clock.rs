//! The CPU's clock: the ROM's loader leaves it so low on some chips that inflating, and not the line,
//! would set the pace.

use guru_link::Link;
use guru_stub::Kind;
use guru_wire::RegisterWrite;

use crate::{Error, Session};

/// Whether the higher rate is chosen when a stub comes up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Nothing speaks against it.
    #[default]
    Raised,
    /// It was chosen, and the stub has not yet proved itself with it.
    Tried,
    /// A stub has not come through its proof with it.
    Left,
}

/// What UART_CLKDIV holds, in sixteenths: a whole number in its lower 20 bits, a fraction above.
const fn sixteenths(clkdiv: u32) -> u32 {
    (clkdiv & 0xF_FFFF) << 4 | clkdiv >> 20 & 0xF
}

/// The word for UART_CLKDIV.
const fn clkdiv(sixteenths: u32) -> u32 {
    sixteenths >> 4 & 0xF_FFFF | (sixteenths & 0xF) << 20
}

impl<L: Link> Session<L> {
    /// Has the CPU run as fast as the bootloader would, while a stub of ours runs: until the next
    /// reset. A stub that does not come through its proof then is started without, the next time.
    pub(super) async fn raise_clock(&mut self) -> Result<(), Error> {
        let ours = |running: super::Running| running.kind == Kind::Guru;
        let Some(fast) = &self.chip.fast_clock else {
            return Ok(());
        };
        if self.stub.clock == Clock::Tried {
            self.stub.clock = Clock::Left;
        }
        let crystal = self.device.crystal_mhz;
        if !self.stub.running.is_some_and(ours)
            || self.stub.clock == Clock::Left
            || (fast.crystal_mhz.is_some() && fast.crystal_mhz != crystal)
            // The program that goes on without a reset might not expect it.
            || !self.resets()
        {
            return Ok(());
        }
        let mut writes: Vec<_> = fast
            .writes
            .iter()
            .map(|write| RegisterWrite {
                address: write.bits.addr,
                value: write.value << write.bits.lsb,
                mask: write.bits.mask(),
                delay_us: write.delay_us,
            })
            .collect();
        if let Some((mhz, crystal)) = fast.uart_mhz.zip(fast.crystal_mhz) {
            let address = self.chip.uart.clkdiv;
            let before = sixteenths(self.read_reg_surely(address).await?);
            writes.push(RegisterWrite {
                address,
                value: clkdiv(before * u32::from(mhz) / u32::from(crystal)),
                mask: u32::MAX,
                delay_us: 0,
            });
        }
        self.stub.clock = Clock::Tried;
        self.write_regs_in_time(writes).await
    }

    /// The stub has proved itself at the rate that the CPU has now.
    pub(super) fn clock_works(&mut self) {
        if self.stub.clock == Clock::Tried {
            self.stub.clock = Clock::Raised;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divider_is_scaled_with_its_fraction() {
        // 40 MHz at 921600 baud: 43 and 6 sixteenths; of 80 MHz: 86 and 12.
        let before = 43 | 6 << 20;
        assert_eq!(clkdiv(sixteenths(before) * 80 / 40), 86 | 12 << 20);
        assert_eq!(clkdiv(sixteenths(0xF_FFFF) * 2), 0xF_FFFE);
    }
}
