//! Starts of the chip: why each came about, and whether they go on for ever.

use std::collections::{BTreeMap, BTreeSet};

use guru_chip::ResetCause;

use super::address::MemoryMap;
use super::crash::{Context, memory_map};
use super::log::{After, Restart, SeenBoot, is_software, is_wanted, is_watchdog};
use super::model::{BootLoop, ExplainedBoot};
use super::stack::Frames;
use crate::knowledge::Severity;

/// So many starts that nobody wanted are a loop.
const LOOP: u64 = 3;

pub(super) fn explain(context: &Context<'_>) -> (Vec<ExplainedBoot>, Option<BootLoop>) {
    let mut boots: Vec<ExplainedBoot> = Vec::new();
    for seen in &context.log.boots {
        let boot = boot(context, seen);
        match boots.last_mut() {
            Some(last) if is_alike(last, &boot) => last.count += 1,
            _ => boots.push(boot),
        }
    }
    // What a complaint means is told once.
    let mut told = BTreeSet::new();
    for message in boots.iter_mut().flat_map(|boot| &mut boot.messages) {
        if !told.insert(message.what.clone()) {
            message.meaning.clear();
            message.remedies.clear();
        }
    }
    (boots, boot_loop(context))
}

fn is_alike(one: &ExplainedBoot, other: &ExplainedBoot) -> bool {
    let messages = |boot: &ExplainedBoot| -> Vec<String> {
        boot.messages
            .iter()
            .map(|message| message.what.clone())
            .collect()
    };
    let places = |boot: &ExplainedBoot| -> Vec<u32> {
        boot.saved_pc.iter().map(|frame| frame.address).collect()
    };
    let reset = |boot: &ExplainedBoot| (boot.reset_code, boot.reset.clone(), boot.mode.clone());
    reset(one) == reset(other)
        && one.after == other.after
        && places(one) == places(other)
        && messages(one) == messages(other)
}

fn boot(context: &Context<'_>, seen: &SeenBoot) -> ExplainedBoot {
    let boot = &seen.boot;
    let reset = boot.reset.as_ref();
    let entry = |id: Option<&crate::EntryId>| context.knowledge.entry(id?.as_str());
    let code = reset.map(|reset| reset.code);
    let name = reset
        .map(|reset| reset.name.clone())
        .filter(|name| !name.is_empty());
    let fields = |code: Option<u16>, name: Option<&String>| {
        let code = code.map(|code| ("code".to_owned(), format!("0x{code:x}")));
        let name = name.map(|name| ("name".to_owned(), name.clone()));
        code.into_iter().chain(name).collect()
    };
    let meaning = entry(reset.and_then(|reset| reset.meaning.as_ref()))
        .map(|entry| entry.title(&fields(code.map(u16::from), name.as_ref())));
    let mode = boot.boot.as_ref().and_then(|mode| {
        let entry = entry(mode.meaning.as_ref());
        // The usual one is not worth a line.
        let unusual =
            mode.download || entry.is_some_and(|entry| entry.severity >= Severity::Warning);
        unusual.then(|| match entry {
            Some(entry) => entry.title(&fields(Some(mode.straps), Some(&mode.name))),
            None => format!("It waits for a download: {}.", mode.name),
        })
    });
    let chip = boot.chip.or(context.log.chip);
    let map = match (chip, context.log.crashes.first()) {
        (Some(chip), _) => MemoryMap::of(chip),
        (None, Some(seen)) => memory_map(&seen.crash, None),
        (None, None) => MemoryMap::of_candidates(&[], &[], &[]),
    };
    let frames = Frames {
        symbols: context.inputs.symbols,
        map: &map,
        sources: context.inputs.sources,
    };
    ExplainedBoot {
        line: boot.lines.start,
        count: 1,
        reset_code: code,
        reset: name,
        meaning,
        after: after(context, seen.restart),
        mode: mode.clone(),
        saved_pc: boot.saved_pc.iter().map(|(_, pc)| frames.at(*pc)).collect(),
        messages: boot
            .messages
            .iter()
            .filter_map(|message| context.message(message, 1))
            // The frame around an ESP8266's report, and what the mode says already.
            .filter(|message| {
                message.entry != "esp8266-abort" && Some(&message.what) != mode.as_ref()
            })
            .collect(),
    }
}

/// What brought a start about, as far as the log says.
fn after(context: &Context<'_>, restart: Restart) -> Option<String> {
    let cause = restart.cause?;
    match restart.after {
        After::Crash(number) if !is_wanted(cause) => Some(match context.log.crashes.len() {
            1 => "It follows the crash.".to_owned(),
            _ => format!("It follows crash {}.", number + 1),
        }),
        After::OtherCrash if !is_wanted(cause) => Some("It follows a crash.".to_owned()),
        After::Boot if is_software(cause) => Some(
            "No report stands before it: the program restarted itself, or crashed and is set to print nothing."
                .to_owned(),
        ),
        // Its own name says as much.
        After::Boot if cause == ResetCause::Lockup => None,
        After::FailedBoot if !is_wanted(cause) => {
            Some("The start before it failed: see what was printed there.".to_owned())
        }
        After::Boot if is_watchdog(cause) => Some(
            "No report stands before it: the program hung where its crash handler could not run.".to_owned(),
        ),
        _ => None,
    }
}

fn boot_loop(context: &Context<'_>) -> Option<BootLoop> {
    let log = context.log;
    let unwanted = |(restart, _): &(&Restart, &u64)| {
        // A supply that collapses shows as power-on as well: behind a crash nobody pressed a button.
        let wanted = restart.cause.is_none_or(is_wanted);
        !wanted && restart.after != After::Beginning
    };
    let restarts: Vec<_> = log.restarts.iter().filter(unwanted).collect();
    let count: u64 = restarts.iter().map(|(_, count)| **count).sum();
    if count + 1 < LOOP {
        return None;
    }
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for (restart, count) in &restarts {
        let why = match restart.after {
            After::Crash(number) if log.crashes.len() > 1 => format!("by crash {}", number + 1),
            After::Crash(_) | After::OtherCrash => "by the crash".to_owned(),
            After::FailedBoot => "because it could not start".to_owned(),
            After::Beginning | After::Boot => match restart.cause {
                Some(cause) if is_software(cause) => "by a restart without a report".to_owned(),
                Some(cause) if is_watchdog(cause) => "by a watchdog, without a report".to_owned(),
                Some(ResetCause::Brownout) => "by a supply that was too low".to_owned(),
                _ => "by a reset without a report".to_owned(),
            },
        };
        *parts.entry(why).or_insert(0) += **count;
    }
    let parts: Vec<_> = parts
        .into_iter()
        .map(|(why, count)| match count {
            1 => format!("once {why}"),
            2 => format!("twice {why}"),
            count => format!("{count} times {why}"),
        })
        .collect();
    let text = format!(
        "The chip starts again and again: {} starts in this log, and it was ended {}.",
        log.boot_count,
        parts.join(", ")
    );
    Some(BootLoop {
        boots: log.boot_count,
        text,
    })
}
