//! Instruction words, and a board like QEMU's `virt` to run them on.

use guru_sim::cpu::riscv::{Options, Riscv};
use guru_sim::cpu::{Access, AddressSpace, Cpu, Fault, Registers, Stop, Width};

/// Where RAM begins, and programs.
pub const RAM: u32 = 0x8000_0000;
pub const RAM_LEN: u32 = 0x4_0000;
const UART: u32 = 0x1000_0000;
const UART_STATUS: u32 = UART + 5;
const UART_EMPTY: u32 = 0x60;
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

/// A UART that always has room, and a register that ends the run.
#[derive(Debug, Default)]
pub struct Virt {
    pub sent: Vec<u8>,
    pub finished: bool,
}

impl Registers for Virt {
    fn read(&mut self, address: u32, _: Width) -> Result<u32, Fault> {
        if address == UART_STATUS {
            Ok(UART_EMPTY)
        } else {
            Err(Fault::Unmapped)
        }
    }

    fn write(&mut self, address: u32, _: Width, value: u32) -> Result<(), Fault> {
        match address {
            UART => self.sent.push(value as u8),
            FINISHER => self.finished = true,
            _ => return Err(Fault::Unmapped),
        }
        Ok(())
    }
}

/// A CPU with a program at the start of its RAM.
pub struct Board {
    pub cpu: Riscv,
    pub space: AddressSpace<Virt>,
}

impl Board {
    pub fn new(options: Options, code: &[u8]) -> Self {
        let mut space = AddressSpace::new(Virt::default());
        let ram = space.add_bank(RAM_LEN);
        space
            .add_window(RAM, RAM_LEN, ram, 0, Access::Ram)
            .expect("it fits");
        space.poke(RAM, code).expect("the code fits");
        let mut cpu = Riscv::new(options);
        cpu.set_pc(RAM);
        Self { cpu, space }
    }

    pub fn run(&mut self, budget: u64) -> Stop {
        self.cpu.run(&mut self.space, budget).stop
    }
}

pub fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
