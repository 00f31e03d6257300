//! The explanation as lines of text.

use guru_crash::explain::{
    ElfFit, ExplainedCrash, ExplainedFrame, ExplainedMessage, ExplainedStack, Explanation,
};

use super::{ExplainReport, headline, place, register_name, runs, times, unknown, who};
use crate::ui::escape;
use crate::ui::out::Style;

/// Columns of the text, wherever it is shown: a report that is sent on looks the same everywhere.
const WIDTH: usize = 100;

/// A line, in parts that may have a colour.
pub type Line = Vec<(Option<Style>, String)>;

/// The report as lines of text.
pub fn lines(report: &ExplainReport) -> Vec<Line> {
    let mut page = Page::default();
    let explanation = &report.explanation;
    page.strong(
        0,
        &format!("{}: {}", report.log_name(), explanation.summary),
    );
    let several = explanation.crashes.len() > 1;
    for (index, crash) in explanation.crashes.iter().enumerate() {
        page.gap();
        page.crash(crash, several.then_some(index + 1));
    }
    if explanation.crashes_left_out > 0 {
        page.gap();
        let count = explanation.crashes_left_out;
        page.text(0, &format!("{count} further crashes are not shown."));
    }
    page.rest(report);
    page.lines
}

#[derive(Default)]
struct Page {
    lines: Vec<Line>,
}

impl Page {
    fn crash(&mut self, crash: &ExplainedCrash, number: Option<usize>) {
        self.strong(0, &headline(crash, number));

        self.heading("What happened");
        self.styled(4, Style::Error, &crash.what);
        if !crash.printed.is_empty() {
            self.styled(4, Style::Dim, &format!("> {}", crash.printed));
        }
        if !crash.meaning.is_empty() {
            self.text(4, &crash.meaning);
        }
        if let Some(text) = who(crash) {
            self.text(4, &text);
        }
        for detail in &crash.details {
            self.detail(detail);
        }

        for (index, stack) in crash.stacks.iter().enumerate() {
            self.stack(stack, index == 0);
        }
        if !crash.findings.is_empty() {
            self.heading("What the dump shows");
            for finding in &crash.findings {
                self.item("-", &finding.text);
            }
        }
        if !crash.causes.is_empty() {
            self.heading("Why, the likeliest first");
            for (index, cause) in crash.causes.iter().enumerate() {
                let seen = match cause.seen.is_empty() {
                    true => "",
                    false => " (the dump speaks for it)",
                };
                self.item(&format!("{}.", index + 1), &format!("{}{seen}", cause.text));
            }
        }
        self.list("What to check next", &crash.check);
        self.list("What mends it", &crash.remedies);
        if !crash.settings.is_empty() {
            self.heading("Settings that have to do with it");
            self.text(4, &crash.settings.join(", "));
        }
        if let Some(ended) = &crash.ended {
            self.heading("Afterwards");
            self.text(4, ended);
        }
        self.list("What the report lacks", &crash.torn);
        if let Some(link) = &crash.link {
            self.heading("More");
            self.text(4, link);
        }
    }

    fn detail(&mut self, detail: &ExplainedMessage) {
        let count = match detail.count {
            1 => String::new(),
            count => format!(" ({})", times(count)),
        };
        self.item("-", &format!("{}{count} [{}]", detail.what, detail.printed));
    }

    fn stack(&mut self, stack: &ExplainedStack, first: bool) {
        let title = match first {
            true => format!("Where: {}", stack.title),
            false => format!("And: {}", stack.title),
        };
        self.heading(&title);
        for (number, frame, count) in runs(&stack.frames) {
            self.frame(&format!("#{number}"), frame);
            if count > 1 {
                let last = number + count - 1;
                self.styled(8, Style::Dim, &format!("the same up to #{last}"));
            }
        }
        if let Some(end) = &stack.end {
            self.styled(4, Style::Dim, end);
        }
        if !stack.possible.is_empty() {
            self.text(
                4,
                "Possible callers, from return addresses on the stack; not a proven chain:",
            );
            for frame in &stack.possible {
                self.frame("?", frame);
            }
        }
        if !stack.registers.is_empty() {
            let names = stack
                .registers
                .iter()
                .map(|one| register_name(one).chars().count());
            let names = names.max().unwrap_or(0).min(16);
            for register in &stack.registers {
                let note = match &register.note {
                    Some(note) => format!("; {note}"),
                    None => String::new(),
                };
                let text = format!(
                    "{:<names$}  0x{:08x}  {}{note}",
                    register_name(register),
                    register.value,
                    register.class
                );
                self.raw(4, None, &text);
            }
        }
    }

