//! Rounds collected under names, and what is made of them: medians, and ratios within each round.

use super::wrk::Round;

/// Rounds by name, in the order in which names came first.
#[derive(Default)]
pub(crate) struct Figures(Vec<(String, Vec<Round>)>);

impl Figures {
    /// Adds a round.
    pub(crate) fn add(&mut self, name: &str, round: Round) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, rounds)) => rounds.push(round),
            None => self.0.push((name.to_owned(), vec![round])),
        }
    }

    /// The names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The median of something over the rounds of a name.
    pub(crate) fn median(&self, name: &str, of: impl Fn(&Round) -> f64) -> Option<f64> {
        median(self.rounds(name)?.iter().map(of).collect())
    }

    /// The round with the highest rate: whatever disturbs a round only makes it slower.
    pub(crate) fn quietest(&self, name: &str) -> Option<Round> {
        self.rounds(name)?.iter().copied().max_by(|a, b| a.per_second.total_cmp(&b.per_second))
    }

    /// The median of the ratios that something has within each round, `None` when one side was not measured.
    pub(crate) fn ratio(&self, above: &str, below: &str, of: impl Fn(&Round) -> f64) -> Option<f64> {
        let (above, below) = (self.rounds(above)?, self.rounds(below)?);
        median(above.iter().zip(below).map(|(above, below)| of(above) / of(below)).collect())
    }

    /// Everything, to be kept.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let round = |round: &Round| {
            serde_json::json!({
                "per_second": round.per_second, "per_cpu_second": round.per_cpu_second, "p50_seconds": round.p50,
                "p99_seconds": round.p99, "load_busy": round.load_busy, "failed": round.failed,
            })
        };
        self.0.iter().map(|(name, rounds)| (name.clone(), rounds.iter().map(round).collect::<Vec<_>>())).collect()
    }

    fn rounds(&self, name: &str) -> Option<&[Round]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, rounds)| rounds.as_slice())
    }
}

/// The middle one, of an even number the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A figure in a table, `–` for one that was not measured.
pub(crate) fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut figures = Figures::default();
        for (above, below) in [(10.0, 10.0), (90.0, 100.0), (4.0, 5.0)] {
            figures.add("above", Round { per_second: above, ..Round::default() });
            figures.add("below", Round { per_second: below, ..Round::default() });
        }
        assert_eq!(figures.ratio("above", "below", |round| round.per_second), Some(0.9));
        assert_eq!(figures.median("above", |round| round.per_second), Some(10.0));
        assert_eq!(figures.quietest("above").map(|round| round.per_second), Some(90.0));
        assert_eq!(figures.ratio("above", "nobody", |round| round.per_second), None);
        assert_eq!((shown(Some(0.567), 2), shown(None, 2)), ("0.57".to_owned(), "–".to_owned()));
    }
}
