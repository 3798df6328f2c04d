//! The container files, read as a container engine would: names, ports, users and flags must be those of the program.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use yaml_rust2::{Yaml, YamlLoader};

use crate::process::{new_home, run};

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The instructions of the Dockerfile, stage by stage, continuation lines joined.
fn stages() -> Vec<Vec<(String, String)>> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap().replace("\\\n", " ");
    let mut stages = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (instruction, rest) = line.split_once(char::is_whitespace).expect(line);
        if instruction == "FROM" {
            stages.push(Vec::new());
        }
        let stage: &mut Vec<_> = stages.last_mut().expect("FROM comes first");
        stage.push((instruction.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    stages
}

fn all<'s>(stage: &'s [(String, String)], instruction: &str) -> Vec<&'s str> {
    stage.iter().filter(|(name, _)| name == instruction).map(|(_, rest)| rest.as_str()).collect()
}

fn exec_form(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not in exec form, which needs no shell: {text}: {error}"))
}

#[test]
fn the_image_runs_the_program_with_settings_that_exist() {
    let stages = stages();
    let [.., image] = &stages[..] else { panic!("no stage") };
    assert!(stages.len() >= 2, "built in one stage, run in another");
    assert!(all(image, "RUN").is_empty(), "the final image has no shell to run anything");

    let [entrypoint] = all(image, "ENTRYPOINT")[..] else { panic!("one ENTRYPOINT") };
    let [command] = all(image, "CMD")[..] else { panic!("one CMD") };
    let program = [exec_form(entrypoint), exec_form(command)].concat();
    let copied = all(image, "COPY").iter().any(|copy| copy.ends_with(&program[0]) && copy.contains("--from="));
    assert!(copied, "{} is copied from the building stage", program[0]);
    assert!(program[0].ends_with("/jotd"));

    let variables: HashMap<_, _> =
        all(image, "ENV").iter().flat_map(|line| line.split(' ')).filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(variables["JOTD_LISTEN"], "0.0.0.0:8000");
    assert_eq!(variables["JOTD_DATA_DIR"], "/var/lib/jotd");
    assert_eq!(all(image, "EXPOSE"), ["8000"]);
    assert_eq!(all(image, "VOLUME"), ["/var/lib/jotd"]);

    let [user] = all(image, "USER")[..] else { panic!("one USER") };
    let uid: u32 =
        user.split(':').next().unwrap().parse().expect("a number, so that Kubernetes can see it is not root");
    assert_ne!(uid, 0);

    // The program takes these settings and this command.
    let home = new_home();
    let pairs: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with("JOTD_")).map(|(n, v)| (*n, *v)).collect();
    assert_eq!(program[1..], ["serve"]);
    let shown = run(home.path(), &["config"], &pairs);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("listen = [\"0.0.0.0:8000\"] # JOTD_LISTEN"), "{shown}");

    let [check] = all(image, "HEALTHCHECK")[..] else { panic!("one HEALTHCHECK") };
    let (_, command) = check.split_once("CMD ").unwrap();
    let command = exec_form(command);
    assert_eq!(command[0], program[0]);
    assert_eq!(command[1..], ["health"]);
}

#[test]
fn the_building_stage_builds_this_workspace() {
    let stages = stages();
    let built: String = stages.iter().flat_map(|stage| all(stage, "RUN")).collect::<Vec<_>>().join("\n");
    assert!(built.contains("cargo build --release --locked") && built.contains("--package jotd"), "{built}");
    // Sources that COPY names are there.
    for (stage, copy) in stages.iter().flat_map(|stage| all(stage, "COPY").into_iter().map(move |copy| (stage, copy))) {
        let words: Vec<_> = copy.split(' ').filter(|word| !word.starts_with("--")).collect();
        if copy.contains("--from=") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            assert!(root().join(source).exists(), "{source} of {:?}", stage[0]);
        }
    }
}

#[test]
fn compose_starts_the_image_locked_down() {
    let text = fs::read_to_string(root().join("compose.yaml")).unwrap();
    let documents = YamlLoader::load_from_str(&text).unwrap();
    let compose = &documents[0];
    let services = compose["services"].as_hash().unwrap();
    assert_eq!(services.len(), 1);
    let jotd = &compose["services"]["jotd"];
    assert_eq!(jotd["build"].as_str(), Some("."));
    assert_eq!(strings(&jotd["ports"]), ["8000:8000"]);
    assert_eq!(jotd["read_only"].as_bool(), Some(true));
    assert_eq!(strings(&jotd["cap_drop"]), ["ALL"]);
    assert_eq!(strings(&jotd["security_opt"]), ["no-new-privileges:true"]);
    let volumes = strings(&jotd["volumes"]);
    let [volume] = &volumes[..] else { panic!("one volume") };
    let (name, place) = volume.split_once(':').unwrap();
    assert_eq!(place, "/var/lib/jotd");
    assert!(compose["volumes"].as_hash().unwrap().contains_key(&Yaml::from_str(name)), "{name} is declared");
    // Whatever it sets is a setting.
    for name in jotd["environment"].as_hash().into_iter().flatten().filter_map(|(name, _)| name.as_str()) {
        let help = run(new_home().path(), &["serve", "--help"], &[]);
        assert!(String::from_utf8(help.stdout).unwrap().contains(&format!("[env: {name}]")), "{name}");
    }
}

pub(crate) fn strings(list: &Yaml) -> Vec<String> {
    list.as_vec().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}