    fn frame(&mut self, number: &str, frame: &ExplainedFrame) {
        let lead = format!("    {number:<3} 0x{:08x}  ", frame.address);
        let indent = lead.chars().count();
        if frame.places.is_empty() {
            self.lines.push(vec![
                (None, lead),
                (Some(Style::Dim), escape(&unknown(frame)).into_owned()),
            ]);
            return;
        }
        for (index, at) in frame.places.iter().enumerate() {
            let lead = match index {
                0 => lead.clone(),
                _ => " ".repeat(indent),
            };
            let mut line = vec![
                (None, lead),
                (Some(Style::Strong), escape(&place(at)).into_owned()),
            ];
            if let (Some(bytes), true) = (frame.stack_bytes, index + 1 == frame.places.len()) {
                line.push((Some(Style::Dim), format!("  [{bytes} bytes of stack]")));
            }
            self.lines.push(line);
            for source in &at.source {
                let (mark, style) = match Some(source.number) == at.line {
                    true => (">", Some(Style::Strong)),
                    false => (" ", Some(Style::Dim)),
                };
                let text = source.text.replace('\t', "    ");
                let text: String = text.chars().take(WIDTH).collect();
                let text = format!("        {mark} {:>5} | {}", source.number, escape(&text));
                self.lines.push(vec![(style, text.trim_end().to_owned())]);
            }
        }
    }

    /// What is not of a single crash.
    fn rest(&mut self, report: &ExplainReport) {
        let explanation = &report.explanation;
        if let Some(boot_loop) = &explanation.boot_loop {
            self.part("Boot loop");
            self.text(2, &boot_loop.text);
        }
        if !explanation.boots.is_empty() {
            self.part("Starts of the chip");
            self.boots(explanation);
        }
        if !explanation.messages.is_empty() {
            self.part("Other messages");
            for message in &explanation.messages {
                self.message(message, 2);
            }
        }
        let elf = &explanation.elf;
        if !elf.files.is_empty() || !elf.advice.is_empty() {
            self.part("ELF file");
            for file in &elf.files {
                let style = match file.fit {
                    ElfFit::OtherBuild | ElfFit::OtherMachine | ElfFit::NoCode => {
                        Some(Style::Warning)
                    }
                    _ => None,
                };
                self.wrapped(2, 2, style, &file.text);
            }
            for text in &elf.advice {
                self.text(2, text);
            }
        }
        if !explanation.settings.is_empty() {
            let name = report.sdkconfig.as_ref();
            let name = name.map(|path| path.display().to_string());
            self.part(&format!(
                "Settings of the firmware ({})",
                name.unwrap_or_default()
            ));
            for setting in &explanation.settings {
                let better = match &setting.better {
                    Some(better) => format!(" {better}"),
                    None => String::new(),
                };
                let text = format!(
                    "{}: {}. {}{better}",
                    setting.topic, setting.value, setting.effect
                );
                self.wrapped(2, 4, None, text.trim_end());
            }
        }
        if !explanation.notes.is_empty() {
            self.part("Also");
            for note in &explanation.notes {
                self.text(2, note);
            }
        }
    }

