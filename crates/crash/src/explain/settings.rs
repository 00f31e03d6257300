//! What the settings of a firmware did to a log, and which would have told more.
//!
//! Names of settings: ESP-IDF's Kconfig files (`esp_system`, `freertos`, `heap`, `espcoredump`, `esp_common`),
//! and `sdkconfig.rename` for those that older versions had.

use super::model::ExplainedSetting;
use super::sdkconfig::Sdkconfig;

/// What a log holds, as far as settings have to do with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Crashes that were printed.
    pub crashes: u64,
    /// Starts by a software reset that no report stands before.
    pub unexplained_restarts: u64,
    /// Starts by a watchdog that no report stands before.
    pub watchdog_resets: u64,
    /// Starts by a brownout, and messages of one.
    pub brownouts: u64,
    /// A fault of the CPU: a wild address, an illegal instruction.
    pub fault: bool,
    /// The heap was found to be damaged.
    pub heap: bool,
    /// A stack ran over.
    pub stack: bool,
    /// The flash cache was off.
    pub cache_off: bool,
    /// The interrupt watchdog.
    pub interrupt_watchdog: bool,
    /// The task watchdog.
    pub task_watchdog: bool,
    /// An assertion without its text.
    pub silent_assertion: bool,
    /// RISC-V registers and a dumped stack, without a chain of callers.
    pub stack_dump: bool,
    /// A report is cut off.
    pub torn: bool,
    /// The report was left to a debugger.
    pub debugger: bool,
    /// A core dump was written.
    pub core_dump: bool,
}

/// What each setting did.
#[must_use]
pub fn settings(config: &Sdkconfig, facts: &LogFacts) -> Vec<ExplainedSetting> {
    let about = About { config, facts };
    [
        about.panic(),
        about.reboot_delay(),
        about.debugger(),
        about.core_dump(),
        about.panic_in_iram(),
        about.heap(),
        about.stack_of_tasks(),
        about.stack_guard(),
        about.stack_of_functions(),
        about.interrupt_watchdog(),
        about.task_watchdog(),
        about.brownout(),
        about.backtrace(),
        about.assertions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

struct About<'a> {
    config: &'a Sdkconfig,
    facts: &'a LogFacts,
}

/// A choice: how it is called, and the names that stand for it, the present one first.
type Choice<'a> = (&'a str, &'a [&'static str]);

