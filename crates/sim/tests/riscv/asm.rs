//! Instruction words, and a board like QEMU's `virt` to run them on.

use guru_sim::cpu::riscv::{Options, Riscv};
use guru_sim::cpu::{Access, AddressSpace, Bus, Cpu, Fault, Stop};

/// Where RAM begins, and programs.
pub const RAM: u32 = 0x8000_0000;
pub const RAM_LEN: u32 = 0x4_0000;
const UART: u32 = 0x1000_0000;
const UART_STATUS: u32 = UART + 5;
const UART_EMPTY: u8 = 0x60;
const FINISHER: u32 = 0x10_0000;

pub fn r(opcode: u32, f3: u32, f7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode
}

pub fn i(opcode: u32, f3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    (imm as u32) << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode
}

pub fn s(f3: u32, rs1: u32, rs2: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (imm & 31) << 7 | 0x23
}

pub fn b(f3: u32, rs1: u32, rs2: u32, offset: i32) -> u32 {
    let imm = offset as u32;
    let high = (imm >> 12 & 1) << 31 | (imm >> 5 & 0x3F) << 25;
    let low = (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7;
    high | low | rs2 << 20 | rs1 << 15 | f3 << 12 | 0x63
}

pub fn jal(rd: u32, offset: i32) -> u32 {
    let imm = offset as u32;
    let high = (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3FF) << 21;
    high | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xFF) << 12 | rd << 7 | 0x6F
}

pub fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    i(0x13, 0, rd, rs1, imm)
}

pub fn sw(rs2: u32, rs1: u32, imm: i32) -> u32 {
    s(2, rs1, rs2, imm)
}

pub fn csrrw(rd: u32, csr: u32, rs1: u32) -> u32 {
    csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73
}

pub fn csrrs(rd: u32, csr: u32, rs1: u32) -> u32 {
    csr << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x73
}

pub fn auipc(rd: u32, pages: u32) -> u32 {
    pages << 12 | rd << 7 | 0x17
}

/// Two words that load any constant.
pub fn li(rd: u32, value: u32) -> [u32; 2] {
    let low = ((value << 20) as i32) >> 20;
    let high = value.wrapping_sub(low as u32) & !0xFFF;
    [high | rd << 7 | 0x37, addi(rd, rd, low)]
}

pub fn amo(funct5: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    r(0x2F, 2, funct5 << 2, rd, rs1, rs2)
}

pub const ECALL: u32 = 0x73;
pub const EBREAK: u32 = 0x10_0073;
pub const MRET: u32 = 0x3020_0073;

/// Memory, a UART that always has room, and a register that ends the run.
#[derive(Debug, Default)]
pub struct Virt {
    pub memory: AddressSpace,
    pub sent: Vec<u8>,
    pub finished: bool,
}

impl Virt {
    fn read(&self, address: u32) -> Result<u8, Fault> {
        match address {
            UART_STATUS => Ok(UART_EMPTY),
            _ => Err(Fault::Unmapped),
        }
    }

    fn write(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        match address {
            UART => self.sent.push(value as u8),
            FINISHER => self.finished = true,
            _ => return Err(Fault::Unmapped),
        }
        Ok(())
    }
}

impl Bus for Virt {
    fn load8(&mut self, address: u32) -> Result<u8, Fault> {
        let memory = self.memory.load8(address);
        memory.or_else(|_| self.read(address))
    }

    fn load16(&mut self, address: u32) -> Result<u16, Fault> {
        self.memory.load16(address)
    }

    fn load32(&mut self, address: u32) -> Result<u32, Fault> {
        self.memory.load32(address)
    }

    fn store8(&mut self, address: u32, value: u8) -> Result<(), Fault> {
        let memory = self.memory.store8(address, value);
        memory.or_else(|_| self.write(address, value.into()))
    }

    fn store16(&mut self, address: u32, value: u16) -> Result<(), Fault> {
        let memory = self.memory.store16(address, value);
        memory.or_else(|_| self.write(address, value.into()))
    }

    fn store32(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        let memory = self.memory.store32(address, value);
        memory.or_else(|_| self.write(address, value))
    }

    fn fetch(&mut self, address: u32) -> Result<u8, Fault> {
        self.memory.fetch(address)
    }

    fn code_epoch(&self) -> u32 {
        self.memory.code_epoch()
    }
}

/// A CPU with a program at the start of its RAM.
pub struct Board {
    pub cpu: Riscv,
    pub bus: Virt,
}

impl Board {
    pub fn new(options: Options, code: &[u8]) -> Self {
        let mut bus = Virt::default();
        let ram = bus.memory.add_bank(RAM_LEN);
        bus.memory
            .add_window(RAM, RAM_LEN, ram, 0, Access::Ram)
            .expect("it fits");
        bus.memory.poke(RAM, code).expect("the code fits");
        let mut cpu = Riscv::new(options);
        cpu.set_pc(RAM);
        Self { cpu, bus }
    }

    pub fn run(&mut self, budget: u64) -> Stop {
        self.cpu.run(&mut self.bus, budget).stop
    }
}

pub fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
