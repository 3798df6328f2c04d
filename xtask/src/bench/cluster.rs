//! `cargo xtask bench cluster`: several nodes over one PostgreSQL, with its default durability. Prints tables, draws how
//! soon a revocation holds everywhere in `docs/plots`.

use std::io;
use std::process::Stdio;

use jotd_pgserver::Server;
use serde_json::Value;

use super::jotd::binary;
use super::plot::{Axis, Scale, Series, draw, svg};
use super::{nodes, program};
use crate::steps::root;

const PARTS: [&str; 4] = ["propagation", "mutations", "start", "recovery"];

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
    if !jotd_pgserver::is_installed() {
        return Err(io::Error::other("PostgreSQL is not installed (Debian: postgresql)"));
    }
    let (binary, program) = (binary()?, program::build("cluster")?);
    let server = Server::start();
    let mut tables = vec![nodes::serving(&binary, &server)?, nodes::idle(&binary, &server)?];
    drop(server);
    tables.iter().for_each(print);
    for part in PARTS {
        eprintln!("== {part}");
        let mut command = std::process::Command::new(&program);
        let done = command.arg(part).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !done.status.success() {
            return Err(io::Error::other(format!("{part} failed ({})", done.status)));
        }
        let of_part = serde_json::Deserializer::from_slice(&done.stdout).into_iter::<Value>();
        for table in of_part {
            let table = table?;
            print(&table);
            tables.push(table);
        }
    }
    plot(&tables)?;
    std::fs::create_dir_all(root().join("target/bench"))?;
    std::fs::write(root().join("target/bench/cluster.json"), serde_json::to_string_pretty(&tables)?)?;
    println!("every figure is in target/bench/cluster.json, the plot is in docs/plots");
    Ok(())
}

fn rows(table: &Value) -> impl Iterator<Item = &Vec<Value>> {
    table["rows"].as_array().into_iter().flatten().filter_map(Value::as_array)
}

fn print(table: &Value) {
    println!("{}\n", table["name"].as_str().unwrap_or_default());
    let columns = table["columns"].as_array().into_iter().flatten();
    let is_text = |index| rows(table).any(|row| row.get(index).is_some_and(Value::is_string));
    let line = |cells: &[String]| println!("| {} |", cells.join(" | "));
    line(&columns.clone().map(shown).collect::<Vec<_>>());
    let aligned = columns.enumerate().map(|(index, _)| if is_text(index) { "---" } else { "---:" }.to_owned());
    line(&aligned.collect::<Vec<_>>());
    rows(table).for_each(|row| line(&row.iter().map(shown).collect::<Vec<_>>()));
    println!();
}

fn shown(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        Value::Number(number) if number.as_f64().is_some_and(|value| value.fract() == 0.0) => {
            format!("{:.0}", number.as_f64().unwrap_or_default())
        }
        figure => figure.to_string(),
    }
}

/// Of revocations that come one at a time.
fn plot(tables: &[Value]) -> io::Result<()> {
    let Some(table) = tables.iter().find(|table| table["name"] == "propagation") else { return Ok(()) };
    let series = [("half of them", 6), ("99 of 100", 7)].map(|(name, column)| {
        let single = rows(table).filter(|row| row[1] == "one at a time");
        let points = single.filter_map(|row| Some((row.first()?.as_f64()?, row.get(column)?.as_f64()?)));
        Series { name: name.to_owned(), points: points.collect() }
    });
    let x = Axis { label: "nodes", scale: Scale::Log };
    let y = Axis { label: "milliseconds", scale: Scale::Linear };
    draw("propagation", &svg("A revocation holds on all nodes after", &x, &y, &series))
}
