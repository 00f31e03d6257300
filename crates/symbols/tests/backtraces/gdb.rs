//! GDB's view: one process for all backtraces.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;

/// A program, and the core files for it.
pub struct Cases {
    pub elf: PathBuf,
    pub cores: Vec<PathBuf>,
}

/// A frame of GDB's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub pc: u32,
    /// Whether it has a place on the stack of its own.
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Inlined,
    TailCall,
}

const SCRIPT: &str = "\
import gdb
def show():
    frame = gdb.newest_frame()
    count = 0
    while frame is not None and count < 400:
        kind = {gdb.INLINE_FRAME: 'I', gdb.TAILCALL_FRAME: 'T'}.get(frame.type(), 'N')
        print('FRAME %s %x' % (kind, frame.pc()))
        count += 1
        try:
            frame = frame.older()
        except gdb.error:
            frame = None
for elf, cores in CASES:
    gdb.execute('file ' + elf)
    for core in cores:
        gdb.execute('core-file ' + core, to_string=True)
        print('CORE ' + core)
        show()
    gdb.execute('core-file', to_string=True)
";

/// The backtrace of each core file, in order.
pub fn backtraces(folder: &Path, cases: &[Cases]) -> Result<Vec<Vec<Frame>>, String> {
    let mut text = String::from("CASES = [\n");
    for case in cases {
        let _ = write!(text, "({:?}, [", case.elf);
        for core in &case.cores {
            let _ = write!(text, "{core:?},");
        }
        text.push_str("]),\n");
    }
    text.push_str("]\n");
    text.push_str(SCRIPT);
    let script = folder.join("script.py");
    tools::write(&script, text)?;
    let told = tools::run(
        Command::new(tools::tool("GURU_GDB")?)
            .args(["-nx", "-batch", "-iex", "set osabi none"])
            .args([
                "-iex",
                "set auto-load no",
                "-iex",
                "set debuginfod enabled off",
            ])
            .arg("-x")
            .arg(&script),
    )?;
    let mut traces: Vec<Vec<Frame>> = Vec::new();
    for line in told.lines() {
        if line.starts_with("CORE ") {
            traces.push(Vec::new());
        } else if let Some(rest) = line.strip_prefix("FRAME ")
            && let Some(trace) = traces.last_mut()
            && let Some((kind, pc)) = rest.split_once(' ')
        {
            trace.push(Frame {
                pc: u32::from_str_radix(pc, 16).map_err(|error| error.to_string())?,
                kind: match kind {
                    "I" => Kind::Inlined,
                    "T" => Kind::TailCall,
                    _ => Kind::Normal,
                },
            });
        }
    }
    Ok(traces)
}
