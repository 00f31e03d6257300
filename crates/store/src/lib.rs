//! What lies in flash beside firmware images: the partition table, and the data by which ESP-IDF's
//! bootloader chooses an application.
//!
//! Everything works on bytes and text; nothing here reads a file or a device. The facts are from
//! ESP-IDF: `gen_esp32part.py`, `esp_flash_partitions.h`, `esp_partition.h`, `flash_partitions.c`
//! (how the bootloader reads the table), `bootloader_utility.c` and `esp_ota_ops.c` (otadata).

mod binary;
mod csv;
mod error;
mod kind;
mod map;
mod number;
mod otadata;
mod partition;
mod remark;
mod rules;
mod slice;
mod table;

pub use binary::{MAX_LEN, TABLE_LEN, looks_like_table};
pub use error::{Field, Place, Problem, TableError};
pub use kind::{Kind, Vocabulary, VocabularyError};
pub use map::{Stretch, map};
pub use number::number;
pub use otadata::{
    ENTRY_LEN, NextBoot, OtaData, OtaError, OtaState, SECTOR, SelectEntry, Selected, Target,
    Update, Why,
};
pub use partition::{Flags, MAX_NAME, Partition};
pub use remark::Remark;
pub use rules::{Rules, SecureBoot};
pub use slice::{Slice, SliceError};
pub use table::{Md5Row, Parsed, PartitionTable};