impl About<'_> {
    /// The first of these that is on.
    fn on(&self, names: &[&'static str]) -> Option<&'static str> {
        let is_on = |name: &&&str| self.config.is_on(name) == Some(true);
        names.iter().find(is_on).copied()
    }

    /// Whether a switch is on, and its name; `None`: it is not in the file.
    fn switch(&self, names: &[&'static str]) -> Option<(bool, &'static str)> {
        let known = |name: &&'static str| Some((self.config.is_on(name)?, *name));
        // A new name that is off counts for nothing where an old one is on.
        let on = self.on(names).map(|name| (true, name));
        on.or_else(|| names.iter().find_map(known))
    }

    fn number(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| self.config.number(name))
    }

    fn choice<'c>(&self, choices: &[Choice<'c>]) -> Option<(&'c str, &'static str)> {
        choices
            .iter()
            .find_map(|(value, names)| Some((*value, self.on(names)?)))
    }

    fn panic(&self) -> Option<ExplainedSetting> {
        let (value, name) = self.choice(&[
            (
                "print and reboot",
                &[
                    "CONFIG_ESP_SYSTEM_PANIC_PRINT_REBOOT",
                    "CONFIG_ESP32_PANIC_PRINT_REBOOT",
                    "CONFIG_ESP32S2_PANIC_PRINT_REBOOT",
                ],
            ),
            (
                "print and halt",
                &[
                    "CONFIG_ESP_SYSTEM_PANIC_PRINT_HALT",
                    "CONFIG_ESP32_PANIC_PRINT_HALT",
                    "CONFIG_ESP32S2_PANIC_PRINT_HALT",
                ],
            ),
            (
                "silent reboot",
                &[
                    "CONFIG_ESP_SYSTEM_PANIC_SILENT_REBOOT",
                    "CONFIG_ESP32_PANIC_SILENT_REBOOT",
                    "CONFIG_ESP32S2_PANIC_SILENT_REBOOT",
                ],
            ),
            (
                "GDB stub",
                &[
                    "CONFIG_ESP_SYSTEM_PANIC_GDBSTUB",
                    "CONFIG_ESP32_PANIC_GDBSTUB",
                    "CONFIG_ESP32S2_PANIC_GDBSTUB",
                ],
            ),
        ])?;
        let restarts = self.facts.unexplained_restarts;
        let (effect, better) = match value {
            "print and reboot" => (
                "A crash is printed, then the chip restarts by software.".to_owned(),
                None,
            ),
            "print and halt" => (
                "A crash is printed, then the chip stands still until it is reset.".to_owned(),
                None,
            ),
            "silent reboot" => (
                match restarts {
                    0 => "A crash is not printed at all.".to_owned(),
                    count => format!(
                        "A crash is not printed at all; {} of this log may have been one.",
                        if count == 1 {
                            "a restart".to_owned()
                        } else {
                            format!("{count} restarts")
                        }
                    ),
                },
                Some("CONFIG_ESP_SYSTEM_PANIC_PRINT_REBOOT would have printed it.".to_owned()),
            ),
            _ => (
                "A crash is printed, then the chip waits for GDB on the console.".to_owned(),
                None,
            ),
        };
        Some(setting("panic behaviour", value, name, effect, better))
    }

    fn reboot_delay(&self) -> Option<ExplainedSetting> {
        let name = "CONFIG_ESP_SYSTEM_PANIC_REBOOT_DELAY_SECONDS";
        let seconds = self.config.number(name).filter(|seconds| *seconds > 0)?;
        let effect = format!("The chip waits {seconds} s between the report and the restart.");
        Some(setting(
            "reboot delay",
            &format!("{seconds} s"),
            name,
            effect,
            None,
        ))
    }

    fn debugger(&self) -> Option<ExplainedSetting> {
        let names = [
            "CONFIG_ESP_DEBUG_OCDAWARE",
            "CONFIG_ESP32_DEBUG_OCDAWARE",
            "CONFIG_ESP32S2_DEBUG_OCDAWARE",
            "CONFIG_ESP32S3_DEBUG_OCDAWARE",
        ];
        let (on, name) = self.switch(&names)?;
        let facts = self.facts;
        let effect = match (on, facts.debugger) {
            (true, true) => {
                "A debugger was attached, so the crash was left to it: no registers were printed."
            }
            (true, false) if facts.crashes > 0 => {
                "No debugger was attached, so it changed nothing."
            }
            (true, false) => "With a debugger attached over JTAG a crash is not printed.",
            (false, _) => "A crash is printed even with a debugger attached.",
        };
        let better =
            (on && facts.debugger).then(|| "Detach the debugger to see the report.".to_owned());
        Some(setting(
            "debugger awareness",
            on_off(on),
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn core_dump(&self) -> Option<ExplainedSetting> {
        let (value, name) = self.choice(&[
            (
                "to flash",
                &[
                    "CONFIG_ESP_COREDUMP_ENABLE_TO_FLASH",
                    "CONFIG_ESP32_ENABLE_COREDUMP_TO_FLASH",
                ],
            ),
            (
                "to the console",
                &[
                    "CONFIG_ESP_COREDUMP_ENABLE_TO_UART",
                    "CONFIG_ESP32_ENABLE_COREDUMP_TO_UART",
                ],
            ),
            (
                "off",
                &[
                    "CONFIG_ESP_COREDUMP_ENABLE_TO_NONE",
                    "CONFIG_ESP32_ENABLE_COREDUMP_TO_NONE",
                ],
            ),
        ])?;
        let crashed = self.facts.crashes > 0;
        let (effect, better) = match (value, self.facts.core_dump) {
            ("off", _) => (
                "No state of the other tasks was kept.",
                crashed.then(|| {
                    "CONFIG_ESP_COREDUMP_ENABLE_TO_FLASH keeps the stacks of all tasks, and survives a lost console."
                        .to_owned()
                }),
            ),
            (_, true) => ("The state of all tasks was kept.", None),
            ("to flash", false) => (
                "The state of all tasks is kept in flash; the log does not say that it was.",
                None,
            ),
            (_, false) => ("The state of all tasks is printed; it is not in this log.", None),
        };
        Some(setting("core dump", value, name, effect.to_owned(), better))
    }

    fn panic_in_iram(&self) -> Option<ExplainedSetting> {
        let names = ["CONFIG_ESP_PANIC_HANDLER_IRAM"];
        let (on, name) = self.switch(&names)?;
        let facts = self.facts;
        let lost = facts.cache_off || facts.watchdog_resets > 0 || facts.torn;
        let effect = match on {
            true => "A crash while the flash cache is off can be printed as it is.",
            false => {
                "A crash while the flash cache is off makes the handler switch the cache on again first."
            }
        };
        let better = (!on && lost).then(|| {
            "Switched on, a report may come where there was none, or half of one.".to_owned()
        });
        Some(setting(
            "panic handler in IRAM",
            on_off(on),
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn heap(&self) -> Option<ExplainedSetting> {
        let (value, name) = self.choice(&[
            ("comprehensive", &["CONFIG_HEAP_POISONING_COMPREHENSIVE"]),
            ("light", &["CONFIG_HEAP_POISONING_LIGHT"]),
            ("off", &["CONFIG_HEAP_POISONING_DISABLED"]),
        ])?;
        let suspicious = self.facts.heap || self.facts.fault;
        let (effect, better) = match value {
            "comprehensive" => (
                "Freed and fresh memory has patterns: they would be seen in the registers.",
                None,
            ),
            "light" => (
                "A write past either end of a block is found when the block is freed.",
                Some(
                    "CONFIG_HEAP_POISONING_COMPREHENSIVE also shows uses of freed and of unwritten memory.",
                ),
            ),
            _ => (
                "A block that is overrun is not noticed; the crash comes later, elsewhere.",
                Some(
                    "CONFIG_HEAP_POISONING_COMPREHENSIVE would show overruns, and uses of freed memory.",
                ),
            ),
        };
        let better = better.filter(|_| suspicious).map(str::to_owned);
        Some(setting(
            "heap poisoning",
            value,
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn stack_of_tasks(&self) -> Option<ExplainedSetting> {
        let (value, name) = self.choice(&[
            ("canary", &["CONFIG_FREERTOS_CHECK_STACKOVERFLOW_CANARY"]),
            (
                "stack pointer",
                &["CONFIG_FREERTOS_CHECK_STACKOVERFLOW_PTRVAL"],
            ),
            ("off", &["CONFIG_FREERTOS_CHECK_STACKOVERFLOW_NONE"]),
        ])?;
        let watchpoint = self
            .on(&["CONFIG_FREERTOS_WATCHPOINT_END_OF_STACK"])
            .is_some();
        let effect = match (value, watchpoint) {
            (_, true) => {
                "A watchpoint at the end of each stack stops a task at the write that runs over it."
            }
            ("canary", _) => {
                "A stack that ran over is noticed at the next switch of tasks, after the damage is done."
            }
            ("stack pointer", _) => {
                "A stack pointer beyond the stack is noticed at a switch of tasks; one that came back is not."
            }
            _ => "A stack that runs over is not noticed.",
        };
        let suspicious = self.facts.stack || self.facts.fault;
        let better = (suspicious && !watchpoint)
            .then(|| "CONFIG_FREERTOS_WATCHPOINT_END_OF_STACK stops at the very write.".to_owned());
        Some(setting(
            "stack check of tasks",
            value,
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn stack_guard(&self) -> Option<ExplainedSetting> {
        let (on, name) = self.switch(&["CONFIG_ESP_SYSTEM_HW_STACK_GUARD"])?;
        let effect = match on {
            true => "The chip stops a task whose stack pointer leaves its stack.",
            false => "The chip's own guard of the stack pointer is off.",
        };
        let better = (!on && (self.facts.stack || self.facts.fault))
            .then(|| "Switched on, it stops at the instruction that leaves the stack.".to_owned());
        Some(setting(
            "hardware stack guard",
            on_off(on),
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn stack_of_functions(&self) -> Option<ExplainedSetting> {
        let (value, name) = self.choice(&[
            (
                "overall",
                &[
                    "CONFIG_COMPILER_STACK_CHECK_MODE_ALL",
                    "CONFIG_STACK_CHECK_ALL",
                ],
            ),
            (
                "strong",
                &[
                    "CONFIG_COMPILER_STACK_CHECK_MODE_STRONG",
                    "CONFIG_STACK_CHECK_STRONG",
                ],
            ),
            (
                "normal",
                &[
                    "CONFIG_COMPILER_STACK_CHECK_MODE_NORM",
                    "CONFIG_STACK_CHECK_NORM",
                ],
            ),
            (
                "off",
                &[
                    "CONFIG_COMPILER_STACK_CHECK_MODE_NONE",
                    "CONFIG_STACK_CHECK_NONE",
                ],
            ),
        ])?;
        let effect = match value {
            "off" => {
                "A local array that is overrun damages the return address, and the crash comes at the return."
            }
            _ => "A function whose local array was overrun stops before it returns.",
        };
        let better = (value == "off" && (self.facts.fault || self.facts.stack)).then(|| {
            "CONFIG_COMPILER_STACK_CHECK_MODE_STRONG names the function whose array was overrun.".to_owned()
        });
        Some(setting(
            "stack smashing protection",
            value,
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn interrupt_watchdog(&self) -> Option<ExplainedSetting> {
        let (on, name) = self.switch(&["CONFIG_ESP_INT_WDT", "CONFIG_INT_WDT"])?;
        let time = self.number(&["CONFIG_ESP_INT_WDT_TIMEOUT_MS", "CONFIG_INT_WDT_TIMEOUT_MS"]);
        let value = match (on, time) {
            (true, Some(time)) => format!("after {time} ms"),
            _ => on_off(on).to_owned(),
        };
        let effect = match (on, self.facts.interrupt_watchdog) {
            (true, true) => {
                "It ended this program: interrupts were not served for longer than that."
            }
            (true, false) => "It had no reason to act.",
            (false, _) => "A program that keeps interrupts off for good is not noticed by it.",
        };
        let better = (!on && self.facts.watchdog_resets > 0)
            .then(|| "Switched on, it would have printed where the program hung.".to_owned());
        Some(setting(
            "interrupt watchdog",
            &value,
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn task_watchdog(&self) -> Option<ExplainedSetting> {
        let names = [
            "CONFIG_ESP_TASK_WDT_INIT",
            "CONFIG_ESP_TASK_WDT_EN",
            "CONFIG_ESP_TASK_WDT",
            "CONFIG_TASK_WDT",
        ];
        let (on, name) = self.switch(&names)?;
        let time = self.number(&["CONFIG_ESP_TASK_WDT_TIMEOUT_S", "CONFIG_TASK_WDT_TIMEOUT_S"]);
        let panics = self
            .on(&["CONFIG_ESP_TASK_WDT_PANIC", "CONFIG_TASK_WDT_PANIC"])
            .is_some();
        let value = match (on, time, panics) {
            (true, Some(time), true) => format!("after {time} s, a crash"),
            (true, Some(time), false) => format!("after {time} s, a message"),
            _ => on_off(on).to_owned(),
        };
        let effect = match (on, self.facts.task_watchdog, panics) {
            (true, true, true) => "It ended this program.",
            (true, true, false) => "It only printed a message; the program went on.",
            (true, false, _) => "It had no reason to act.",
            (false, ..) => "A task that keeps a core busy for good is not noticed.",
        };
        let better = (on && self.facts.task_watchdog && !panics).then(|| {
            "CONFIG_ESP_TASK_WDT_PANIC ends the program there, with registers.".to_owned()
        });
        Some(setting(
            "task watchdog",
            &value,
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn brownout(&self) -> Option<ExplainedSetting> {
        let names = [
            "CONFIG_ESP_BROWNOUT_DET",
            "CONFIG_ESP32_BROWNOUT_DET",
            "CONFIG_ESP32S2_BROWNOUT_DET",
            "CONFIG_ESP32S3_BROWNOUT_DET",
            "CONFIG_ESP32C3_BROWNOUT_DET",
            "CONFIG_BROWNOUT_DET",
        ];
        let (on, name) = self.switch(&names)?;
        let level = self.number(&[
            "CONFIG_ESP_BROWNOUT_DET_LVL",
            "CONFIG_ESP32_BROWNOUT_DET_LVL",
            "CONFIG_ESP32S2_BROWNOUT_DET_LVL",
            "CONFIG_ESP32S3_BROWNOUT_DET_LVL",
            "CONFIG_ESP32C3_BROWNOUT_DET_LVL",
            "CONFIG_BROWNOUT_DET_LVL",
        ]);
        let value = match (on, level) {
            (true, Some(level)) => format!("on, level {level}"),
            _ => on_off(on).to_owned(),
        };
        let effect = match (on, self.facts.brownouts) {
            (true, 0) => "The supply did not fall below the level while it looked.",
            (true, _) => "The supply fell below the level, and the chip was reset.",
            (false, _) => {
                "A supply that falls too low is not noticed: the program goes wrong anywhere."
            }
        };
        let better = (!on && (self.facts.fault || self.facts.watchdog_resets > 0))
            .then(|| "Switched on, it tells a weak supply from a fault of the program.".to_owned());
        Some(setting(
            "brownout detector",
            &value,
            name,
            effect.to_owned(),
            better,
        ))
    }

    fn backtrace(&self) -> Option<ExplainedSetting> {
        let names = [
            "CONFIG_ESP_SYSTEM_USE_EH_FRAME",
            "CONFIG_ESP_SYSTEM_USE_FRAME_POINTER",
        ];
        let (on, name) = self.switch(&names)?;
        let value = match (on, name) {
            (false, _) => "off",
            (_, "CONFIG_ESP_SYSTEM_USE_EH_FRAME") => "by unwind tables",
            _ => "by frame pointers",
        };
        if on {
            let effect = "The chip prints the chain of callers itself.";
            return Some(setting(
                "backtrace on RISC-V",
                value,
                name,
                effect.to_owned(),
                None,
            ));
        }
        if !self.facts.stack_dump {
            return None;
        }
        let effect =
            "The chip prints its stack; the callers are found from that, with the ELF file.";
        Some(setting(
            "backtrace on RISC-V",
            value,
            name,
            effect.to_owned(),
            None,
        ))
    }

    fn assertions(&self) -> Option<ExplainedSetting> {
        let (value, name) = self.choice(&[
            (
                "silent",
                &[
                    "CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_SILENT",
                    "CONFIG_OPTIMIZATION_ASSERTIONS_SILENT",
                ],
            ),
            (
                "off",
                &[
                    "CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_DISABLE",
                    "CONFIG_OPTIMIZATION_ASSERTIONS_DISABLED",
                ],
            ),
        ])?;
        let suspicious = self.facts.crashes > 0;
        let (effect, better) = match value {
            "silent" if self.facts.silent_assertion => (
                "A failed assertion was printed without file, line and condition.",
                "CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_ENABLE would have printed them.",
            ),
            "silent" => (
                "A failed assertion is printed without file, line and condition.",
                "CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_ENABLE prints them.",
            ),
            _ => (
                "Conditions that the code relies on are not checked.",
                "CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_ENABLE may stop the program earlier, nearer to its fault.",
            ),
        };
        let better = suspicious.then(|| better.to_owned());
        Some(setting(
            "assertions",
            value,
            name,
            effect.to_owned(),
            better,
        ))
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn setting(
    topic: &'static str,
    value: &str,
    name: &str,
    effect: String,
    better: Option<String>,
) -> ExplainedSetting {
    ExplainedSetting {
        topic,
        value: value.to_owned(),
        name: name.to_owned(),
        effect,
        better,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &str, facts: LogFacts) -> Vec<String> {
        let config = Sdkconfig::parse(config).unwrap();
        settings(&config, &facts)
            .into_iter()
            .map(|one| {
                let better = one
                    .better
                    .map(|text| format!(" {text}"))
                    .unwrap_or_default();
                format!("{}: {}. {}{better}", one.topic, one.value, one.effect)
            })
            .collect()
    }

    #[test]
    fn a_silent_reboot_is_told_to_have_hidden_the_crash() {
        let facts = LogFacts {
            unexplained_restarts: 2,
            ..LogFacts::default()
        };
        assert_eq!(
            told("CONFIG_ESP_SYSTEM_PANIC_SILENT_REBOOT=y", facts),
            [
                "panic behaviour: silent reboot. A crash is not printed at all; 2 restarts of this log may \
                 have been one. CONFIG_ESP_SYSTEM_PANIC_PRINT_REBOOT would have printed it."
            ]
        );
    }

    #[test]
    fn names_of_older_versions_say_the_same() {
        let facts = LogFacts::default();
        assert_eq!(
            told("CONFIG_ESP32_PANIC_PRINT_HALT=y", facts),
            told("CONFIG_ESP_SYSTEM_PANIC_PRINT_HALT=y", facts)
        );
        // The new name is off and the old one on: the old file of an old project.
        let text =
            "# CONFIG_ESP_INT_WDT is not set\nCONFIG_INT_WDT=y\nCONFIG_INT_WDT_TIMEOUT_MS=300";
        assert_eq!(
            told(text, facts),
            ["interrupt watchdog: after 300 ms. It had no reason to act."]
        );
    }

    #[test]
    fn what_would_have_told_more_is_named_only_where_it_would() {
        let text = "CONFIG_HEAP_POISONING_DISABLED=y";
        let quiet = told(text, LogFacts::default());
        let fault = LogFacts {
            fault: true,
            ..LogFacts::default()
        };
        assert!(!quiet[0].contains("COMPREHENSIVE"), "{quiet:?}");
        assert!(told(text, fault)[0].contains("CONFIG_HEAP_POISONING_COMPREHENSIVE"));
    }

    #[test]
    fn a_file_without_these_settings_says_nothing() {
        let none: [String; 0] = [];
        assert_eq!(
            told("CONFIG_IDF_TARGET=\"esp32\"", LogFacts::default()),
            none
        );
    }
}
