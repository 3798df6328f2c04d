//! SIGKILL at random moments, under a mix of revocations, client changes and rotations: what was acknowledged is there
//! afterwards, and what was revoked stays revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jotd_wire::Answer;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::administration::{ISSUED, lines, text};
use crate::process::{JSON, Serving, new_home, run};

/// How often the server is killed.
const KILLS: u64 = 100;

/// What the server has acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    /// Clients, with their names; `None` is removed.
    clients: BTreeMap<String, Option<String>>,
    /// Tokens that were revoked, and those that were issued and not.
    revoked: Vec<String>,
    subjects: BTreeSet<String>,
    /// Keys that were published by a rotation, in order.
    keys: Vec<String>,
}

/// The next number of a sequence that looks random and can be repeated.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

struct Admin {
    address: SocketAddr,
    bearer: String,
}

impl Admin {
    /// The answer, where it came before the server died.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [JSON, ("Authorization", self.bearer.as_str())];
        let answer: Answer = jotd_wire::ask(self.address, method, path, &headers, body).ok()?;
        Some((answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
    }
}

/// Changes one thing, and notes what was acknowledged.
fn change(admin: &Admin, noted: &Mutex<Acknowledged>, number: u64, choice: u64) -> Option<()> {
    match choice % 6 {
        0 | 1 => {
            let claims = json!({ "claims": { "sub": format!("s{number}"), "aud": "api" } });
            let (_, minted) = admin.ask("POST", "/v1/tokens/mint", &claims)?;
            let token = text(&minted["token"]).to_owned();
            let (status, _) = admin.ask("POST", "/v1/revocations", &json!({ "token": token }))?;
            assert_eq!(status, 201);
            noted.lock().unwrap().revoked.push(token);
        }
        2 => {
            let subject = format!("subject {number}");
            let (status, _) = admin.ask("POST", "/v1/revocations", &json!({ "subject": subject }))?;
            assert_eq!(status, 201);
            noted.lock().unwrap().subjects.insert(subject);
        }
        3 => {
            let id = format!("c{number}");
            let body = json!({ "id": id, "name": "first", "audiences": ["api"] });
            let (status, created) = admin.ask("POST", "/v1/clients", &body)?;
            assert_eq!(status, 201, "{created}");
            noted.lock().unwrap().clients.insert(id.clone(), Some("first".to_owned()));
            if (choice / 6).is_multiple_of(2) {
                // Whether it is carried out is unknown until it is acknowledged.
                noted.lock().unwrap().clients.remove(&id);
                admin.ask("DELETE", &format!("/v1/clients/{id}"), &Value::Null)?;
                noted.lock().unwrap().clients.insert(id, None);
            } else {
                noted.lock().unwrap().clients.remove(&id);
                admin.ask("PATCH", &format!("/v1/clients/{id}"), &json!({ "name": "second" }))?;
                noted.lock().unwrap().clients.insert(id, Some("second".to_owned()));
            }
        }
        4 => {
            let (status, rotation) = admin.ask("POST", "/v1/keys/rotate", &json!({}))?;
            if status == 200 {
                noted.lock().unwrap().keys.push(text(&rotation["key"]["id"]).to_owned());
            } else {
                assert_eq!(rotation["code"], "key_already_pending", "{rotation}");
            }
        }
        _ => {
            // The pending key may be one whose answer was never heard.
            let (_, keys) = admin.ask("GET", "/v1/keys?limit=200", &Value::Null)?;
            let pending = keys["items"].as_array()?.iter().find(|key| key["state"] == "pending")?["id"].clone();
            let (status, answer) = admin.ask("POST", &format!("/v1/keys/{}/retire", text(&pending)), &Value::Null)?;
            assert!([200, 409].contains(&status), "{answer}");
        }
    }
    Some(())
}

fn admin(home: &Path, server: &Serving) -> Admin {
    let output = run(home, &["token", "--scope", "jotd:*", "--ttl", "1h"], &[]);
    assert!(output.status.success(), "{output:?}");
    Admin { address: server.address(), bearer: format!("Bearer {}", String::from_utf8(output.stdout).unwrap().trim()) }
}

/// That the server knows everything that was acknowledged.
fn check(admin: &Admin, noted: &Acknowledged, from: &mut usize) {
    // Each token once, and the last of them each time: all of them, over the whole run and at its end.
    for token in &noted.revoked[*from..] {
        let (_, report) = admin.ask("POST", "/v1/tokens/verify", &json!({ "token": token })).unwrap();
        assert_eq!((&report["accepted"], &report["code"]), (&json!(false), &json!("revoked")), "{report}");
    }
    *from = noted.revoked.len();
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_server_is_killed() {
    let home = new_home();
    let noted = Mutex::new(Acknowledged::default());
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut checked = 0;
    let mut number = 0;
    for _ in 0..KILLS {
        let server = Serving::start(home.path(), &ISSUED, &[]);
        let admin = admin(home.path(), &server);
        check(&admin, &noted.lock().unwrap(), &mut checked);
        let stop = AtomicBool::new(false);
        // After some of what is asked for is done, however long that takes, and then at any moment.
        let (enough, moment) = (random(&mut seed) % 16, Duration::from_micros(500 + random(&mut seed) % 10_000));
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let mut seed = random(&mut seed) | 1;
                let first = number + worker * 1_000_000;
                let (admin, noted, stop, done) = (&admin, &noted, &stop, &done);
                scope.spawn(move || {
                    let mut number = first;
                    while !stop.load(Ordering::SeqCst) {
                        number += 1;
                        let choice = random(&mut seed);
                        if change(admin, noted, number, choice).is_some() {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            let end = Instant::now() + Duration::from_secs(60);
            while done.load(Ordering::SeqCst) < enough && Instant::now() < end {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(moment);
            server.signal(Signal::KILL);
            stop.store(true, Ordering::SeqCst);
        });
        number += 1000;
    }

    let server = Serving::start(home.path(), &ISSUED, &[]);
    let admin = admin(home.path(), &server);
    let noted = noted.into_inner().unwrap();
    check(&admin, &noted, &mut 0);
    server.stop();
    let clients = lines(home.path(), &["clients", "list"]);
    let clients: BTreeMap<_, _> = clients.iter().map(|client| (text(&client["id"]), text(&client["name"]))).collect();
    for (id, name) in &noted.clients {
        assert_eq!(clients.get(id.as_str()).copied(), name.as_deref(), "{id}");
    }
    let keys = lines(home.path(), &["keys", "list"]);
    let keys: BTreeSet<_> = keys.iter().map(|key| text(&key["id"]).to_owned()).collect();
    assert!(noted.keys.iter().all(|key| keys.contains(key)));
    let log = lines(home.path(), &["audit"]);
    let subjects: BTreeSet<_> =
        log.iter().filter_map(|change| change["detail"]["subject"].as_str().map(str::to_owned)).collect();
    assert!(noted.subjects.is_subset(&subjects));
    let positions: Vec<_> = log.iter().rev().map(|change| change["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>(), "no position was lost or given twice");
    // The backup checks the whole database.
    let copied = lines(home.path(), &["backup", "checked.db"]);
    assert_eq!(copied[0]["position"], json!(positions.len()));
    let Acknowledged { clients, revoked, subjects, keys } = noted;
    let (clients, revoked, subjects, keys) = (clients.len(), revoked.len(), subjects.len(), keys.len());
    println!("{KILLS} kills: {revoked} tokens, {subjects} subjects, {clients} clients, {keys} rotations acknowledged");
    assert!(revoked > 100 && subjects > 50 && clients > 50 && keys > 5);
}
