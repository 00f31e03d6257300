//! Numbers and bars in the predecessor's form.

/// A number of bytes: `512B`, `1.20MB`.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count}B");
    }
    let mut size = count as f64;
    let mut unit = "";
    for suffix in ["kB", "MB", "GB"] {
        size /= 1024.0;
        unit = suffix;
        if size < 1024.0 {
            break;
        }
    }
    format!("{size:.2}{unit}")
}

/// Time since a step began: `59s`, `1:00`.
pub fn elapsed(seconds: u64) -> String {
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

/// A bar of 30 characters, in steps of half a character.
pub fn bar(done: u64, total: u64) -> String {
    const WIDTH: usize = 30;
    if total == 0 || done >= total {
        return "━".repeat(WIDTH);
    }
    let halves = (WIDTH as u64 * 2).saturating_mul(done) / total;
    let full = (halves / 2) as usize;
    let half = if halves % 2 == 1 { "╸" } else { "" };
    let blank = WIDTH - full - usize::from(!half.is_empty());
    format!("{}{half}{}", "━".repeat(full), " ".repeat(blank))
}

/// A rate in the form ` (95.3 kbit/s)`; empty when no time has passed.
pub fn rate(bytes: u64, seconds: f64) -> String {
    if seconds > 0.0 {
        format!(" ({:.1} kbit/s)", bytes as f64 / seconds * 8.0 / 1000.0)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_steps_and_two_digits() {
        for (count, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00kB"),
            (1_258_291, "1.20MB"),
            (3 << 30, "3.00GB"),
            (3 << 40, "3072.00GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_bar_has_30_characters_at_any_time() {
        for done in 0..=100 {
            assert_eq!(bar(done, 100).chars().count(), 30, "{done}");
        }
        assert_eq!(bar(0, 1), " ".repeat(30));
        assert_eq!(bar(1, 1), "━".repeat(30));
        assert!(bar(1, 40).starts_with("╸ "));
        assert_eq!(bar(5, 0), "━".repeat(30));
    }

    #[test]
    fn minutes_have_two_digits_of_seconds() {
        assert_eq!(elapsed(59), "59s");
        assert_eq!(elapsed(61), "1:01");
    }
}
