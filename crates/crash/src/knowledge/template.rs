//! Sentences with places for what stood in the message.

use super::entry::Fields;

/// What stands for a field that the message did not have.
const UNKNOWN: &str = "(unknown)";

/// The sentence with each `{field}` replaced by what stood in the message.
pub fn fill(template: &str, fields: &Fields) -> String {
    let mut filled = String::with_capacity(template.len());
    for part in parts(template) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Field(name) => {
                filled.push_str(fields.get(name).map_or(UNKNOWN, |value| value.as_str()));
            }
        }
    }
    filled
}

/// The fields that a sentence has places for.
pub(super) fn places(template: &str) -> impl Iterator<Item = &str> {
    parts(template).filter_map(|part| match part {
        Part::Field(name) => Some(name),
        Part::Text(_) => None,
    })
}

enum Part<'t> {
    Text(&'t str),
    Field(&'t str),
}

/// Braces around anything but a lower-case word are text, as in C.
fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('{')
            && let Some((name, after)) = inner.split_once('}')
            && !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            rest = after;
            return Some(Part::Field(name));
        }
        let next = rest
            .char_indices()
            .skip(1)
            .find(|(_, letter)| *letter == '{')
            .map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(next);
        rest = after;
        Some(Part::Text(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_take_their_places_and_other_braces_stay() {
        let fields = Fields::from([("task".to_owned(), "wifi".to_owned())]);
        assert_eq!(fill("Task {task} died.", &fields), "Task wifi died.");
        assert_eq!(fill("Core {core}", &fields), "Core (unknown)");
        assert_eq!(fill("int a[] = {1}; {", &fields), "int a[] = {1}; {");
        assert_eq!(places("{a} b {c}{d}").collect::<Vec<_>>(), ["a", "c", "d"]);
    }
}
