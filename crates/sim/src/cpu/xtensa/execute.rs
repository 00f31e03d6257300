//! What each instruction does.

use super::config::Misaligned;
use super::core::{Cause, Core, Interruption, ps};
use super::decode::{Insn, Op};
use crate::cpu::{Bus, Fault};

fn load_refused(fault: Fault, address: u32) -> Interruption {
    let cause = match fault {
        Fault::WordOnly => Cause::LoadStoreError,
        _ => Cause::LoadProhibited,
    };
    Interruption::General(cause, Some(address))
}

fn store_refused(fault: Fault, address: u32) -> Interruption {
    let cause = match fault {
        Fault::WordOnly => Cause::LoadStoreError,
        _ => Cause::StoreProhibited,
    };
    Interruption::General(cause, Some(address))
}

/// The sign bit of a number of `sign + 1` bits, spread over the bits above it.
fn sign_extend(value: u32, sign: u32) -> u32 {
    let up = 31u32.saturating_sub(sign);
    (((value << up) as i32) >> up) as u32
}

impl Core {
    /// Executes one instruction that has passed the window check. The result is the next address.
    #[inline(always)]
    pub(super) fn execute<B: Bus>(&mut self, bus: &mut B, insn: Insn) -> Result<u32, Interruption> {
        let pc = self.pc;
        let (r, s, t, imm) = (insn.r, insn.s, insn.t, insn.imm);
        macro_rules! to {
            ($register:expr, $value:expr) => {{
                let value = $value;
                self.set($register, value)
            }};
        }
        macro_rules! branch {
            ($taken:expr) => {
                if $taken {
                    return Ok(imm);
                }
            };
        }
        macro_rules! bit {
            ($number:expr) => {
                self.br >> $number & 1 != 0
            };
        }
        macro_rules! set_bit {
            ($value:expr) => {{
                let value = u32::from($value);
                self.br = self.br & !(1 << r) | value << r;
            }};
            (t: $value:expr) => {{
                let value = u32::from($value);
                self.br = self.br & !(1 << t) | value << t;
            }};
        }
        let next = pc.wrapping_add(u32::from(insn.len));
        match insn.op {
            Op::L32i => {
                let address = self.get(s).wrapping_add(imm);
                to!(t, self.load32(bus, address)?);
            }
            Op::S32i => {
                let address = self.get(s).wrapping_add(imm);
                self.store32(bus, address, self.get(t))?;
            }
            Op::L32r => {
                let base = if self.litbase & 1 != 0 {
                    self.litbase & !0xfff
                } else {
                    pc.wrapping_add(3) & !3
                };
                to!(t, self.load32(bus, base.wrapping_add(imm))?);
            }
            Op::Mov => to!(t, self.get(s)),
            Op::Movi => to!(t, imm),
            Op::Add => to!(r, self.get(s).wrapping_add(self.get(t))),
            Op::Addi => to!(t, self.get(s).wrapping_add(imm)),
            Op::Addx2 => to!(r, (self.get(s) << 1).wrapping_add(self.get(t))),
            Op::Addx4 => to!(r, (self.get(s) << 2).wrapping_add(self.get(t))),
            Op::Addx8 => to!(r, (self.get(s) << 3).wrapping_add(self.get(t))),
            Op::Sub => to!(r, self.get(s).wrapping_sub(self.get(t))),
            Op::Subx2 => to!(r, (self.get(s) << 1).wrapping_sub(self.get(t))),
            Op::Subx4 => to!(r, (self.get(s) << 2).wrapping_sub(self.get(t))),
            Op::Subx8 => to!(r, (self.get(s) << 3).wrapping_sub(self.get(t))),
            Op::And => to!(r, self.get(s) & self.get(t)),
            Op::Or => to!(r, self.get(s) | self.get(t)),
            Op::Xor => to!(r, self.get(s) ^ self.get(t)),
            Op::Neg => to!(r, self.get(t).wrapping_neg()),
            Op::Abs => to!(r, (self.get(t) as i32).unsigned_abs()),
            // A shift by 32, which the manual leaves open, gives 0 here.
            Op::Slli => to!(r, self.get(s).checked_shl(imm).unwrap_or(0)),
            Op::Srai => to!(r, ((self.get(t) as i32) >> imm) as u32),
            Op::Srli => to!(r, self.get(t) >> imm),
            Op::Src => {
                let pair = u64::from(self.get(s)) << 32 | u64::from(self.get(t));
                to!(r, (pair >> self.sar) as u32);
            }
            Op::Srl => to!(r, (u64::from(self.get(t)) >> self.sar) as u32),
            Op::Sll => to!(r, (u64::from(self.get(s)) << 32 >> self.sar) as u32),
            Op::Sra => to!(r, (i64::from(self.get(t) as i32) >> self.sar) as u32),
            Op::Ssr => self.sar = self.get(s) & 31,
            Op::Ssl => self.sar = 32 - (self.get(s) & 31),
            Op::Ssa8l => self.sar = (self.get(s) & 3) << 3,
            Op::Ssa8b => self.sar = 32 - ((self.get(s) & 3) << 3),
            Op::Ssai => self.sar = imm,
            Op::Extui => to!(r, self.get(t) >> s & imm),
            Op::Sext => to!(r, sign_extend(self.get(s), imm)),
            Op::Clamps => {
                let limit = 1i32 << imm;
                to!(r, (self.get(s) as i32).clamp(-limit, limit - 1) as u32);
            }
            Op::Min => to!(r, (self.get(s) as i32).min(self.get(t) as i32) as u32),
            Op::Max => to!(r, (self.get(s) as i32).max(self.get(t) as i32) as u32),
            Op::Minu => to!(r, self.get(s).min(self.get(t))),
            Op::Maxu => to!(r, self.get(s).max(self.get(t))),
            Op::Salt => to!(r, u32::from((self.get(s) as i32) < self.get(t) as i32)),
            Op::Saltu => to!(r, u32::from(self.get(s) < self.get(t))),
            Op::Nsa => {
                let value = self.get(s);
                let folded = if value >> 31 != 0 { !value } else { value };
                to!(t, folded.leading_zeros() - 1);
            }
            Op::Nsau => to!(t, self.get(s).leading_zeros()),
            Op::Mul16u => to!(r, (self.get(s) & 0xffff) * (self.get(t) & 0xffff)),
            Op::Mul16s => {
                let product = i32::from(self.get(s) as i16) * i32::from(self.get(t) as i16);
                to!(r, product as u32);
            }
            Op::Mull => to!(r, self.get(s).wrapping_mul(self.get(t))),
            Op::Muluh => {
                let product = u64::from(self.get(s)) * u64::from(self.get(t));
                to!(r, (product >> 32) as u32);
            }
            Op::Mulsh => {
                let product = i64::from(self.get(s) as i32) * i64::from(self.get(t) as i32);
                to!(r, (product >> 32) as u32);
            }
            Op::Quou | Op::Quos | Op::Remu | Op::Rems => {
                let (n, d) = (self.get(s), self.get(t));
                if d == 0 {
                    return Err(Cause::IntegerDivideByZero.into());
                }
                to!(
                    r,
                    match insn.op {
                        Op::Quou => n / d,
                        Op::Quos => (n as i32).wrapping_div(d as i32) as u32,
                        Op::Remu => n % d,
                        _ => (n as i32).wrapping_rem(d as i32) as u32,
                    }
                );
            }
            Op::Moveqz => {
                if self.get(t) == 0 {
                    to!(r, self.get(s));
                }
            }
            Op::Movnez => {
                if self.get(t) != 0 {
                    to!(r, self.get(s));
                }
            }
            Op::Movltz => {
                if (self.get(t) as i32) < 0 {
                    to!(r, self.get(s));
                }
            }
            Op::Movgez => {
                if (self.get(t) as i32) >= 0 {
                    to!(r, self.get(s));
                }
            }
            Op::Movf => {
                if !bit!(t) {
                    to!(r, self.get(s));
                }
            }
            Op::Movt => {
                if bit!(t) {
                    to!(r, self.get(s));
                }
            }
            Op::L8ui => {
                let address = self.get(s).wrapping_add(imm);
                let value = bus.load8(address).map_err(|f| load_refused(f, address))?;
                to!(t, u32::from(value));
            }
            Op::L16ui => {
                let address = self.get(s).wrapping_add(imm);
                to!(t, u32::from(self.load16(bus, address)?));
            }
            Op::L16si => {
                let address = self.get(s).wrapping_add(imm);
                to!(t, self.load16(bus, address)? as i16 as u32);
            }
            Op::S8i => {
                let address = self.get(s).wrapping_add(imm);
                bus.store8(address, self.get(t) as u8)
                    .map_err(|f| store_refused(f, address))?;
                self.see_epoch(bus);
            }
            Op::S16i => {
                let address = self.get(s).wrapping_add(imm);
                self.aligned(address, 2)?;
                bus.store16(address, self.get(t) as u16)
                    .map_err(|f| store_refused(f, address))?;
                self.see_epoch(bus);
            }
            Op::S32c1i => {
                let address = self.get(s).wrapping_add(imm);
                if address & 3 != 0 {
                    return Err(Interruption::General(
                        Cause::LoadStoreAlignment,
                        Some(address),
                    ));
                }
                let old = self.load32(bus, address)?;
                if old == self.scompare1 {
                    self.store32(bus, address, self.get(t))?;
                }
                self.set(t, old);
            }
            Op::L32e => {
                let address = self.get(s).wrapping_add(imm);
                to!(t, self.load32(bus, address)?);
            }
            Op::S32e => {
                let address = self.get(s).wrapping_add(imm);
                self.store32(bus, address, self.get(t))?;
            }
            Op::J => return Ok(imm),
            Op::Jx => return Ok(self.get(s)),
            Op::Beq => branch!(self.get(s) == self.get(t)),
            Op::Bne => branch!(self.get(s) != self.get(t)),
            Op::Blt => branch!((self.get(s) as i32) < self.get(t) as i32),
            Op::Bge => branch!(self.get(s) as i32 >= self.get(t) as i32),
            Op::Bltu => branch!(self.get(s) < self.get(t)),
            Op::Bgeu => branch!(self.get(s) >= self.get(t)),
            Op::Beqi => branch!(self.get(s) == insn.second.value()),
            Op::Bnei => branch!(self.get(s) != insn.second.value()),
            Op::Blti => branch!((self.get(s) as i32) < insn.second.value() as i32),
            Op::Bgei => branch!(self.get(s) as i32 >= insn.second.value() as i32),
            Op::Bltui => branch!(self.get(s) < insn.second.value()),
            Op::Bgeui => branch!(self.get(s) >= insn.second.value()),
            Op::Beqz => branch!(self.get(s) == 0),
            Op::Bnez => branch!(self.get(s) != 0),
            Op::Bltz => branch!((self.get(s) as i32) < 0),
            Op::Bgez => branch!(self.get(s) as i32 >= 0),
            Op::Bnone => branch!(self.get(s) & self.get(t) == 0),
            Op::Bany => branch!(self.get(s) & self.get(t) != 0),
            Op::Ball => branch!(!self.get(s) & self.get(t) == 0),
            Op::Bnall => branch!(!self.get(s) & self.get(t) != 0),
            Op::Bbc => branch!(self.get(s) >> (self.get(t) & 31) & 1 == 0),
            Op::Bbs => branch!(self.get(s) >> (self.get(t) & 31) & 1 != 0),
            Op::Bbci => branch!(self.get(s) >> (t & 31) & 1 == 0),
            Op::Bbsi => branch!(self.get(s) >> (t & 31) & 1 != 0),
            Op::Bf => branch!(!bit!(s)),
            Op::Bt => branch!(bit!(s)),
            Op::Call0 => {
                self.called = 0;
                self.set(0, next);
                return Ok(imm);
            }
            Op::Callx0 => {
                let target = self.get(s);
                self.called = 0;
                self.set(0, next);
                return Ok(target);
            }
            Op::Call => {
                self.call(t, next);
                return Ok(imm);
            }
            Op::Callx => {
                let target = self.get(s);
                self.call(imm as u8, next);
                return Ok(target);
            }
            Op::Ret => return Ok(self.get(0)),
            Op::Retw => return self.retw(),
            Op::Entry => {
                let callinc = (self.ps >> ps::CALLINC_SHIFT & 3) as u8;
                if s > 3 || self.ps & (ps::WOE | ps::EXCM) != ps::WOE {
                    return Err(Cause::IllegalInstruction.into());
                }
                if callinc >= self.window_limit {
                    self.overflow(callinc);
                    return Ok(self.pc);
                }
                let stack = self.get(s).wrapping_sub(imm);
                self.set(callinc << 2 | s, stack);
                self.set_window_base(self.window_base() + u32::from(callinc));
                self.window_start |= 1 << self.window_base();
                self.window_changed();
            }
            Op::Movsp => {
                if (1..=3).all(|below| !self.frame_at(-below)) {
                    return Err(Cause::Alloca.into());
                }
                to!(t, self.get(s));
            }
            Op::Rotw => {
                self.set_window_base(self.window_base().wrapping_add(imm));
                self.window_changed();
            }
            Op::Loop => {
                self.begin_loop(self.get(s), next, imm);
                return Ok(next);
            }
            Op::Loopnez => {
                let count = self.get(s);
                self.begin_loop(count, next, imm);
                return Ok(if count == 0 { imm } else { next });
            }
            Op::Loopgtz => {
                let count = self.get(s);
                self.begin_loop(count, next, imm);
                return Ok(if count as i32 <= 0 { imm } else { next });
            }
            Op::Andb => set_bit!(bit!(s) & bit!(t)),
            Op::Andbc => set_bit!(bit!(s) & !bit!(t)),
            Op::Orb => set_bit!(bit!(s) | bit!(t)),
            Op::Orbc => set_bit!(bit!(s) | !bit!(t)),
            Op::Xorb => set_bit!(bit!(s) ^ bit!(t)),
            Op::Any4 => set_bit!(t: self.br >> (s & 12) & 0xf != 0),
            Op::All4 => set_bit!(t: self.br >> (s & 12) & 0xf == 0xf),
            Op::Any8 => set_bit!(t: self.br >> (s & 8) & 0xff != 0),
            Op::All8 => set_bit!(t: self.br >> (s & 8) & 0xff == 0xff),
            Op::Rsr => {
                self.see_time(imm);
                to!(t, self.read_special(imm)?);
            }
            Op::Wsr => {
                self.see_time(imm);
                self.write_special(imm, self.get(t))?;
            }
            Op::Xsr => {
                self.see_time(imm);
                let old = self.read_special(imm)?;
                self.write_special(imm, self.get(t))?;
                self.set(t, old);
            }
            Op::Rur => to!(r, self.read_user(imm)?),
            Op::Wur => self.write_user(imm, self.get(t))?,
            // No external register is modelled: they hold debug and trace units.
            Op::Rer | Op::RegionRead => self.set(t, 0),
            Op::Wer | Op::Nop => {}
            Op::Rsil => {
                to!(t, self.ps);
                self.set_ps(self.ps & !ps::INTLEVEL | imm);
            }
            Op::Waiti => {
                self.set_ps(self.ps & !ps::INTLEVEL | imm);
                self.waiting = true;
            }
            Op::Isync => self.see_epoch(bus),
            Op::Rfe => {
                self.set_ps(self.ps & !ps::EXCM);
                return Ok(self.epc[1]);
            }
            Op::Rfde => return Ok(self.epc[0]),
            Op::Rfi => {
                let level = imm as usize & 7;
                self.set_ps(self.eps[level]);
                return Ok(self.epc[level]);
            }
            Op::Rfwo => {
                self.window_start &= !(1 << self.window_base());
                return Ok(self.leave_window_handler());
            }
            Op::Rfwu => {
                self.window_start |= 1 << self.window_base();
                return Ok(self.leave_window_handler());
            }
            Op::Syscall => return Err(Cause::Syscall.into()),
            Op::Break | Op::BreakN => {
                let level = u32::from(self.config.debug_level);
                let masked = if self.ps & ps::EXCM != 0 {
                    u32::from(self.config.excm_level)
                } else {
                    0
                };
                // Without a debugger, and where the level is masked, a break point does nothing.
                if masked.max(self.ps & ps::INTLEVEL) < level {
                    self.debugcause = if insn.op == Op::Break { 1 << 3 } else { 1 << 4 };
                    self.raise_level(level as u8, pc);
                    return Ok(self.pc);
                }
            }
            Op::Trap => return Err(Interruption::Trap),
            Op::Illegal => return Err(Cause::IllegalInstruction.into()),
            Op::Mac16 => self.execute_mac(bus, insn)?,
            _ => self.execute_float(bus, insn)?,
        }
        // Only what falls through to the end of a loop goes round, not what jumps there.
        if next == self.lend && self.lcount != 0 && self.ps & ps::EXCM == 0 {
            self.lcount -= 1;
            return Ok(self.lbeg);
        }
        Ok(next)
    }