    fn boots(&mut self, explanation: &Explanation) {
        for boot in &explanation.boots {
            let code = boot.reset_code.map(|code| format!("0x{code:x}"));
            let reset = [code, boot.reset.clone().map(|name| format!("({name})"))];
            let reset: Vec<_> = reset.into_iter().flatten().collect();
            let reset = match reset.is_empty() {
                true => "reset unknown".to_owned(),
                false => format!("reset {}", reset.join(" ")),
            };
            let alike = match boot.count {
                1 => String::new(),
                count => format!(" and {} more like it", count - 1),
            };
            let mut text = format!("line {}{alike}: {reset}", boot.line);
            if let Some(meaning) = &boot.meaning {
                text.push_str(&format!(": {meaning}"));
            }
            if let Some(after) = &boot.after {
                text.push_str(&format!(" {after}"));
            }
            self.wrapped(2, 4, None, &text);
            if let Some(mode) = &boot.mode {
                self.wrapped(4, 4, Some(Style::Warning), mode);
            }
            for (index, frame) in boot.saved_pc.iter().enumerate() {
                if index == 0 {
                    self.text(4, "Before it the CPU was here:");
                }
                self.frame("", frame);
            }
            for message in &boot.messages {
                self.message(message, 4);
            }
        }
        let left = explanation.boots_left_out;
        if left > 0 {
            self.text(2, &format!("{left} further starts are not shown."));
        }
    }

    fn message(&mut self, message: &ExplainedMessage, indent: usize) {
        let count = match message.count {
            1 => String::new(),
            count => format!(" ({})", times(count)),
        };
        let text = format!("line {}: {}{count}", message.line, message.what);
        self.wrapped(indent, indent + 2, Some(Style::Strong), &text);
        self.styled(indent + 2, Style::Dim, &format!("> {}", message.printed));
        if !message.meaning.is_empty() {
            self.text(indent + 2, &message.meaning);
        }
        for remedy in &message.remedies {
            self.wrapped(indent + 2, indent + 4, None, &format!("- {remedy}"));
        }
    }

    fn part(&mut self, title: &str) {
        self.gap();
        self.strong(0, title);
    }

    fn heading(&mut self, title: &str) {
        self.gap();
        self.strong(2, title);
    }

    fn list(&mut self, title: &str, items: &[String]) {
        if !items.is_empty() {
            self.heading(title);
            for item in items {
                self.item("-", item);
            }
        }
    }

    /// One of a list.
    fn item(&mut self, mark: &str, text: &str) {
        self.wrapped(4, 5 + mark.len(), None, &format!("{mark} {text}"));
    }

    fn text(&mut self, indent: usize, text: &str) {
        self.wrapped(indent, indent, None, text);
    }

    fn strong(&mut self, indent: usize, text: &str) {
        self.wrapped(indent, indent, Some(Style::Strong), text);
    }

    fn styled(&mut self, indent: usize, style: Style, text: &str) {
        self.wrapped(indent, indent, Some(style), text);
    }

    fn gap(&mut self) {
        self.lines.push(Vec::new());
    }

    fn raw(&mut self, indent: usize, style: Option<Style>, text: &str) {
        let text = format!("{}{}", " ".repeat(indent), escape(text));
        self.lines.push(vec![(style, text)]);
    }

    /// A text in lines of [`WIDTH`] columns, the first one indented by `first`, the others by `others`.
    fn wrapped(&mut self, first: usize, others: usize, style: Option<Style>, text: &str) {
        for (index, line) in wrap(&escape(text), first, others).into_iter().enumerate() {
            let indent = if index == 0 { first } else { others };
            let line = format!("{}{line}", " ".repeat(indent));
            self.lines.push(vec![(style, line)]);
        }
    }
}

/// Breaks a text between words. A word that is longer than a line stays whole: it is an address or a
/// link, to be copied.
fn wrap(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = first;
    for word in text.split(' ') {
        let length = word.chars().count();
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
            used += length;
        } else if used + 1 + length <= WIDTH {
            line.push(' ');
            line.push_str(word);
            used += 1 + length;
        } else {
            lines.push(word.to_owned());
            used = others + length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_long_words_stay_whole() {
        let long = "x".repeat(120);
        let text = format!("{} {long} end", "word ".repeat(30).trim_end());
        let lines = wrap(&text, 4, 6);
        assert!(
            lines
                .iter()
                .all(|line| line == &long || line.len() <= WIDTH - 4)
        );
        assert_eq!(lines.join(" "), text);
    }
}
