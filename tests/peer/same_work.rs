//! The reference and ours do the same work.

use std::fs;

use libtest_mimic::Failed;

use crate::case::{Case, Contents, Fill, same_bytes};
use crate::clients::{Reference, run_ours};
use crate::lines::{about_options, fatal_error, parsed_lines, usage_error};

/// `cases.toml`: both do the same.
pub fn same(case: &Case, reference: &Reference) -> Result<(), Failed> {
    let theirs = case.run("reference", |args, folder, environment| {
        reference.run_with(args, folder, environment)
    })?;
    let ours = case.run("ours", run_ours)?;
    let failed = |what: &str| {
        Failed::from(format!(
            "{what}\n== reference: {}\n== ours: {}",
            theirs.outcome, ours.outcome
        ))
    };
    if ours.outcome.code != theirs.outcome.code {
        return Err(failed("the exit codes differ"));
    }
    same_bytes("flash", &ours.after, &theirs.after)
        .map_err(|error| failed(error.message().unwrap_or_default()))?;
    for ((name, ours), (_, theirs)) in ours.outputs.iter().zip(&theirs.outputs) {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => same_bytes(name, ours, theirs)?,
            (None, None) => {}
            _ => return Err(failed(&format!("only one of them wrote {name}"))),
        }
    }
    let ours_says = fatal_error(&ours.outcome.stderr);
    let theirs_says = fatal_error(&theirs.outcome.stderr);
    if ours_says.is_some() != theirs_says.is_some() || case.error && ours_says != theirs_says {
        return Err(failed("the fatal errors differ"));
    }
    let ours_says = usage_error(&ours.outcome.stderr);
    let theirs_says = usage_error(&theirs.outcome.stderr);
    if ours_says.is_some() != theirs_says.is_some() || case.error && ours_says != theirs_says {
        let text = format!("{theirs_says:?} became {ours_says:?}");
        return Err(failed(&format!("the mistakes told differ: {text}")));
    }
    if about_options(&ours.outcome) != about_options(&theirs.outcome) {
        return Err(failed("what is told of options differs"));
    }
    if case.lines {
        let expected = parsed_lines(&theirs.outcome.stdout);
        let found = parsed_lines(&ours.outcome.stdout);
        let mut remaining = expected.iter();
        let same = if case.early {
            found
                .iter()
                .all(|line| remaining.any(|other| other == line))
        } else {
            found == expected
        };
        if !same {
            return Err(failed(&differences(&expected, &found)));
        }
    }
    Ok(())
}

/// `reference-cannot.toml`: ours does it, and the reference still does not.
pub fn ours_alone(case: &Case, reference: &Reference) -> Result<(), Failed> {
    let theirs = case.run("reference", |args, folder, environment| {
        reference.run_with(args, folder, environment)
    })?;
    let wrong = theirs.outcome.code != Some(case.reference_exits.unwrap_or(2))
        && theirs.outcome.code != Some(1);
    if wrong {
        return Err(format!("the reference can now: {}", theirs.outcome).into());
    }
    if case.reference_exits == Some(0) && kept(case, &theirs.before, &theirs.after).is_ok() {
        return Err("the reference no longer damages what lies beside".into());
    }

    let ours = case.run("ours", run_ours)?;
    if ours.outcome.code != Some(0) {
        return Err(ours.outcome.to_string().into());
    }
    match &case.contents {
        Some(Contents::All(Fill::Erased)) => {
            same_bytes("flash", &ours.after, &vec![0xFF; ours.after.len()])?;
        }
        Some(Contents::All(Fill::Noise)) => same_bytes("flash", &ours.after, &ours.before)?,
        Some(Contents::Files(files)) => {
            let mut expected = vec![0xFF; ours.after.len()];
            for (name, at) in files {
                let bytes = fs::read(ours.folder.join(name))?;
                expected[*at..*at + bytes.len()].copy_from_slice(&bytes);
            }
            same_bytes("flash", &ours.after, &expected)?;
        }
        None => {}
    }
    kept(case, &ours.before, &ours.after)
}

/// Whether what lies outside of the write is as before.
fn kept(case: &Case, before: &[u8], after: &[u8]) -> Result<(), Failed> {
    let Some([offset, length]) = case.neighbours_kept else {
        return Ok(());
    };
    same_bytes(
        "flash before the write",
        &after[..offset],
        &before[..offset],
    )?;
    let end = offset + length;
    same_bytes("flash behind the write", &after[end..], &before[end..])
}

/// The lines from the first to the last one that differs.
fn differences(expected: &[String], found: &[String]) -> String {
    let same = |pair: &(&String, &String)| pair.0 == pair.1;
    let first = expected.iter().zip(found).take_while(same).count();
    let (expected, found) = (&expected[first..], &found[first..]);
    let last = expected
        .iter()
        .rev()
        .zip(found.iter().rev())
        .take_while(same)
        .count();
    let list = |sign, lines: &[String]| -> String {
        let lines = &lines[..lines.len() - last];
        lines
            .iter()
            .map(|line| format!("\n  {sign} {line}"))
            .collect()
    };
    format!(
        "the parsed lines differ (- reference, + ours){}{}",
        list('-', expected),
        list('+', found)
    )
}
