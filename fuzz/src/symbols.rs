use guru_symbols::Program;

/// An ELF file and its debugging information: what is at addresses in its code is looked up, and is
/// what it should be, known or not.
pub fn symbols(bytes: &[u8]) {
    /// Addresses that are looked up in each section.
    const ADDRESSES: usize = 6;
    let Ok(program) = Program::new("fuzz", bytes.to_vec()) else {
        return;
    };
    let sections: Vec<_> = program.sections().iter().map(|one| one.memory()).collect();
    let mut symbols = guru_symbols::Symbols::new();
    assert!(symbols.add("fuzz", bytes.to_vec()).is_ok(), "it was opened");
    for section in sections {
        let step = ((section.end - section.start) as usize / ADDRESSES).max(1);
        for address in section.step_by(step).take(ADDRESSES) {
            let Ok(address) = u32::try_from(address) else {
                break;
            };
            let _ = symbols.locate_return(address);
            let Some(location) = symbols.locate(address) else {
                continue;
            };
            assert!(symbols.is_code(address));
            assert!(location.symbol.is_some() || !location.frames.is_empty());
            assert!(location.offset <= address);
            if let Some((last, inlined)) = location.frames.split_last() {
                assert!(!last.inlined && inlined.iter().all(|frame| frame.inlined));
            }
        }
    }
    let _ = program.damage();
    let _ = program.section(".debug_frame");
}
