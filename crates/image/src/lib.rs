//! Firmware as files hold it: the bytes that go to flash, the image format that the ROM boots,
//! and what a flasher must know of it before it writes.

mod build;
mod compatible;
mod contents;
mod crc32;
mod descriptor;
mod elf;
mod extent;
mod firmware;
mod header;
pub mod hex;
mod image;
mod info;
mod kind;
mod merge;
mod patch;
mod ram;
mod sha256;
mod signature;
mod split;
pub mod uf2;

pub use build::{
    AppendedDigest, BuildError, BuildNotice, BuildOptions, BuiltFile, CountedSegments, ElfSource,
    Esp8266Version, Makeup, SecurePad, SharedPage, WriteError, build,
};
pub use compatible::{Compatibility, Family, Mismatch, Requirement, compatibility};
pub use contents::{Contents, MAX_LEN, ReadError, Reader};
pub use descriptor::{AppDescriptor, BootloaderDescriptor};
pub use elf::{
    Elf, ElfDebug, ElfError, ElfLayout, ElfMemory, ElfPart, ElfPlace, ElfProblem, ElfSection,
    ElfSymbol, ElfTable, Loadable, Machine,
};
pub use extent::{Extent, extent};
pub use firmware::{Firmware, FirmwareError, FirmwarePart, Place};
pub use header::{ExtendedHeader, HEADER_LEN, Header, HeaderError, MAGIC, MAX_SEGMENTS};
pub use image::{Form, Image, ImageError, Part, SEGMENT_HEADER_LEN, Segment};
pub use info::{Checked, ImageInfo, InfoError, MAGIC_V2, Problem, SegmentInfo};
pub use kind::Kind;
pub use merge::{Merge, MergeError, Placed};
pub use patch::{FlashMode, FlashParameters, Outcome, Patched, UnknownParameter, patch};
pub use ram::{RamError, RamFile, RamProgram, RamSegment};
pub use sha256::sha256;
pub use signature::{Signature, SignatureScheme};
pub use split::{Found, Piece, Region, Role, SplitError, split};
