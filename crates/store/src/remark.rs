use thiserror::Error;

/// Something in a table that is allowed and probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Remark {
    /// A partition is called like a type that is not its own.
    #[error("the partition '{name}' is called like a type, and its type is {type_code}")]
    NamedLikeType {
        /// Its name.
        name: String,
        /// Its type.
        type_code: u8,
    },
    /// A partition is called like a subtype that is not its own.
    #[error(
        "the partition '{name}' is called like a subtype, and its type and subtype are \
         {type_code} and {subtype}"
    )]
    NamedLikeSubtype {
        /// Its name.
        name: String,
        /// Its type.
        type_code: u8,
        /// Its subtype.
        subtype: u8,
    },
    /// A name was cut.
    #[error("line {line}: '{name}' has more than 16 bytes; the table holds '{kept}'")]
    NameCut {
        /// Line of CSV, from 1.
        line: usize,
        /// As it was given.
        name: String,
        /// What is kept of it.
        kept: String,
    },
    /// Flags that have no meaning here and that CSV cannot hold.
    #[error("the partition '{name}' has unknown flags, 0x{flags:x}; CSV cannot hold them")]
    UnknownFlags {
        /// Its name.
        name: String,
        /// The flags.
        flags: u32,
    },
}
