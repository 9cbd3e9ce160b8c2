//! Who is mentioned in a text.

/// Whether a text has `@` and the name in it, in any case, and the name ends there.
pub fn mentions(text: &str, name: &str) -> bool {
    let (text, at_name) = (text.to_lowercase(), format!("@{}", name.to_lowercase()));
    text.match_indices(&at_name)
        .any(|(at, found)| !text[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn a_mention_is_the_whole_name() {
        assert!(mentions("hi @Ada, there?", "ada"));
        assert!(mentions("@ada", "Ada"));
        assert!(mentions("@adam and @Ada.", "Ada"));
        assert!(mentions("frag @Åsa Öberg!", "åsa öberg"));
        assert!(!mentions("@adam", "Ada"));
        assert!(!mentions("ada", "Ada"));
    }
}
