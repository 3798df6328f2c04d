//! `cargo xtask bench growth`: how rate, times and memory grow with connections, and how a check grows with revoked
//! tokens. Prints tables, and draws them in `docs/plots`.

use std::io;

use super::connections::{self, LOADED, named};
use super::figures::{Figures, shown};
use super::jotd::binary;
use super::plot::{Axis, Scale, Series, draw, svg};
use super::wrk;
use super::wrk::Round;
use crate::steps::{cargo, root};

pub(crate) fn run() -> bool {
    match measure() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("== failed: {error}");
            false
        }
    }
}

fn measure() -> io::Result<()> {
    let mut left_out = Vec::new();
    let binary = binary()?;
    let most = connections::most();
    if most < 10_000 {
        left_out.push(format!("more than {most} connections, because of the limit on descriptors (`ulimit -Hn`)"));
    }
    std::fs::create_dir_all(root().join("target/bench"))?;
    let mut raw = serde_json::Map::new();
    if wrk::is_there() {
        let figures = connections::under_load(&binary, most, &mut left_out)?;
        under_load(&figures)?;
        raw.insert("under_load".to_owned(), figures.to_json());
    } else {
        left_out.push("rates and times over connections, because wrk is not installed (Debian: wrk)".to_owned());
    }
    eprintln!("== memory over connections");
    let memory = connections::idle(&binary, most)?;
    idle(&memory)?;
    raw.insert("idle".to_owned(), memory.iter().map(|(count, bytes)| serde_json::json!([count, bytes])).collect());
    raw.insert("revocations".to_owned(), revocations()?);
    for reason in &left_out {
        println!("left out: {reason}");
    }
    std::fs::write(root().join("target/bench/growth.json"), serde_json::to_string_pretty(&raw)?)?;
    println!("every figure is in target/bench/growth.json, the plots are in docs/plots");
    Ok(())
}

fn under_load(figures: &Figures) -> io::Result<()> {
    println!(
        "| connections | requests/s | per CPU second | half within | 99 of 100 within | failed | nginx: requests/s | per CPU second | 99 of 100 within |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let find = |server, connections| figures.quietest(&named(server, connections));
    let millis = |seconds: f64| seconds * 1e3;
    for connections in LOADED {
        let Some(jotd) = find("jotd", connections) else { continue };
        print!("| {connections} | {:.0} | {:.0} | ", jotd.per_second, jotd.per_cpu_second);
        print!("{:.2} ms | {:.2} ms | {} | ", millis(jotd.p50), millis(jotd.p99), jotd.failed);
        match find("nginx", connections) {
            Some(nginx) => {
                println!("{:.0} | {:.0} | {:.2} ms |", nginx.per_second, nginx.per_cpu_second, millis(nginx.p99));
            }
            None => println!("– | – | – |"),
        }
    }
    println!();
    let series = |of: fn(Round) -> f64| -> Vec<Series> {
        let points =
            |server| LOADED.iter().filter_map(move |count| Some((f64::from(*count), of(find(server, *count)?))));
        let both = [("jotd", "jotd /generateToken"), ("nginx", "nginx, constant answer")];
        let series = both.map(|(server, name)| Series { name: name.to_owned(), points: points(server).collect() });
        series.into_iter().filter(|series| !series.points.is_empty()).collect()
    };
    let x = Axis { label: "connections", scale: Scale::Log };
    let y = Axis { label: "requests a second", scale: Scale::Linear };
    draw("throughput", &svg("Requests a second over connections", &x, &y, &series(|round| round.per_second)))?;
    let y = Axis { label: "milliseconds", scale: Scale::Log };
    draw("latency", &svg("99 of 100 requests take at most", &x, &y, &series(|round| round.p99 * 1e3)))
}

fn idle(memory: &[(u32, u64)]) -> io::Result<()> {
    println!("| idle connections | resident memory | bytes a connection |");
    println!("| ---: | ---: | ---: |");
    let none = memory.first().map_or(0, |(_, bytes)| *bytes);
    for (count, bytes) in memory {
        let each = bytes.saturating_sub(none).checked_div(u64::from(*count));
        println!("| {count} | {:.1} MB | {} |", *bytes as f64 / 1e6, shown(each.map(|each| each as f64), 0));
    }
    println!();
    let points = memory.iter().map(|(count, bytes)| (f64::from(*count), *bytes as f64 / 1e6)).collect();
    let x = Axis { label: "idle connections", scale: Scale::Linear };
    let y = Axis { label: "MB", scale: Scale::Linear };
    let series = [Series { name: "jotd, resident".to_owned(), points }];
    draw("memory", &svg("Memory over connections that are kept", &x, &y, &series))
}

/// Runs the program `revocation` in `bench/`.
fn revocations() -> io::Result<serde_json::Value> {
    eprintln!("== checks over revoked tokens");
    let mut run = cargo(&["run", "--locked", "--release", "--quiet", "--bin", "revocation"]);
    run.args(["--manifest-path", "bench/Cargo.toml", "--", "--json"]).stderr(std::process::Stdio::inherit());
    let rows: serde_json::Value = serde_json::from_slice(&run.output()?.stdout)?;
    println!("| revoked tokens | bytes an entry | a check that finds nothing | a check that finds it |");
    println!("| ---: | ---: | ---: | ---: |");
    let (mut nothing, mut found) = (Vec::new(), Vec::new());
    for row in rows.as_array().into_iter().flatten() {
        let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
        let (misses, hits) = (number("nanoseconds_found_nothing"), number("nanoseconds_found"));
        println!("| {} | {:.1} | {misses:.0} ns | {hits:.0} ns |", row["revoked"], number("bytes_an_entry"));
        nothing.push((number("revoked"), misses));
        found.push((number("revoked"), hits));
    }
    println!();
    let x = Axis { label: "revoked tokens", scale: Scale::Log };
    let y = Axis { label: "nanoseconds", scale: Scale::Linear };
    let series = [
        Series { name: "finds nothing".to_owned(), points: nothing },
        Series { name: "finds a revocation".to_owned(), points: found },
    ];
    draw("revocations", &svg("A check whether a token is revoked", &x, &y, &series))?;
    Ok(rows)
}
