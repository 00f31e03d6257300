//! Guru's own form of a stub: a `.bin` with the segments one behind the other, and a `.toml` that says
//! where they go. `cargo xtask stub` makes both.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Kind, Segment, Stub, StubError};

/// What the `.toml` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Description {
    entry: u32,
    /// First revision of the chip that it is for.
    #[serde(default)]
    pub min_revision: u16,
    /// Last revision of the chip that it is for.
    #[serde(default = "any")]
    pub max_revision: u16,
    segments: Vec<Place>,
    sha256: String,
}

#[derive(Debug, Deserialize)]
struct Place {
    address: u32,
    len: usize,
}

fn any() -> u16 {
    u16::MAX
}

impl Description {
    pub fn parse(file: &str, text: &str) -> Result<Self, StubError> {
        toml::from_str(text).map_err(|error| StubError::new(file, error.message().to_owned()))
    }

    /// The stub, whose bytes must be those that were described.
    pub fn stub(&self, file: &str, bytes: &[u8]) -> Result<Stub, StubError> {
        let digest = Sha256::digest(bytes);
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if found != self.sha256 {
            let expected = &self.sha256;
            return Err(StubError::new(
                file,
                format!("its SHA-256 is {found}, not {expected}"),
            ));
        }
        let mut rest = bytes;
        let mut segments = Vec::new();
        for place in &self.segments {
            let Some((head, tail)) = rest.split_at_checked(place.len) else {
                return Err(StubError::new(file, "its segments are longer than it is"));
            };
            segments.push(Segment {
                address: place.address,
                bytes: head.to_vec(),
            });
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(StubError::new(file, "it is longer than its segments"));
        }
        Ok(Stub {
            kind: Kind::Guru,
            file: file.to_owned(),
            segments,
            entry: self.entry,
        })
    }
}
