//! Which known word somebody meant who wrote an unknown one.

/// The word most like what was written, where one is close enough to be meant.
pub fn nearest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let folded = written.to_lowercase();
    words
        .into_iter()
        .map(|word| {
            (
                strsim::damerau_levenshtein(&folded, &word.to_lowercase()),
                word,
            )
        })
        .filter(|(distance, word)| *distance * 3 <= word.chars().count().max(3))
        .min_by_key(|(distance, word)| (*distance, word.len()))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let fields = ["mode", "role", "syncInstances", "groups", "initialization"];
        assert_eq!(nearest("syncIntances", fields), Some("syncInstances"));
        assert_eq!(nearest("SyncInstances", fields), Some("syncInstances"));
        assert_eq!(nearest("mdoe", fields), Some("mode"));
        assert_eq!(nearest("replicas", fields), None);
    }
}
