//! Line plots as SVG: small, of one size, and the same text for the same figures. They follow whether the reader's
//! surroundings are light or dark.

use std::fmt::Write as _;
use std::io;

use crate::steps::root;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Where the plane of the plot begins and ends.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 606.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 304.0;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}\
.grid{stroke:#d8dee4}polyline{fill:none;stroke-width:2}.b{stroke-dasharray:6 4}\
.a{stroke:#0969da}circle.a{fill:#0969da}.b{stroke:#bc4c00}circle.b{fill:#bc4c00}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}\
.a{stroke:#58a6ff}circle.a{fill:#58a6ff}.b{stroke:#f0883e}circle.b{fill:#f0883e}}";

/// How values become places.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    /// From nothing on.
    Linear,
    /// Each step ten times the one before.
    Log,
}

/// One axis.
pub(crate) struct Axis {
    /// What it shows, and in which unit.
    pub(crate) label: &'static str,
    /// How.
    pub(crate) scale: Scale,
}

/// One line.
pub(crate) struct Series {
    /// What it is.
    pub(crate) name: String,
    /// Its points, from left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// The plot of two series at most.
pub(crate) fn svg(title: &str, x: &Axis, y: &Axis, series: &[Series]) -> String {
    let all = || series.iter().flat_map(|series| &series.points);
    let x_ticks = ticks(x.scale, all().map(|point| point.0));
    let y_ticks = ticks(y.scale, all().map(|point| point.1));
    let across = |value| LEFT + place(x.scale, &x_ticks, value) * (RIGHT - LEFT);
    let up = |value| BOTTOM - place(y.scale, &y_ticks, value) * (BOTTOM - TOP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>\n"
    );
    // Writing to a string cannot fail.
    for (at, tick) in x_ticks.iter().map(|tick| (across(*tick), tick)) {
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{BOTTOM}\"/>");
        let _ =
            writeln!(out, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", BOTTOM + 18.0, named(*tick));
    }
    for (at, tick) in y_ticks.iter().map(|tick| (up(*tick), tick)) {
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            named(*tick)
        );
    }
    let (middle, centre) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
    let _ = writeln!(out, "<text x=\"{middle}\" y=\"344\" text-anchor=\"middle\">{}</text>", x.label);
    let _ = writeln!(
        out,
        "<text transform=\"translate(18 {centre}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        y.label
    );
    for (number, (series, class)) in series.iter().zip(["a", "b"]).enumerate() {
        let points: Vec<_> = series.points.iter().map(|(x, y)| (across(*x), up(*y))).collect();
        let line: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", line.join(" "));
        for (x, y) in points {
            let _ = writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        let at = LEFT + 190.0 * number as f64;
        let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{at:.1},38 {:.1},38\"/>", at + 26.0);
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"42\">{}</text>", at + 32.0, series.name);
    }
    out + "</svg>\n"
}

/// Keeps a plot in `docs/plots`.
pub(crate) fn draw(name: &str, plot: &str) -> io::Result<()> {
    let folder = root().join("docs/plots");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name).with_extension("svg"), plot)
}

/// The values at which the axis is marked; the first and the last are its ends.
fn ticks(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let largest = values.clone().fold(f64::MIN_POSITIVE, f64::max);
    match scale {
        Scale::Linear => {
            let step = steps(largest / 6.0).find(|step| step * 6.0 >= largest).unwrap_or(largest);
            let count = (largest / step).ceil().max(1.0) as u32;
            (0..=count).map(|number| f64::from(number) * step).collect()
        }
        Scale::Log => {
            let least = values.filter(|value| *value > 0.0).fold(largest, f64::min);
            let fine: Vec<f64> = between(least, largest, steps(least));
            if fine.len() <= 7 {
                fine
            } else {
                between(least, largest, (decade(least)..).map(|power| 10_f64.powi(power)))
            }
        }
    }
}

/// From the last step that is not above `least` to the first that is not below `largest`.
fn between(least: f64, largest: f64, steps: impl Iterator<Item = f64>) -> Vec<f64> {
    // What is a step but for the rounding of its logarithm is a step.
    let least = least * (1.0 + 1e-9);
    let mut found = Vec::new();
    for step in steps {
        if step <= least {
            found.clear();
        }
        found.push(step);
        if step >= largest * (1.0 - 1e-9) {
            break;
        }
    }
    found
}

/// 1, 2, 5, 10, 20, … times a power of ten, from about `least` on.
fn steps(least: f64) -> impl Iterator<Item = f64> {
    (decade(least)..).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
}

fn decade(value: f64) -> i32 {
    (value.log10() + 1e-9).floor() as i32
}

/// Where between the ends a value lies: from 0 to 1.
fn place(scale: Scale, ticks: &[f64], value: f64) -> f64 {
    let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else {
        return 0.0;
    };
    match scale {
        Scale::Linear => (value - first) / (last - first),
        Scale::Log => (value / first).log10() / (last / first).log10(),
    }
}

/// 0.5, 20, 1,000, 10M.
fn named(value: f64) -> String {
    if value >= 1e6 {
        return format!("{}M", value / 1e6);
    }
    if value < 1000.0 {
        return format!("{}", (value * 1e6).round() / 1e6);
    }
    format!("{},{:03}", (value / 1000.0) as u64, value as u64 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_values() {
        for (scale, values, expected) in [
            (Scale::Linear, vec![0.0, 10_000.0], vec![0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0, 10_000.0]),
            (Scale::Linear, vec![3.0, 11.0], vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]),
            (Scale::Log, vec![1.0, 10_000.0], vec![1.0, 10.0, 100.0, 1_000.0, 10_000.0]),
            (Scale::Log, vec![17.0, 172.0], vec![10.0, 20.0, 50.0, 100.0, 200.0]),
            (Scale::Log, vec![0.03, 400.0], vec![0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0]),
        ] {
            let found = ticks(scale, values.iter().copied());
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9 * b.abs() + 1e-12), "{found:?}");
        }
    }

    #[test]
    fn values_are_named_briefly() {
        let names = [0.0, 0.01, 0.5, 20.0, 1_000.0, 50_000.0, 1e7].map(named);
        assert_eq!(names, ["0", "0.01", "0.5", "20", "1,000", "50,000", "10M"]);
    }

    #[test]
    fn the_ends_of_the_axes_are_the_corners() {
        let (x, y) = (Axis { label: "x", scale: Scale::Log }, Axis { label: "y", scale: Scale::Linear });
        let series = [Series { name: "one".to_owned(), points: vec![(1.0, 0.0), (100.0, 10.0)] }];
        let svg = svg("title", &x, &y, &series);
        assert!(svg.contains("points=\"78.0,304.0 606.0,56.0\""), "{svg}");
        assert!(svg.contains(">one</text>") && svg.ends_with("</svg>\n"));
    }
}
