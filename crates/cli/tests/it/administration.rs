//! The commands on the data directory, with and without a server beside them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{Serving, fails, jotd, new_home, run};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Runs a command that must succeed, and answers its lines as JSON.
#[track_caller]
pub(crate) fn lines(home: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(home, arguments, &[]);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[track_caller]
pub(crate) fn line(home: &Path, arguments: &[&str]) -> Value {
    let mut all = lines(home, arguments);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

/// A client, as the server sees it.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Client {
    pub(crate) fn add(home: &Path, name: &str) -> Self {
        let added =
            line(home, &["clients", "add", name, "--audience", "api", "--scope", "read jotd:introspect jotd:revoke"]);
        Self { id: text(&added["id"]).to_owned(), secret: text(&added["secret"]).to_owned() }
    }

    fn ask(&self, server: &Serving, path: &str, more: &str) -> jotd_wire::Answer {
        let body = format!("client_id={}&client_secret={}&{more}", self.id, self.secret);
        server.ask("POST", path, &[FORM], body)
    }

    pub(crate) fn token(&self, server: &Serving) -> String {
        let answer = self.ask(server, "/oauth2/token", "grant_type=client_credentials");
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&serde_json::from_slice::<Value>(&answer.body).unwrap()["access_token"]).to_owned()
    }

    pub(crate) fn is_active(&self, server: &Serving, token: &str) -> bool {
        let answer = self.ask(server, "/oauth2/introspect", &format!("token={token}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice::<Value>(&answer.body).unwrap()["active"].as_bool().unwrap()
    }

    pub(crate) fn revoke(&self, server: &Serving, token: &str) -> u16 {
        self.ask(server, "/oauth2/revoke", &format!("token={token}")).status
    }
}

/// The same issuer whatever port is free.
pub(crate) const ISSUED: [&str; 2] = ["--issuer", "https://issuer.example"];

fn get(server: &Serving, path: &str, bearer: &str) -> Value {
    let answer = server.ask("GET", path, &[("Authorization", &format!("Bearer {bearer}"))], "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn admin_token(home: &Path) -> String {
    let output = run(home, &["token", "--scope", "jotd:*"], &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_a_new_user_does_first_works_and_survives_a_restart() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let client = Client::add(home.path(), "demo");
    let (token, other) = (client.token(&server), client.token(&server));
    assert!(client.is_active(&server, &token));
    assert_eq!(client.revoke(&server, &token), 200);
    assert!(!client.is_active(&server, &token));
    let rotation = line(home.path(), &["keys", "rotate"]);
    assert_eq!(rotation["key"]["state"], "pending");
    server.stop();

    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(!client.is_active(&server, &token));
    assert!(client.is_active(&server, &other));
    assert_eq!(get(&server, "/v1/keys", &admin_token(home.path()))["items"].as_array().unwrap().len(), 3);
    server.signal(Signal::KILL);
    drop(server);
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(!client.is_active(&server, &token));
}

#[test]
fn everything_works_without_a_server_too() {
    let home = new_home();
    let added = line(home.path(), &["clients", "add", "a name", "--id", "c", "--audience", "api", "--ttl", "5m"]);
    assert_eq!((&added["name"], &added["token_lifetime"]), (&json!("a name"), &json!(300)));
    let changed = line(home.path(), &["clients", "update", "c", "--scope", "x y"]);
    assert_eq!((&changed["scopes"], changed.get("secret")), (&json!(["x", "y"]), None));
    assert_eq!(line(home.path(), &["clients", "show", "c"]), changed);
    assert_eq!(lines(home.path(), &["clients", "list"]), [changed]);
    let second = line(home.path(), &["clients", "new-secret", "c"]);
    assert_ne!(second["secret"], added["secret"]);
    let first = text(&second["secrets"][0]["id"]);
    assert!(lines(home.path(), &["clients", "remove-secret", "c", first]).is_empty());

    let keys = lines(home.path(), &["keys", "list"]);
    assert_eq!((keys.len(), &keys[0]["state"]), (1, &json!("active")));
    let plan = line(home.path(), &["keys", "rotate", "--dry-run"]);
    assert_eq!(plan["key"], Value::Null);
    let pending = line(home.path(), &["keys", "rotate"])["key"]["id"].clone();
    let error = fails(home.path(), &["keys", "activate", text(&pending)], &[]);
    assert!(error.contains("the key can be activated from 20"), "{error}");
    let error = fails(home.path(), &["keys", "retire", text(&keys[0]["id"])], &[]);
    assert!(error.contains("the key is signing"), "{error}");
    assert_eq!(line(home.path(), &["keys", "retire", text(&pending)])["state"], "retired");
    let made = line(home.path(), &["keys", "new", "--alg", "EdDSA", "--hold"]);
    assert_eq!((&made["held"], &made["algorithm"]), (&json!(true), &json!("EdDSA")));
    let public = line(home.path(), &["keys", "export", text(&made["id"])]);
    assert_eq!((public.get("d"), &public["kty"]), (None, &json!("OKP")));
    let private = run(home.path(), &["keys", "export", text(&made["id"]), "--private"], &[]);
    fs::write(home.path().join("key.jwk"), &private.stdout).unwrap();
    let error = fails(home.path(), &["keys", "import", "key.jwk"], &[]);
    assert!(error.contains("pending already"), "{error}");
    fs::write(home.path().join("ed25519.jwk"), run(home.path(), &["jwk", "new", "--alg", "Ed25519"], &[]).stdout)
        .unwrap();
    let imported = line(home.path(), &["keys", "import", "ed25519.jwk", "--kid", "mine"]);
    assert_eq!((&imported["id"], &imported["algorithm"]), (&json!("mine"), &json!("Ed25519")));
    assert_eq!(line(home.path(), &["keys", "schedule", "EdDSA", "--every", "never"])["rotate_every"], Value::Null);
    assert_eq!(line(home.path(), &["keys", "schedule", "EdDSA", "--every", "7d"])["rotate_every"], 604_800);
    let gone = line(home.path(), &["keys", "compromise", text(&keys[0]["id"]), "--reason", "stolen"]);
    assert_eq!(gone["state"], "compromised");
    let table = run(home.path(), &["keys", "list", "--format", "text"], &[]);
    assert!(String::from_utf8(table.stdout).unwrap().contains("compromised"));

    let issued = run(home.path(), &["token", "--scope", "x", "--aud", "api", "--sub", "me", "--ttl", "1m"], &[]);
    let token = String::from_utf8(issued.stdout).unwrap();
    let revoked = line(home.path(), &["revoke", "--token", token.trim(), "--reason", "why"]);
    assert_eq!((&revoked["kind"], &revoked["reason"]), (&json!("token"), &json!("why")));
    assert_eq!(line(home.path(), &["revoke", "--subject", "me"])["kind"], "subject");
    assert_eq!(line(home.path(), &["revoke", "--client", "c"])["client_id"], "c");
    assert_eq!(line(home.path(), &["revoke", "--token-id", "x"])["kind"], "token");
    assert!(lines(home.path(), &["clients", "remove", "c"]).is_empty());
    let error = fails(home.path(), &["clients", "show", "c"], &[]);
    assert!(error.contains("there is no such client"), "{error}");

    let log = lines(home.path(), &["audit"]);
    let actions: Vec<&str> = log.iter().rev().map(|change| text(&change["action"])).collect();
    for action in
        ["client.created", "client.updated", "client.secret_added", "key.exported", "token.revoked", "client.removed"]
    {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    let uid = format!("jotd-cli/uid-{}", rustix::process::getuid().as_raw());
    assert_eq!(log[0]["actor"], json!(uid));
    assert!(!log.iter().any(|change| change.to_string().contains(text(&added["secret"]))));
    assert_eq!(lines(home.path(), &["audit", "--limit", "3"]).len(), 3);
}

#[test]
fn a_server_takes_up_what_a_command_changes_before_the_command_ends() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let second = Serving::start(home.path(), &ISSUED, &[]);
    let client = Client::add(home.path(), "demo");
    let (mut slowest, mut said_to_be_late) = (Duration::ZERO, 0);
    for _ in 0..20 {
        let token = client.token(&server);
        assert!(client.is_active(&second, &token), "two servers share a directory");
        let revoked = run(home.path(), &["revoke", "--token", &token], &[]);
        assert!(revoked.status.success(), "{revoked:?}");
        if String::from_utf8(revoked.stderr).unwrap().contains("has not taken it up within a second") {
            said_to_be_late += 1;
        } else {
            assert!(!client.is_active(&server, &token) && !client.is_active(&second, &token));
        }
        // And what one server is told, the other knows soon.
        let token = client.token(&server);
        assert_eq!(client.revoke(&server, &token), 200);
        let started = Instant::now();
        while client.is_active(&second, &token) {
            assert!(started.elapsed() < Duration::from_secs(60), "it never knew");
        }
        slowest = slowest.max(started.elapsed());
    }
    assert!(said_to_be_late < 10, "{said_to_be_late} of 20");
    println!("the other server knew after {slowest:?} at most");
}

#[test]
fn a_command_says_when_a_server_does_not_take_up_its_change() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    server.signal(Signal::STOP);
    while !server.is_stopped() {
        std::thread::yield_now();
    }
    let output = run(home.path(), &["clients", "add", "x", "--audience", "api"], &[]);
    server.signal(Signal::CONT);
    assert!(output.status.success(), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("has not taken it up within a second"), "{error}");
    // One that was killed is not waited for.
    server.signal(Signal::KILL);
    drop(server);
    let output = run(home.path(), &["clients", "add", "y", "--audience", "api"], &[]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn the_signing_key_of_the_simple_contract_is_rotated_while_it_is_used() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let client = Client::add(home.path(), "demo");
    let file = crate::process::default_key_file(home.path());
    let old_key = fs::read_to_string(&file).unwrap();
    let old = server.mint("x");
    line(home.path(), &["keys", "rotate", "--alg", "HS512"]);
    let new_key = fs::read_to_string(&file).unwrap();
    assert_ne!(old_key, new_key);
    let new = server.mint("y");
    assert!(server.holds(&new, new_key.trim()) && server.holds(&old, old_key.trim()));
    assert!(client.is_active(&server, &old) && client.is_active(&server, &new));
    server.stop();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(server.holds(&server.mint("z"), new_key.trim()));
    assert!(client.is_active(&server, &old), "until it is retired by hand");
    let keys = lines(home.path(), &["keys", "list"]);
    let former = keys.iter().find(|key| key["algorithm"] == "HS512" && key["state"] == "verify_only").unwrap();
    line(home.path(), &["keys", "retire", text(&former["id"])]);
    assert!(!client.is_active(&server, &old));
    // A replacement that was interrupted after the store knew of it is finished at the next start.
    server.stop();
    let next = file.with_file_name("signing.key.next");
    fs::rename(&file, &next).unwrap();
    fs::write(&file, &old_key).unwrap();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(server.holds(&server.mint("z"), new_key.trim()));
    assert_eq!(fs::read_to_string(&file).unwrap(), new_key);
    drop(server);

    // Several at once come one after the other.
    let rotations: Vec<_> = (0..4)
        .map(|_| {
            let mut command = jotd(home.path());
            command.args(["keys", "rotate", "--alg", "HS512"]).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut rotation in rotations {
        assert!(rotation.wait().unwrap().success());
    }
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(server.holds(&server.mint("z"), fs::read_to_string(&file).unwrap().trim()));
    drop(server);

    let outside = [("JOTD_SIGNING_KEY", &*"k".repeat(64))];
    let error = fails(home.path(), &["keys", "rotate", "--alg", "HS512"], &outside);
    assert!(error.contains("comes from outside"), "{error}");
}

#[test]
fn the_master_key_is_rotated_while_a_server_goes_on() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let client = Client::add(home.path(), "demo");
    let token = client.token(&server);
    let file = crate::process::default_key_file(home.path()).with_file_name("master.key");
    let former = fs::read_to_string(&file).unwrap();
    line(home.path(), &["master-key", "rotate"]);
    assert_ne!(fs::read_to_string(&file).unwrap(), former);
    line(home.path(), &["keys", "rotate"]);
    assert!(client.is_active(&server, &token) && client.is_active(&server, &client.token(&server)));
    assert!(!server.stop().iter().any(|line| line.contains("ERROR")));
    // Interrupted between the store and the file: the next start finishes it.
    let present = fs::read_to_string(&file).unwrap();
    fs::write(file.with_file_name("master.key.next"), &present).unwrap();
    fs::write(&file, &former).unwrap();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(client.is_active(&server, &token));
    assert_eq!(fs::read_to_string(&file).unwrap(), present);
    server.stop();
    // And so does another rotation, before it could overwrite the only copy of the key.
    let next = file.with_file_name("master.key.next");
    fs::rename(&file, &next).unwrap();
    fs::write(&file, &former).unwrap();
    let rotated = line(home.path(), &["master-key", "rotate"]);
    let note = text(&rotated["note"]);
    let name = note.split_whitespace().find(|word| word.starts_with("master.key.former-")).unwrap();
    assert_eq!(fs::read_to_string(file.with_file_name(name.trim_end_matches(';'))).unwrap(), present);
    // Even without the former at its place, the next one is found.
    let newest = fs::read_to_string(&file).unwrap();
    fs::rename(&file, &next).unwrap();
    assert!(!lines(home.path(), &["keys", "list"]).is_empty());
    assert_eq!(fs::read_to_string(&file).unwrap(), newest);
    // Several at once come one after the other.
    let rotations: Vec<_> = (0..4)
        .map(|_| jotd(home.path()).args(["master-key", "rotate"]).stdout(std::process::Stdio::null()).spawn().unwrap())
        .collect();
    for mut rotation in rotations {
        assert!(rotation.wait().unwrap().success());
    }
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(client.is_active(&server, &token));
    let error = fails(home.path(), &["master-key", "rotate", "--to", "elsewhere"], &[]);
    assert!(error.contains("stop the server first"), "{error}");
    server.stop();
    line(home.path(), &["master-key", "rotate", "--to", "elsewhere"]);
    let again = ["master-key", "rotate", "--master-key-file", "elsewhere", "--to", "elsewhere"];
    assert!(fails(home.path(), &again, &[]).contains("that is in force"));
    let error = fails(home.path(), &["keys", "list"], &[]);
    assert!(error.contains("another master key"), "{error}");
    let server = Serving::start(home.path(), &[&ISSUED[..], &["--master-key-file", "elsewhere"]].concat(), &[]);
    assert!(client.is_active(&server, &token));
}

#[test]
fn the_master_key_is_found_where_it_is_given() {
    let key = "0123456789abcdef".repeat(4);
    let home = new_home();
    let folder = home.path().join("credentials");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("master_key"), format!("{key}\n")).unwrap();
    let credentials = [("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())];
    assert!(run(home.path(), &["clients", "list"], &credentials).status.success());
    assert!(!crate::process::default_key_file(home.path()).with_file_name("master.key").exists());
    assert!(run(home.path(), &["clients", "list"], &[("JOTD_MASTER_KEY", &key)]).status.success());
    assert!(
        run(home.path(), &["clients", "list", "--master-key-file", "credentials/master_key"], &[]).status.success()
    );
    let error = fails(home.path(), &["clients", "list"], &[]);
    assert!(error.contains("no master key") && error.contains("--master-key-file"), "{error}");
    let error = fails(home.path(), &["clients", "list"], &[("JOTD_MASTER_KEY", &"0".repeat(64))]);
    assert!(error.contains("another master key"), "{error}");
    let error = fails(home.path(), &["clients", "list"], &[("JOTD_MASTER_KEY", "short")]);
    assert!(error.contains("JOTD_MASTER_KEY: a master key is 64 hex digits"), "{error}");
    let both = [("JOTD_MASTER_KEY", key.as_str()), ("JOTD_MASTER_KEY_FILE", "x")];
    assert!(fails(home.path(), &["clients", "list"], &both).contains("given twice"));
}

#[test]
fn a_backup_is_taken_while_the_server_works_and_is_checked_before_it_replaces() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let client = Client::add(home.path(), "demo");
    let token = client.token(&server);
    client.revoke(&server, &token);
    let written = line(home.path(), &["backup", "copy.db"]);
    assert!(text(&written["note"]).contains("the master key is not in it"));
    assert_eq!((&written["clients"], &written["revoked_tokens"]), (&json!(1), &json!(1)));
    let error = fails(home.path(), &["backup", "copy.db"], &[]);
    assert!(error.contains("copy.db"), "{error}");
    line(home.path(), &["clients", "add", "later", "--id", "later", "--audience", "api"]);
    let error = fails(home.path(), &["restore", "copy.db"], &[]);
    assert!(error.contains("stop it first"), "{error}");
    server.stop();

    let mut damaged = fs::read(home.path().join("copy.db")).unwrap();
    damaged[3 * 4096..5 * 4096].fill(0xff);
    fs::write(home.path().join("damaged.db"), damaged).unwrap();
    for (file, expect) in [("damaged.db", "was not restored"), ("missing.db", "was not restored")] {
        let error = fails(home.path(), &["restore", file], &[]);
        assert!(error.contains(expect) && error.contains(file), "{error}");
    }
    assert_eq!(lines(home.path(), &["clients", "list"]).len(), 2, "the store is as it was");
    let restored = line(home.path(), &["restore", "copy.db"]);
    assert!(Path::new(text(&restored["former"])).exists());
    assert_eq!(lines(home.path(), &["clients", "list"]).len(), 1);
    let server = Serving::start(home.path(), &ISSUED, &[]);
    assert!(!client.is_active(&server, &token));
    drop(server);

    // On another machine it needs the master key first.
    let other = new_home();
    let copy = home.path().join("copy.db");
    let error = fails(other.path(), &["restore", copy.to_str().unwrap()], &[]);
    assert!(error.contains("no master key"), "{error}");
    let data = other.path().join(".local/share/jotd");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("master.key"), "00".repeat(32)).unwrap();
    let error = fails(other.path(), &["restore", copy.to_str().unwrap()], &[]);
    assert!(error.contains("another master key"), "{error}");
    let file = crate::process::default_key_file(home.path()).with_file_name("master.key");
    fs::copy(file, data.join("master.key")).unwrap();
    line(other.path(), &["restore", copy.to_str().unwrap()]);
    assert_eq!(lines(other.path(), &["clients", "list"]).len(), 1);
}

#[test]
fn a_store_that_cannot_be_used_is_named_with_what_to_do() {
    let home = new_home();
    line(home.path(), &["clients", "add", "x", "--audience", "api"]);
    let store = crate::process::default_key_file(home.path()).with_file_name("jotd.db");
    let good = fs::read(&store).unwrap();
    let mut newer = good.clone();
    // The user version stands at byte 60 of the header.
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    for (content, expect) in [
        (newer, "written by a newer version"),
        (b"not a database, but long enough to be looked at as one".repeat(100), "not a store of jotd"),
        (good[..good.len() / 2].to_vec(), "damaged"),
    ] {
        fs::write(&store, &content).unwrap();
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["clients", "list"]] {
            let error = fails(home.path(), arguments, &[]);
            assert!(error.contains(expect) && error.contains(".local/share/jotd"), "{error}");
        }
        assert_eq!(fs::read(&store).unwrap(), content, "nothing is changed about it");
    }
}

#[test]
fn a_full_disk_loses_nothing_and_is_said() {
    let home = new_home();
    line(home.path(), &["clients", "add", "x", "--id", "x", "--audience", "api"]);
    // Writes beyond this size fail, as they do on a full disk.
    let limit = "trap '' XFSZ; ulimit -f 600; exec \"$@\"";
    let mut shell = std::process::Command::new("sh");
    let program = jotd(home.path()).get_program().to_owned();
    shell.env_clear().env("HOME", home.path()).current_dir(home.path());
    shell.args(["-c", limit, "sh"]).arg(program).args(["serve", "--listen", "127.0.0.1:0"]).args(ISSUED);
    let server = Serving::spawn(shell);
    let bearer = format!("Bearer {}", admin_token(home.path()));
    let revoke = |number: usize| {
        let body = json!({ "subject": format!("{number}"), "reason": "x".repeat(1000) }).to_string();
        server.ask("POST", "/v1/revocations", &[crate::process::JSON, ("Authorization", &bearer)], body)
    };
    let mut acknowledged = 0;
    let refused = loop {
        let answer = revoke(acknowledged);
        if answer.status != 201 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 2000, "it never got full");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert!(text(&problem["code"]).starts_with("store_") && refused.header("retry-after").is_some(), "{problem}");
    assert!(!refused.text().contains("SQLITE") && !refused.text().contains("disk"), "{problem}");
    // What needs no writing goes on.
    assert!(!server.mint("x").is_empty());
    assert_eq!(server.ask("GET", "/readyz", &[], "").status, 503);
    let log = server.stop();
    assert!(log.iter().any(|line| line.contains("store_")), "{log:#?}");
    // With room again, everything that was acknowledged is there.
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let mut found = 0;
    let mut cursor = String::new();
    loop {
        let page = get(&server, &format!("/v1/revocations?limit=200{cursor}"), &admin_token(home.path()));
        found += page["items"].as_array().unwrap().len();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, acknowledged);
    assert_eq!(server.ask("GET", "/readyz", &[], "").status, 200);
}

#[test]
fn the_issuer_is_the_first_address_with_a_warning_where_others_reach_it() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    let metadata: Value =
        serde_json::from_slice(&server.ask("GET", "/.well-known/openid-configuration", &[], "").body).unwrap();
    assert_eq!(metadata["issuer"], format!("http://{}", server.address()));
    assert!(!server.stop().iter().any(|line| line.contains("--issuer")));
    let server = Serving::start(home.path(), &["--listen", "0.0.0.0:0"], &[]);
    assert!(server.stop().iter().any(|line| line.contains("WARN") && line.contains("--issuer")));
    for wrong in ["issuer.example", "https://", "https://a?b", "https://a#b", "ftp://a", "https://a b"] {
        let error = fails(home.path(), &["serve", "--listen", "127.0.0.1:0", "--issuer", wrong], &[]);
        assert!(error.contains("--issuer") && error.contains("not a URL"), "{error}");
    }
}

#[test]
fn the_issuer_does_not_change_silently() {
    let home = new_home();
    let first = Serving::start(home.path(), &[], &[]);
    let client = Client::add(home.path(), "demo");
    let token = client.token(&first);
    let second = Serving::start(home.path(), &[], &[]);
    assert!(client.is_active(&first, &token) && client.is_active(&second, &token));
    assert!(second.stop().iter().any(|line| line.contains("as by the others on this store")));
    first.stop();
    let third = Serving::start(home.path(), &[], &[]);
    assert!(third.stop().iter().any(|line| line.contains("WARN") && line.contains("the issuer changes from")));
}

#[test]
fn a_signing_key_that_was_given_up_does_not_come_back() {
    let home = new_home();
    let keys = ["a", "b"].map(|letter| letter.repeat(64));
    let start = |key: &str| Serving::start(home.path(), &ISSUED, &[("JOTD_SIGNING_KEY", key)]);
    start(&keys[0]).stop();
    start(&keys[1]).stop();
    let all = lines(home.path(), &["keys", "list"]);
    let former = all.iter().find(|key| key["state"] == "verify_only").unwrap();
    line(home.path(), &["keys", "compromise", text(&former["id"])]);
    let error = fails(home.path(), &["serve", "--listen", "127.0.0.1:0"], &[("JOTD_SIGNING_KEY", &keys[0])]);
    assert!(error.contains("cannot come back"), "{error}");
    start(&keys[1]).stop();
}

#[test]
fn a_store_that_is_removed_while_it_is_used_takes_no_more_changes() {
    let home = new_home();
    let server = Serving::start(home.path(), &ISSUED, &[]);
    let client = Client::add(home.path(), "demo");
    let token = client.token(&server);
    let store = crate::process::default_key_file(home.path()).with_file_name("jotd.db");
    fs::rename(&store, home.path().join("elsewhere.db")).unwrap();
    assert_eq!(client.revoke(&server, &token), 503);
    assert!(client.is_active(&server, &token));
    assert_eq!(server.ask("GET", "/readyz", &[], "").status, 503);
}

#[test]
fn metrics_are_for_operators_where_they_have_a_listener() {
    let home = new_home();
    let mut server = Serving::start(home.path(), &["--admin-listen", "127.0.0.1:0"], &[]);
    let admin = server.next_address();
    assert_eq!(server.ask("GET", "/metrics", &[], "").status, 404);
    assert_eq!(jotd_wire::ask(admin, "GET", "/metrics", &[], "").unwrap().status, 200);
    assert_eq!(jotd_wire::ask(admin, "GET", "/readyz", &[], "").unwrap().status, 200);
    assert_eq!(jotd_wire::ask(admin, "GET", "/v1/keys", &[], "").unwrap().status, 404);
    drop(server);
    let server = Serving::start(home.path(), &[], &[]);
    assert_eq!(server.ask("GET", "/metrics", &[], "").status, 200);
}
