//! The commands for NAND flash. They are known, checked and refused: without a flasher stub there is no
//! way to such flash.

use std::path::PathBuf;

use clap::Args;

use super::flash::PinArgs;
use crate::args;

/// What they, and `--flash-type nand`, get.
pub const NEEDS_STUB: &str = "NAND flash is reached through a flasher stub alone, which is not there \
                              yet; docs/limits.md says what there is";

/// Show the spare area of a page of NAND flash (not there yet)
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct ReadNandSpare {
    /// Number of the page
    #[arg(value_name = "PAGE", value_parser = args::number)]
    page: u32,

    #[command(flatten)]
    pins: PinArgs,
}

/// Mark a block of NAND flash as bad, or as good (not there yet)
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct WriteNandSpare {
    /// Number of the block's first page
    #[arg(value_name = "PAGE", value_parser = args::number)]
    page: u32,

    /// 1: bad, 0: good
    #[arg(value_name = "BAD", value_parser = clap::value_parser!(u8).range(0..=1))]
    bad: u8,

    #[command(flatten)]
    pins: PinArgs,
}

/// Write down which blocks of NAND flash are bad (not there yet)
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct DumpBbm {
    /// File to make
    #[arg(value_name = "FILE")]
    output: PathBuf,

    /// Blocks to look at
    #[arg(long, value_name = "COUNT", default_value = "1024", hide = true)]
    block_count: u32,

    #[command(flatten)]
    pins: PinArgs,
}