    /// Puts the return address and the window increment `n`, 1 to 3, where the callee's `ENTRY`
    /// expects them.
    #[inline(always)]
    fn call(&mut self, n: u8, next: u32) {
        self.called = n;
        self.ps = self.ps & !ps::CALLINC | u32::from(n) << ps::CALLINC_SHIFT;
        self.set(n << 2, u32::from(n) << 30 | next & 0x3fff_ffff);
    }

    fn retw(&mut self) -> Result<u32, Interruption> {
        let link = self.get(0);
        let n = link >> 30;
        let target = self.pc & 0xc000_0000 | link & 0x3fff_ffff;
        let nearest = (1..=3).find(|&below| self.frame_at(-below));
        let another = nearest.is_some_and(|below| below as u32 != n);
        if n == 0 || another || self.ps & (ps::WOE | ps::EXCM) != ps::WOE {
            return Err(Cause::IllegalInstruction.into());
        }
        let owb = self.window_base();
        self.set_window_base(owb.wrapping_sub(n));
        if self.frame_at(0) {
            self.window_start &= !(1 << owb);
            self.window_changed();
            return Ok(target);
        }
        self.window_exception(owb, 0x40 + (n - 1) * 0x80);
        Ok(self.pc)
    }

    fn leave_window_handler(&mut self) -> u32 {
        self.set_window_base(self.ps >> ps::OWB_SHIFT & 15);
        self.set_ps(self.ps & !ps::EXCM);
        self.epc[1]
    }

