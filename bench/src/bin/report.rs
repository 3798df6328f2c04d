//! Reads what criterion has measured in several rounds and prints it as a table: calls a second, and ratios.

use std::path::Path;

/// The least of the rounds' medians, in nanoseconds: whatever disturbs a round only makes it slower.
fn median(group: &str, function: &str) -> Option<f64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/criterion").join(group).join(function);
    let rounds = std::fs::read_dir(folder).ok()?.flatten().filter_map(|round| {
        if !round.file_name().to_str()?.starts_with("round") {
            return None;
        }
        let text = std::fs::read_to_string(round.path().join("estimates.json")).ok()?;
        let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
        estimates["median"]["point_estimate"].as_f64()
    });
    rounds.min_by(f64::total_cmp)
}

fn main() {
    println!("| algorithm | | bare/s | jose/s | jsonwebtoken/s | jose to bare | jose to jsonwebtoken |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for algorithm in jose::Algorithm::all() {
        for operation in ["mint", "verify"] {
            let group = format!("{algorithm} {operation}");
            let [bare, jose, peer] = ["bare", "jose", "jsonwebtoken"].map(|function| median(&group, function));
            let rate = |nanos: Option<f64>| nanos.map_or_else(|| "–".to_owned(), |nanos| format!("{:.0}", 1e9 / nanos));
            let ratio = |other: Option<f64>| match (other, jose) {
                (Some(other), Some(jose)) => format!("{:.2}", other / jose),
                _ => "–".to_owned(),
            };
            let (bare_rate, jose_rate, peer_rate) = (rate(bare), rate(jose), rate(peer));
            println!(
                "| {algorithm} | {operation} | {bare_rate} | {jose_rate} | {peer_rate} | {} | {} |",
                ratio(bare),
                ratio(peer)
            );
        }
    }
}
