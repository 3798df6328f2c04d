//! `compose.cluster.yaml`, read as an engine would: three equal nodes whose settings exist, reached through the balancer
//! alone, and secrets that its first lines say how to make.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

use yaml_rust2::{Yaml, YamlLoader};

use crate::container::{root, strings};
use crate::process::{new_home, run};

const NODES: [&str; 3] = ["jotd-1", "jotd-2", "jotd-3"];

fn text() -> String {
    fs::read_to_string(root().join("compose.cluster.yaml")).unwrap()
}

fn compose() -> Yaml {
    YamlLoader::load_from_str(&text()).unwrap().remove(0)
}

fn names(map: &Yaml) -> BTreeSet<&str> {
    map.as_hash().into_iter().flatten().map(|(name, _)| name.as_str().unwrap()).collect()
}

/// A time such as `30s` or `1m`, in seconds.
fn seconds(time: &str) -> u64 {
    let (number, unit) = time.split_at(time.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 }
}

/// The effective settings of a node, `name = value` by line.
fn config(node: &Yaml) -> String {
    let variables = node["environment"].as_hash().unwrap().iter();
    let variables: Vec<_> = variables.map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap())).collect();
    let output = run(new_home().path(), &["config"], &variables);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nodes_are_equal_and_their_settings_exist() {
    let compose = compose();
    let services = &compose["services"];
    assert_eq!(names(services), BTreeSet::from(["balancer", "jotd-1", "jotd-2", "jotd-3", "postgres"]));
    let node = &services["jotd-1"];
    assert!(NODES.iter().all(|name| services[*name] == *node));
    assert_eq!(node["build"].as_str(), Some("."));
    let help = String::from_utf8(run(new_home().path(), &["serve", "--help"], &[]).stdout).unwrap();
    // Lines may be broken anywhere between words.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing: Vec<_> =
        names(&node["environment"]).into_iter().filter(|name| !help.contains(&format!("[env: {name}]"))).collect();
    assert_eq!(missing, <[&str; 0]>::default());
    let config = config(node);
    for name in names(&node["environment"]) {
        assert!(config.lines().any(|line| line.ends_with(&format!(" # {name}"))), "{name} has no effect: {config}");
    }
    // What they ask of themselves is what the listener for operators answers.
    let check = strings(&node["healthcheck"]["test"]);
    let port = node["environment"]["JOTD_ADMIN_LISTEN"].as_str().unwrap().rsplit(':').next().unwrap();
    let url = format!("http://127.0.0.1:{port}/readyz");
    assert_eq!(check, ["CMD", "/usr/local/bin/jotd", "health", "--url", &url]);
    // Nobody is killed while requests are on their way.
    let drain = seconds(node["environment"]["JOTD_DRAIN_TIME"].as_str().unwrap());
    let stop = config.lines().find_map(|line| line.strip_prefix("stop_timeout = \"")).unwrap();
    let stop = seconds(stop.split('"').next().unwrap());
    assert!(seconds(node["stop_grace_period"].as_str().unwrap()) > drain + stop);
}

#[test]
fn everything_is_locked_down() {
    let compose = compose();
    for (name, service) in compose["services"].as_hash().unwrap() {
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name:?}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name:?}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name:?}");
        assert_eq!(service["restart"].as_str(), Some("unless-stopped"), "{name:?}");
        assert!(service["privileged"].is_badvalue() && service["network_mode"].is_badvalue(), "{name:?}");
        let is_database = name.as_str() == Some("postgres");
        assert_eq!(service["cap_add"].is_badvalue(), !is_database, "{name:?}");
        // The database alone keeps something; the balancer reads its file.
        let volumes = service["volumes"].as_vec().map_or(0, Vec::len);
        assert_eq!(volumes, usize::from(!NODES.contains(&name.as_str().unwrap())), "{name:?}");
    }
    let [store] = &strings(&compose["services"]["postgres"]["volumes"])[..] else { panic!("one volume") };
    assert!(names(&compose["volumes"]).contains(store.split(':').next().unwrap()));
    let [file] = &strings(&compose["services"]["balancer"]["volumes"])[..] else { panic!("one file") };
    assert!(root().join(file.split(':').next().unwrap()).is_file() && file.ends_with(":ro"), "{file}");
}

