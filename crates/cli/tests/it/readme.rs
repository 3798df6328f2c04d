//! What the documents promise: the README's commands give its answers, its table names every setting, and
//! `ARCHITECTURE.md`, `docs/dependencies.md` and `SECURITY.md` know the tree.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{Serving, new_home, run};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

fn readme() -> String {
    read("README.md")
}

/// The fenced blocks of this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_first_command_starts_the_main_job() {
    let first = blocks(&readme(), "sh").into_iter().next().unwrap();
    assert_eq!(first.trim(), "cargo run --release -- serve");
}

#[test]
fn the_curl_calls_give_the_answers_shown() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    let readme = readme();
    let calls: Vec<String> = blocks(&readme, "sh").into_iter().filter(|block| block.contains("curl")).collect();
    let answers = blocks(&readme, "json");
    assert!(calls.len() >= 2 && answers.len() >= 2);
    let shell = |script: &str| {
        let script = script.replace("127.0.0.1:8000", &server.address().to_string());
        let output = Command::new("sh").args(["-euc", &script]).env("HOME", home.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // What differs from one run to the next is not compared: tokens, ids, and the time.
    let shape = |text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if value["JWT Token"].is_string() {
            value["JWT Token"] = "token".into();
        }
        if value["Claims"].is_object() {
            value["Claims"]["iat"] = 0.into();
            value["Claims"]["jti"] = "id".into();
            value["Claims"]["payload"]["date"] = "date".into();
        }
        value
    };
    let minted = shell(&calls[0]);
    assert_eq!(shape(&minted), shape(&answers[0]));
    let minted: serde_json::Value = serde_json::from_str(&minted).unwrap();
    let token = minted["JWT Token"].as_str().unwrap();
    let script = format!("TOKEN={token}\n{}", calls[1]);
    assert_eq!(shape(&shell(&script)), shape(&answers[1]));
}

#[test]
fn every_setting_stands_in_the_table() {
    let readme = readme();
    let help = run(new_home().path(), &["serve", "--help"], &[]);
    let help = String::from_utf8(help.stdout).unwrap();
    let mut settings = 0;
    for line in help.split("--").skip(1) {
        let flag: String = line.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        if line.contains("[env:") {
            settings += 1;
            let variable = format!("JOTD_{}", flag.replace('-', "_").to_uppercase());
            for name in [format!("`--{flag}"), format!("`{variable}`")] {
                assert!(readme.contains(&name), "{name} is not in the README");
            }
        }
    }
    assert!(settings > 15, "{settings}");
    assert!(readme.contains("`JOTD_SIGNING_KEY`"));
}

#[test]
fn the_test_command_is_named() {
    assert!(blocks(&readme(), "sh").iter().any(|block| block.lines().any(|line| line == "cargo xtask test")));
}

#[test]
fn the_architecture_knows_the_tree() {
    let architecture = read("ARCHITECTURE.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for word in architecture
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('/') && !word.starts_with('/') && !word.contains(' '))
    {
        assert!(root.join(word).exists(), "{word} is named but not there");
    }
    let files = |folder: &Path| -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    for name in files(&root.join("crates")) {
        assert!(architecture.contains(&format!("`crates/{name}`")), "crates/{name} is not described");
        for file in files(&root.join("crates").join(&name).join("src")) {
            let module = file.trim_end_matches(".rs");
            let known = ["lib", "main", "error"].contains(&module) || module.ends_with("_tests");
            assert!(known || architecture.contains(&format!("`{module}`")), "{name}/{file} is not described");
        }
    }
}

#[test]
fn every_direct_dependency_has_its_line() {
    let dependencies = read("docs/dependencies.md");
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    for (name, _) in manifest["workspace"]["dependencies"].as_table().unwrap() {
        let ours =
            ["jose", "authority", "jotd-http", "jotd-pgserver", "jotd-store", "jotd-wire"].contains(&name.as_str());
        assert!(ours || dependencies.contains(&format!("| {name} |")), "{name} has no line");
    }
}

/// The text of every Rust file below this folder, with its name.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = path.file_stem().unwrap().to_str().unwrap().trim_end_matches("_tests").to_owned();
            found.push((module, fs::read_to_string(path).unwrap()));
        }
    }
    found
}

#[test]
fn every_test_that_security_names_is_there() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let security = read("SECURITY.md");
    let rows = security.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.rsplit(" | ").next());
    let names: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 30, "{}", names.len());
    for name in names {
        let (module, test) = name.split_once("::").expect(name);
        let wanted = if test == "*" { "#[test]\n".to_owned() } else { format!("fn {test}()") };
        let is_there = |(own, text): &(String, String)| own == module && text.contains(&wanted);
        assert!(sources.iter().any(is_there), "{name} is named but not there");
    }
}