    fn begin_loop(&mut self, count: u32, begin: u32, end: u32) {
        self.lcount = count.wrapping_sub(1);
        self.lbeg = begin;
        self.lend = end;
    }

    #[inline(always)]
    fn aligned(&self, address: u32, width: u32) -> Result<(), Interruption> {
        if address & (width - 1) != 0 && self.config.misaligned == Misaligned::Raises {
            return Err(Interruption::General(
                Cause::LoadStoreAlignment,
                Some(address),
            ));
        }
        Ok(())
    }

    #[inline(always)]
    fn load16<B: Bus>(&self, bus: &mut B, address: u32) -> Result<u16, Interruption> {
        self.aligned(address, 2)?;
        bus.load16(address).map_err(|f| load_refused(f, address))
    }

    #[inline(always)]
    pub(super) fn load32<B: Bus>(&self, bus: &mut B, address: u32) -> Result<u32, Interruption> {
        self.aligned(address, 4)?;
        bus.load32(address).map_err(|f| load_refused(f, address))
    }

    #[inline(always)]
    pub(super) fn store32<B: Bus>(
        &mut self,
        bus: &mut B,
        address: u32,
        value: u32,
    ) -> Result<(), Interruption> {
        self.aligned(address, 4)?;
        bus.store32(address, value)
            .map_err(|f| store_refused(f, address))?;
        self.see_epoch(bus);
        Ok(())
    }
}