#[test]
fn the_cluster_is_reached_through_the_balancer_alone() {
    let compose = compose();
    let services = &compose["services"];
    let inside = &compose["networks"]["inside"];
    assert_eq!(inside["internal"].as_bool(), Some(true));
    for (name, service) in services.as_hash().unwrap() {
        let is_balancer = name.as_str() == Some("balancer");
        assert_eq!(service["ports"].is_badvalue(), !is_balancer, "{name:?}");
        if !is_balancer {
            assert_eq!(strings(&service["networks"]), ["inside"], "{name:?}");
        }
    }
    // Its address is one that no other container is given, and the one that nodes believe.
    let balancer = services["balancer"]["networks"]["inside"]["ipv4_address"].as_str().unwrap();
    assert_eq!(services["jotd-1"]["environment"]["JOTD_TRUSTED_PROXY"].as_str(), Some(balancer));
    let network = &inside["ipam"]["config"][0];
    let contains = |network: &str| {
        let (first, bits) = network.split_once('/').unwrap();
        let mask = u32::MAX << (32 - bits.parse::<u32>().unwrap());
        let [first, own] = [first, balancer].map(|text| text.parse::<Ipv4Addr>().unwrap().to_bits());
        first & mask == own & mask
    };
    assert!(contains(network["subnet"].as_str().unwrap()) && !contains(network["ip_range"].as_str().unwrap()));
    // It listens where it is published, and knows the nodes by where they serve, not by where operators ask.
    let file = fs::read_to_string(root().join("deploy/haproxy.cfg")).unwrap();
    assert_eq!(strings(&services["balancer"]["ports"]), ["8000:8000"]);
    assert!(file.contains("bind \"${JOTD_BALANCER_LISTEN-:8000}\"\n"));
    for (number, name) in (1..).zip(NODES) {
        assert!(file.contains(&format!("server node-{number} \"${{JOTD_NODE_{number}-{name}:8000}}\"\n")), "{name}");
    }
    assert_eq!(services["jotd-1"]["environment"]["JOTD_ADMIN_LISTEN"].as_str(), Some("0.0.0.0:8001"));
    assert!(!file.contains(":8001") && !file.contains("stats "), "neither metrics nor a page of its own");
}

#[test]
fn secrets_come_from_files_that_the_first_lines_make() {
    let text = text();
    let compose = compose();
    let services = &compose["services"];
    let how: String = text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
    for (name, secret) in compose["secrets"].as_hash().unwrap() {
        let (name, file) = (name.as_str().unwrap(), secret["file"].as_str().unwrap());
        assert_eq!(file, format!("./secrets/{name}"));
        assert!(how.contains("chown 65532 ") && how.contains(&format!("secrets/{name}")), "{name}");
    }
    for ignored in [".gitignore", ".dockerignore"] {
        let ignored = fs::read_to_string(root().join(ignored)).unwrap();
        assert!(ignored.lines().any(|line| line.trim_matches('/') == "secrets"), "secrets are not to leave");
    }
    // Whatever is read from a file is given to whoever reads it.
    for name in ["jotd-1", "postgres"] {
        let service = &services[name];
        let given: BTreeSet<_> = strings(&service["secrets"]).into_iter().collect();
        let variables = service["environment"].as_hash().unwrap().values();
        let read = variables.filter_map(|value| value.as_str()?.strip_prefix("/run/secrets/").map(str::to_owned));
        assert_eq!(read.collect::<BTreeSet<_>>(), given, "{name}");
        assert!(given.iter().all(|secret| names(&compose["secrets"]).contains(secret.as_str())), "{name}");
    }
    // Both speak of the same role and database.
    let (node, postgres) = (&services["jotd-1"]["environment"], &services["postgres"]["environment"]);
    let [role, database] = ["POSTGRES_USER", "POSTGRES_DB"].map(|name| postgres[name].as_str().unwrap());
    let url = node["JOTD_STORE"].as_str().unwrap();
    assert_eq!(url, format!("postgres://{role}@postgres:5432/{database}?sslmode=disable"), "and no password in it");
    assert_eq!(services["jotd-1"]["depends_on"]["postgres"]["condition"].as_str(), Some("service_healthy"));
    let check = strings(&services["postgres"]["healthcheck"]["test"]);
    assert_eq!(check[..2], ["CMD", "pg_isready"]);
    assert!(
        check.contains(&"--host=127.0.0.1".to_owned()) && check.contains(&format!("--username={role}")),
        "{check:?}"
    );
}
