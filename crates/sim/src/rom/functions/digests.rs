//! MD5 and the inflater.
//!
//! Their contexts belong to the program, which does not look into them; what they stand for is kept
//! here by their addresses.

use std::collections::HashMap;

use md5::{Digest, Md5};
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::call::{Caller, Cycles, Done, Progress, nothing};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("MD5Init", md5_begin),
    ("MD5Update", md5_update),
    ("MD5Final", md5_end),
    ("mbedtls_md5_starts_ret", md5_begin),
    ("mbedtls_md5_update_ret", md5_update),
    ("mbedtls_md5_finish_ret", mbedtls_md5_end),
    ("tinfl_decompress", inflate),
];

/// Digesting, in cycles a byte. An assumption.
const MD5_CYCLES: u64 = 11;
/// The last block that a digest is padded to, in bytes.
const MD5_BLOCK: u64 = 64;
/// Inflating, in cycles a byte of output. An assumption.
const INFLATE_CYCLES: u64 = 24;
/// Taking up a stream where it was left, in cycles. An assumption.
const RESUME_CYCLES: u64 = 160;
/// Contexts of a kind at the same time. Programs have one or two.
const MAX_CONTEXTS: usize = 64;
/// The largest buffers that the inflater is given here: more than any chip has RAM.
const MAX_BUFFER: u32 = 1 << 20;

/// `tinfl_status`: the arguments make no sense.
const BAD_PARAM: i32 = -3;
/// First word of an inflater that goes on; 0 begins anew. The values between belong to the ROM.
const GOES_ON: u32 = 1;

/// What the contexts in the program's memory stand for.
#[derive(Default)]
pub(super) struct Contexts {
    digests: HashMap<u32, Md5>,
    inflaters: HashMap<u32, Box<DecompressorOxide>>,
}

/// `void MD5Init(context)`, `int mbedtls_md5_starts_ret(context)`
fn md5_begin(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let digests = &mut state.contexts.digests;
    if digests.len() >= MAX_CONTEXTS {
        digests.clear();
    }
    digests.insert(caller.argument(0), Md5::new());
    nothing()
}

/// `void MD5Update(context, const uint8_t *data, unsigned len)`, and mbedtls's
fn md5_update(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (context, data, len) = (caller.argument(0), caller.argument(1), caller.argument(2));
    let digest = state.contexts.digests.entry(context).or_default();
    let mut buffer = [0; 0x1000];
    let mut done = 0;
    while done < len {
        let piece = (len - done).min(buffer.len() as u32);
        let bytes = &mut buffer[..piece as usize];
        caller.load(data.wrapping_add(done), bytes)?;
        digest.update(&*bytes);
        done += piece;
    }
    Ok(Done::Return(0, Cycles(MD5_CYCLES * u64::from(len))))
}

/// `void MD5Final(uint8_t digest[16], context)`
fn md5_end(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (to, context) = (caller.argument(0), caller.argument(1));
    finish(state, caller, context, to)
}

/// `int mbedtls_md5_finish_ret(context, uint8_t digest[16])`
fn mbedtls_md5_end(
    state: &mut State,
    caller: &mut dyn Caller,
    _: &mut Progress,
) -> Result<Done, Fault> {
    let (context, to) = (caller.argument(0), caller.argument(1));
    finish(state, caller, context, to)
}

fn finish(
    state: &mut State,
    caller: &mut dyn Caller,
    context: u32,
    to: u32,
) -> Result<Done, Fault> {
    let digest = state.contexts.digests.remove(&context).unwrap_or_default();
    caller.store(to, &digest.finalize())?;
    Ok(Done::Return(0, Cycles(MD5_CYCLES * MD5_BLOCK)))
}

/// `tinfl_status tinfl_decompress(tinfl_decompressor *inflater, const uint8_t *input, size_t
/// *input_len, uint8_t *output, uint8_t *next, size_t *output_len, uint32_t flags)`: miniz's, which
/// begins anew when the first word of `inflater` is 0, and works in a window from `output` to the
/// end of what may be written at `next`.
fn inflate(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let mut arguments = [0; 7];
    for (number, argument) in (0..).zip(&mut arguments) {
        *argument = caller.argument(number);
    }
    let [context, input, input_len, output, next, output_len, flags] = arguments;
    let (taken, room) = (caller.load_word(input_len)?, caller.load_word(output_len)?);
    let filled = next.wrapping_sub(output);
    let size = filled.saturating_add(room);
    let wraps = flags & TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF == 0;
    if taken > MAX_BUFFER || size > MAX_BUFFER || wraps && !size.is_power_of_two() {
        caller.store_word(input_len, 0)?;
        caller.store_word(output_len, 0)?;
        return Ok(status(BAD_PARAM, 0));
    }
    let mut from = vec![0; taken as usize];
    caller.load(input, &mut from)?;
    let mut window = vec![0; size as usize];
    caller.load(output, &mut window)?;

    let inflaters = &mut state.contexts.inflaters;
    if inflaters.len() >= MAX_CONTEXTS {
        inflaters.clear();
    }
    let inflater = inflaters.entry(context).or_default();
    if caller.load_word(context)? == 0 {
        inflater.init();
    }
    let (result, taken, made) = decompress(inflater, &from, &mut window, filled as usize, flags);
    caller.store_word(context, GOES_ON)?;
    let new = window.get(filled as usize..filled as usize + made);
    caller.store(next, new.unwrap_or_default())?;
    caller.store_word(input_len, taken as u32)?;
    caller.store_word(output_len, made as u32)?;
    Ok(status(result as i32, made))
}

fn status(status: i32, made: usize) -> Done {
    let work = Cycles(RESUME_CYCLES + INFLATE_CYCLES * made as u64);
    Done::Return((status as u32).into(), work)
}
