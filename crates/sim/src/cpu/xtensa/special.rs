//! Special and user registers by number.

use super::core::{Cause, Core, Interruption, ps};

impl Core {
    /// Counts what the program has to do with `CCOUNT`.
    #[inline(always)]
    pub(super) fn see_time(&mut self, number: u32) {
        if number == 234 {
            self.times_read += 1;
        }
    }

    /// Reads a special register.
    pub(super) fn read_special(&self, number: u32) -> Result<u32, Interruption> {
        let config = &self.config;
        let top = u32::from(config.top_level);
        Ok(match number {
            0 if config.loops => self.lbeg,
            1 if config.loops => self.lend,
            2 if config.loops => self.lcount,
            3 => self.sar,
            4 if config.booleans => self.br,
            5 if config.litbase => self.litbase,
            12 if config.s32c1i => self.scompare1,
            16 | 17 if config.mac16 => self.mac[number as usize - 16],
            32..=35 if config.mac16 => self.mac[number as usize - 30],
            72 if config.windowed => self.window_base(),
            73 if config.windowed => u32::from(self.window_start),
            176 => config.config_id[0],
            208 => config.config_id[1],
            177..=183 if number - 176 <= top => self.epc[number as usize - 176],
            192 => self.epc[0],
            194..=199 if number - 192 <= top => self.eps[number as usize - 192],
            209..=215 if number - 208 <= top => self.excsave[number as usize - 208],
            224 if config.windowed => self.cpenable,
            226 => self.interrupt(),
            228 => self.intenable,
            230 => self.ps,
            231 => self.vecbase,
            232 => self.exccause,
            233 => self.debugcause,
            234 => self.ccount(),
            235 => self.prid,
            238 => self.excvaddr,
            240..=242 if self.has_timer(number) => self.ccompare[number as usize - 240],
            244..=247 if number - 244 < u32::from(config.misc) => self.misc[number as usize - 244],
            _ if inert(number) => self.inert[number as usize & 255],
            _ => return Err(Cause::IllegalInstruction.into()),
        })
    }

    /// Writes a special register.
    pub(super) fn write_special(&mut self, number: u32, value: u32) -> Result<(), Interruption> {
        let config = self.config;
        let top = u32::from(config.top_level);
        match number {
            0 if config.loops => self.lbeg = value,
            1 if config.loops => self.lend = value,
            2 if config.loops => self.lcount = value,
            3 => self.sar = value & 63,
            4 if config.booleans => self.br = value & 0xffff,
            5 if config.litbase => self.litbase = value,
            12 if config.s32c1i => self.scompare1 = value,
            16 if config.mac16 => self.mac[0] = value,
            // The accumulator has 40 bits, its high part is signed.
            17 if config.mac16 => self.mac[1] = value as u8 as i8 as u32,
            32..=35 if config.mac16 => self.mac[number as usize - 30] = value,
            72 if config.windowed => {
                self.set_window_base(value);
                self.window_changed();
            }
            73 if config.windowed => {
                self.window_start = (value & ((2 << (self.ar_mask >> 2)) - 1)) as u16;
                self.window_changed();
            }
            177..=183 if number - 176 <= top => self.epc[number as usize - 176] = value,
            192 => self.epc[0] = value,
            194..=199 if number - 192 <= top => self.eps[number as usize - 192] = value & ps::ALL,
            209..=215 if number - 208 <= top => self.excsave[number as usize - 208] = value,
            224 if config.windowed => self.cpenable = value & 0xff,
            226 => self.set_software(value),
            227 => self.clear_interrupts(value),
            228 => {
                self.intenable = value;
                self.attention = true;
            }
            230 => self.set_ps(value),
            // The vectors' alignment: 1 KB of them on LX6 and LX7, 128 bytes on the LX106.
            231 if config.windowed => self.vecbase = value & !0x3ff,
            231 => self.vecbase = value & !0x7f,
            232 => self.exccause = value & 63,
            234 => {
                self.ccount_offset = value.wrapping_sub(self.instructions() as u32);
                self.attention = true;
            }
            238 => self.excvaddr = value,
            240..=242 if self.has_timer(number) => self.set_ccompare(number as usize - 240, value),
            244..=247 if number - 244 < u32::from(config.misc) => {
                self.misc[number as usize - 244] = value;
            }
            _ if inert(number) => self.inert[number as usize & 255] = value,
            // Registers that can be read alone.
            176 | 208 | 233 | 235 => {}
            _ => return Err(Cause::IllegalInstruction.into()),
        }
        Ok(())
    }

    fn holds_user(&self, number: u32) -> bool {
        let mut held = self.config.user.iter();
        held.any(|&(first, last)| (u32::from(first)..=u32::from(last)).contains(&number))
    }

    fn has_timer(&self, number: u32) -> bool {
        number.wrapping_sub(240) < self.config.interrupts.timers.len() as u32
    }

    /// Reads a user register: `THREADPTR`, or the floating point unit's control words.
    pub(super) fn read_user(&self, number: u32) -> Result<u32, Interruption> {
        match number {
            231 if self.config.threadptr => Ok(self.threadptr),
            232 | 233 if self.config.float => {
                self.coprocessor0()?;
                Ok(if number == 232 { self.fcr } else { self.fsr })
            }
            _ if self.holds_user(number) => Ok(self.user[number as usize & 255]),
            _ => Err(Cause::IllegalInstruction.into()),
        }
    }

    /// Writes a user register.
    pub(super) fn write_user(&mut self, number: u32, value: u32) -> Result<(), Interruption> {
        match number {
            231 if self.config.threadptr => self.threadptr = value,
            232 | 233 if self.config.float => {
                self.coprocessor0()?;
                if number == 232 {
                    self.fcr = value & 0x7f;
                } else {
                    self.fsr = value & 0xf80;
                }
            }
            _ if self.holds_user(number) => self.user[number as usize & 255] = value,
            _ => return Err(Cause::IllegalInstruction.into()),
        }
        Ok(())
    }
}

/// Registers that start-up code sets and that change nothing here: break points, memory control,
/// `CACHEATTR`, `ATOMCTL`, `DDR`, `MEPC` and its kind, counters of instructions.
fn inert(number: u32) -> bool {
    matches!(number, 83 | 90..=92 | 96..=99 | 104 | 106..=112 | 128 | 129 | 144 | 145 | 160 | 161 | 236 | 237)
}
