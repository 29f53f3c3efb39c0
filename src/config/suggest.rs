//! "Did you mean": the known word that a misspelt one comes closest to.

/// No known word is nearly as long; comparing takes the product of the lengths.
const LONGEST: usize = 100;

/// The closest of `known`, if it is close enough to be meant. Ties go to the first in order.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let plain = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&plain, &candidate.to_ascii_lowercase().replace('-', "_"));
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().min(word.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// More words than these are no help.
const SHOWN: usize = 16;

/// A hint: what was probably meant, else the words that are known, if they are few.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(close) = closest(word, known.iter().copied()) {
        return Some(format!("did you mean `{close}`?"));
    }
    let shown: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
    (1..=SHOWN).contains(&shown.len()).then(|| format!("known here: {}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["min_workers", "max_workers", "node_config"];
        assert_eq!(closest("min_worker", known), Some("min_workers"));
        assert_eq!(closest("MinWorkers", known), Some("min_workers"));
        assert_eq!(closest("max-workers", known), Some("max_workers"));
        assert_eq!(closest("image", known), None);
    }
}
