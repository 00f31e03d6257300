//! A built stub: `NAME.bin`, its segments one behind the other, and `NAME.toml`, which says where
//! they go.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::chip::Stub;
use crate::Result;
use crate::elf::Program;

/// What the loader uploads.
pub struct Blob {
    program: Program,
    ram_start: u32,
    revisions: (Option<u32>, Option<u32>),
}

impl Blob {
    /// Checks that every segment lies where the chip's entry wants it.
    pub fn new(mut program: Program, stub: &Stub) -> Result<Self> {
        for (address, bytes) in &mut program.segments {
            // The ROM takes whole words.
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            let end = *address + u32::try_from(bytes.len())?;
            let inside = |range: [u32; 2]| range[0] <= *address && end <= range[1];
            if *address % 4 != 0 || !inside(stub.text) && !inside(stub.ram) {
                return Err(format!("{}: a segment at {address:#x} to {end:#x}", stub.blob).into());
            }
        }
        let ram_start = stub.ram[0];
        let revisions = (stub.min_revision, stub.max_revision);
        Ok(Self {
            program,
            ram_start,
            revisions,
        })
    }

    /// The segments, one behind the other.
    pub fn bytes(&self) -> Vec<u8> {
        let parts = self.program.segments.iter();
        parts.flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// The file that goes with them.
    pub fn description(&self, name: &str) -> String {
        let mut text = format!(
            "# Made by `cargo xtask stub` from stub/ and chips/. The segments stand in {name}.bin.\n\
             entry = {:#010x}\n",
            self.program.entry
        );
        for (key, revision) in ["min_revision", "max_revision"]
            .iter()
            .zip([self.revisions.0, self.revisions.1])
        {
            if let Some(revision) = revision {
                let _ = writeln!(text, "{key} = {revision}");
            }
        }
        let _ = writeln!(text, "# From here on it uses memory for itself.");
        let _ = writeln!(text, "ram = {:#010x}", self.ram_start);
        let _ = writeln!(text, "segments = [");
        for (address, bytes) in &self.program.segments {
            let _ = writeln!(
                text,
                "  {{ address = {address:#010x}, len = {} }},",
                bytes.len()
            );
        }
        let _ = writeln!(text, "]");
        let _ = write!(text, "sha256 = \"");
        for byte in Sha256::digest(self.bytes()) {
            let _ = write!(text, "{byte:02x}");
        }
        text.push_str("\"\n");
        text
    }
}
