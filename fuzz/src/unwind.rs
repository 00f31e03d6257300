use guru_symbols::unwind::{Memory, Registers, call0, riscv, xtensa};
use guru_symbols::{Symbols, rom};

/// Where the stack begins.
const STACK: u32 = 0x3FC9_0000;

/// The ROM, registers, a stack and an ELF file: whatever they are, each unwinder comes to an end.
///
/// The first byte chooses the ROM; 33 words are the program counter and the registers; a half word is
/// the length of the stack in words, which follows; the rest is the file.
pub fn unwind(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    let Some((values, bytes)) = bytes.split_at_checked(4 * 33) else {
        return;
    };
    let Some((len, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let len = 4 * usize::from(u16::from_le_bytes(*len));
    let (stack, elf) = bytes.split_at(len.min(bytes.len()));
    let mut symbols = Symbols::new();
    // Without a file the ROM is still there.
    let _ = symbols.add("fuzz", elf.to_vec());
    symbols.set_rom(rom::all().get(usize::from(which)));
    let words = |bytes: &[u8]| -> Vec<u32> {
        let words = bytes.as_chunks::<4>().0.iter();
        words.map(|word| u32::from_le_bytes(*word)).collect()
    };
    let values = words(values);
    let mut registers = Registers {
        pc: values.first().copied(),
        ..Registers::default()
    };
    for (register, value) in registers.x.iter_mut().zip(values.iter().skip(1)) {
        *register = Some(*value);
    }
    let memory = |address: u32, into: &mut [u8]| {
        let at = address.wrapping_sub(STACK) as usize;
        let found = stack.get(at..at.saturating_add(into.len()));
        found.map(|found| into.copy_from_slice(found)).is_some()
    };
    let memory: &dyn Memory = &memory;
    let stack = words(stack);
    let pairs: Vec<(u32, u32)> = stack
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| (pair[0], pair[1]))
        .collect();
    for trace in [
        riscv::unwind(&symbols, &registers, memory),
        xtensa::unwind(&symbols, &registers, memory),
        xtensa::printed(&symbols, &pairs, &registers),
    ] {
        for frame in &trace.frames {
            let _ = frame.locate(&symbols);
        }
    }
    let _ = call0::possible(&symbols, (STACK..).step_by(4).zip(stack));
}
