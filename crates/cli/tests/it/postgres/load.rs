//! Callers that mint, verify and revoke on all nodes, and write down what they hear.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jotd_wire::request;
use serde_json::json;

use super::Ending;
use super::caller::{Caller, FORM, Heard, json};
use crate::administration::text;
use crate::history::{Event, History, Outcome, Pause, Time, Verdict, What};
use crate::process::JSON;

/// A little less than the hour that tokens live.
const LIFETIME: Duration = Duration::from_secs(3500);
/// As many tokens are enough to choose from.
const MOST_TOKENS: usize = 20_000;
/// Every so many tokens, one is never revoked.
const KEPT: usize = 4;

/// What callers share.
pub(super) struct Load {
    addresses: Vec<SocketAddr>,
    /// What a client sends to say who it is, and what an administrator does.
    client: String,
    bearer: String,
    began: Instant,
    history: Mutex<History>,
    tokens: Mutex<Vec<String>>,
    clients: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// The next number of a sequence that looks random and can be repeated.
pub(super) fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

impl Load {
    pub(super) fn new(cluster: &super::cluster::Cluster) -> Self {
        Self {
            addresses: cluster.addresses(),
            client: cluster.client(),
            bearer: cluster.bearer(),
            began: Instant::now(),
            history: Mutex::default(),
            tokens: Mutex::default(),
            clients: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.began.elapsed()
    }

    pub(super) fn note(&self, event: Event) {
        self.history.lock().unwrap().events.push(event);
    }

    pub(super) fn note_pause(&self, node: usize, from: Time, to: Time) {
        self.history.lock().unwrap().pauses.push(Pause { node, from, to });
    }

    /// What was heard so far.
    pub(super) fn history(&self) -> History {
        self.history.lock().unwrap().clone()
    }

    /// Clients whose creation was acknowledged.
    pub(super) fn clients(&self) -> Vec<String> {
        self.clients.lock().unwrap().clone()
    }

    pub(super) fn token_count(&self) -> usize {
        self.tokens.lock().unwrap().len()
    }

    /// Tokens whose revocation was acknowledged.
    pub(super) fn revoked(&self) -> Vec<usize> {
        let history = self.history.lock().unwrap();
        let revoked = history.events.iter().filter(|event| event.what == What::Revoke(Outcome::Acknowledged));
        revoked.map(|event| event.token).collect()
    }

    /// Those who work go on until this is dropped.
    pub(super) fn ending(&self) -> Ending<'_> {
        Ending(&self.stop)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    pub(super) fn caller(&self, node: usize) -> Caller {
        Caller::to(self.addresses[node])
    }

    /// Mints a token on a node; its number, where one came.
    pub(super) fn mint(&self, caller: &mut Caller, node: usize) -> Option<usize> {
        let sent = self.now();
        let body = format!("{}&grant_type=client_credentials", self.client);
        let answer = caller.ask("POST", "/oauth2/token", &[FORM], &body).answer()?;
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            return None;
        }
        let answered = self.now();
        let mut tokens = self.tokens.lock().unwrap();
        tokens.push(text(&json(&answer)["access_token"]).to_owned());
        let token = tokens.len() - 1;
        drop(tokens);
        self.note(Event { sent, answered, node, token, what: What::Mint { expires: answered + LIFETIME } });
        Some(token)
    }

    fn about(&self, path: &str, token: usize) -> Vec<u8> {
        let body = format!("{}&token={}", self.client, self.tokens.lock().unwrap()[token]);
        request("POST", path, &[FORM], body)
    }

    /// Asks whether a token is accepted; the answer is read by [`Self::verified`].
    pub(super) fn begin_verify(&self, caller: &mut Caller, token: usize) -> Time {
        let request = self.about("/oauth2/introspect", token);
        let sent = self.now();
        caller.begin(&request);
        sent
    }

    /// What a node says to what it was asked; `None` when nobody listens.
    pub(super) fn verified(&self, caller: &mut Caller, node: usize, token: usize, sent: Time) -> Option<Verdict> {
        let verdict = match caller.finish() {
            Heard::NotSent => return None,
            Heard::Nothing => Verdict::NoAnswer,
            Heard::Answer(answer) if answer.status == 200 => match json(&answer)["active"].as_bool() {
                Some(true) => Verdict::Active,
                Some(false) => Verdict::Inactive,
                None => panic!("{}", answer.text()),
            },
            Heard::Answer(answer) => Verdict::Refused(answer.status),
        };
        self.note(Event { sent, answered: self.now(), node, token, what: What::Verify(verdict) });
        Some(verdict)
    }

    pub(super) fn verify(&self, caller: &mut Caller, node: usize, token: usize) -> Option<Verdict> {
        let sent = self.begin_verify(caller, token);
        self.verified(caller, node, token, sent)
    }

    /// Revokes a token; when that was acknowledged.
    pub(super) fn revoke(&self, caller: &mut Caller, node: usize, token: usize) -> Option<Time> {
        let request = self.about("/oauth2/revoke", token);
        let sent = self.now();
        caller.begin(&request);
        let outcome = match caller.finish() {
            Heard::NotSent => return None,
            Heard::Nothing => Outcome::Unknown,
            Heard::Answer(answer) if answer.status == 200 => Outcome::Acknowledged,
            Heard::Answer(answer) => Outcome::Refused(answer.status),
        };
        let answered = self.now();
        self.note(Event { sent, answered, node, token, what: What::Revoke(outcome) });
        (outcome == Outcome::Acknowledged).then_some(answered)
    }

    fn create_client(&self, caller: &mut Caller, number: u64) {
        let id = format!("c{number:016x}");
        let body = json!({ "id": id, "name": "by load", "audiences": ["api"] }).to_string();
        let headers = [JSON, ("Authorization", self.bearer.as_str())];
        match caller.ask("POST", "/v1/clients", &headers, &body).answer() {
            Some(answer) if answer.status == 201 => self.clients.lock().unwrap().push(id),
            Some(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            None => {}
        }
    }

    /// Does a bit of everything on one node until it is told to stop, with a pause after each.
    pub(super) fn work(&self, node: usize, mut seed: u64, pause: Duration) {
        let mut caller = self.caller(node);
        while self.goes_on() {
            let (choice, number) = (random(&mut seed) % 100, random(&mut seed));
            let count = self.token_count();
            let Some(last) = count.checked_sub(1) else {
                self.mint(&mut caller, node);
                continue;
            };
            let any = usize::try_from(number).unwrap() % count;
            // Half of all questions are about what has just been minted and may be revoked at this moment.
            let recent = last - any.min(last) % 20.min(count);
            match choice {
                0..15 if count < MOST_TOKENS => drop(self.mint(&mut caller, node)),
                15..25 if !recent.is_multiple_of(KEPT) => drop(self.revoke(&mut caller, node, recent)),
                25..27 => self.create_client(&mut caller, number),
                27..63 => drop(self.verify(&mut caller, node, recent)),
                _ => drop(self.verify(&mut caller, node, any)),
            }
            sleep(pause);
        }
    }

    /// Asks all nodes about all tokens once more, when all is well: none refuses.
    pub(super) fn verify_all(&self, tokens: impl IntoIterator<Item = usize> + Clone) {
        for node in 0..self.addresses.len() {
            let mut caller = self.caller(node);
            for token in tokens.clone() {
                let verdict = self.verify(&mut caller, node, token);
                assert!(matches!(verdict, Some(Verdict::Active | Verdict::Inactive)), "node {node}: {verdict:?}");
            }
        }
    }
}
