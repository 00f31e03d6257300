//! The task watchdog's tables (`task_wdt.c`), each line without its tag.

use super::scan::{behind, decimal};
use crate::LateTask;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// ` - NAME (CPU 0)`, or ` - NAME` of a user.
    Late(LateTask),
    /// `Tasks currently running:`.
    Running,
    /// `CPU 0: NAME`.
    Runs(u8, String),
    /// `Aborting.`
    Aborting,
    /// `Print CPU 0 (current core) backtrace`, or `registers`.
    Print(u8),
}

pub(super) fn line(text: &str) -> Option<Line> {
    let text = text.trim();
    if let Some(task) = text.strip_prefix("- ") {
        let split = task
            .rsplit_once(" (CPU ")
            .and_then(|(name, cpus)| Some((name, format!("CPU {}", cpus.strip_suffix(')')?))));
        let (name, cpus) = split.unwrap_or((task, String::new()));
        return Some(Line::Late(LateTask {
            name: name.to_owned(),
            cpus,
        }));
    }
    if text == "Tasks currently running:" {
        return Some(Line::Running);
    }
    if text == "Aborting." {
        return Some(Line::Aborting);
    }
    let cpu = behind(text, "CPU ").and_then(decimal);
    let (number, rest) = cpu.and_then(|(number, rest)| Some((u8::try_from(number).ok()?, rest)))?;
    if text.starts_with("Print CPU ") {
        return Some(Line::Print(number));
    }
    let task = rest
        .strip_prefix(": ")
        .filter(|_| text.starts_with("CPU "))?;
    Some(Line::Runs(number, task.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_read() {
        let late = |name: &str, cpus: &str| {
            Some(Line::Late(LateTask {
                name: name.into(),
                cpus: cpus.into(),
            }))
        };
        assert_eq!(line(" - IDLE0 (CPU 0)"), late("IDLE0", "CPU 0"));
        assert_eq!(
            line(" - a user (1) (CPU 0/1)"),
            late("a user (1)", "CPU 0/1")
        );
        assert_eq!(line(" - user"), late("user", ""));
        assert_eq!(line("CPU 1: loop"), Some(Line::Runs(1, "loop".into())));
        assert_eq!(
            line("Print CPU 0 (current core) backtrace"),
            Some(Line::Print(0))
        );
        assert_eq!(line("CPU frequency: 80"), None);
    }
}
