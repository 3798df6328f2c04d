//! A server in this process, on a socket of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use authority::error::{MasterKeyError, RandomnessError, StoreError};
use authority::ports::{Clock, MasterKeySource, Randomness, UnixTime};
use authority::{
    Authority, Caller, LOG_KEPT, MasterKey, NewClient, Parts, PublishedKey, Scopes, Setup, SimpleKey, Staleness, Terms,
};
use jotd_http::{Access, Limits, Metrics, Router, Server, Surface};
use jotd_store::SqliteStore;
use jotd_store::faulty::{Call, Faulty};
use jotd_wire::{Answer, Wire, request};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
pub(crate) const KEY: &str = "a key for tests, of which nobody needs to know more than 64 bytes....";

/// A clock that stands still until it is set, and can be made to panic.
#[derive(Default)]
pub(crate) struct ManualClock {
    now: AtomicI64,
    panics: AtomicBool,
    up: AtomicU64,
}

impl ManualClock {
    pub(crate) fn set(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// So many seconds since the machine was started.
    pub(crate) fn set_uptime(&self, seconds: u64) {
        self.up.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn panic_next(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        // Only in a request: the thread that writes asks for the time whenever it likes.
        let in_request = std::thread::current().name() != Some("ledger");
        assert!(!(in_request && self.panics.swap(false, Ordering::SeqCst)), "the clock was told to");
        UnixTime(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.up.load(Ordering::SeqCst))
    }
}

/// Counts instead of being random, so that tests can be repeated.
#[derive(Default)]
struct Counter(AtomicU64);

impl Randomness for Counter {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes.iter_mut().zip(count.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

/// A master key that everybody knows.
struct TestMasterKey;

impl MasterKeySource for TestMasterKey {
    fn load(&self, _: Option<&str>) -> Result<MasterKey, MasterKeyError> {
        MasterKey::parse(&"5a".repeat(32))
    }
}

/// The issuer of the tokens of a [`TestServer`].
pub(crate) const ISSUER: &str = "https://issuer.example";

/// Short enough for tests.
pub(crate) const TERMS: Terms = Terms { max_age: 300, longest_token: 7200, leeway: 60 };

pub(crate) const STALENESS: Staleness =
    Staleness { fresh_within: Duration::from_secs(5), refuse_after: Some(Duration::from_secs(300)) };

/// Whether the store can be reached, and what happens while it is used.
#[derive(Default)]
pub(crate) struct Reach {
    interlude: Mutex<Option<Interlude>>,
    is_out: AtomicBool,
    writes_work: AtomicBool,
    looks: AtomicU64,
}

/// What happens once, before the next call of a kind.
type Interlude = (Call, Box<dyn FnOnce() + Send>);

impl Reach {
    fn allow(&self, call: Call) -> Result<(), StoreError> {
        let interlude = self.interlude.lock().unwrap().take_if(|(before, _)| *before == call);
        if let Some((_, happen)) = interlude {
            happen();
        }
        let is_written = call != Call::Read && self.writes_work.load(Ordering::SeqCst);
        if !self.is_out.load(Ordering::SeqCst) || is_written {
            return Ok(());
        }
        self.looks.fetch_add(u64::from(call == Call::Read), Ordering::SeqCst);
        Err(StoreError::Unavailable("the network".to_owned()))
    }

    /// Before the next `call`, this happens.
    pub(crate) fn before_next(&self, call: Call, happen: impl FnOnce() + Send + 'static) {
        *self.interlude.lock().unwrap() = Some((call, Box::new(happen)));
    }

    /// When this ends, no look succeeds any more; one that had begun might.
    pub(crate) fn lose(&self) {
        self.looks.store(0, Ordering::SeqCst);
        self.is_out.store(true, Ordering::SeqCst);
        while self.looks.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
    }

    /// The connection that is written over works again, the one that is read over does not yet.
    pub(crate) fn find_half(&self) {
        self.writes_work.store(true, Ordering::SeqCst);
    }

    pub(crate) fn find(&self) {
        self.is_out.store(false, Ordering::SeqCst);
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) reach: Arc<Reach>,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<usize>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::with_access(limits, Access { public_metrics: true, ..Access::default() })
    }

    pub(crate) fn with_access(limits: Limits, access: Access) -> Self {
        Self::run(limits, access, false)
    }

    /// One of many over a store that can be out of reach.
    pub(crate) fn one_of_many(limits: Limits) -> Self {
        Self::run(limits, Access { public_metrics: true, ..Access::default() }, true)
    }

    fn run(limits: Limits, access: Access, is_shared: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let metrics = Arc::new(Metrics::default());
        let reach = Arc::new(Reach::default());
        let store = Box::new(SqliteStore::open(&folder.path().join("jotd.db")).unwrap());
        let fault = Arc::clone(&reach);
        let time = Arc::new(AtomicI64::new(i64::MAX));
        let authority = Arc::new(
            Authority::open(Parts {
                store: Box::new(Faulty { store, fault: Box::new(move |call| fault.allow(call)), is_shared, time }),
                clock: Arc::<ManualClock>::clone(&clock),
                randomness: Arc::new(Counter::default()),
                master_key: Arc::new(TestMasterKey),
                applied: Box::new(drop),
                commits: metrics.commit_observer(),
                staleness: STALENESS,
                log_kept: LOG_KEPT,
            })
            .unwrap(),
        );
        let simple_key = Some(SimpleKey::new(Zeroizing::new(KEY.to_owned()), PublishedKey::Refused).unwrap());
        let setup = Setup {
            issuer: Some(ISSUER.to_owned()),
            terms: Some(TERMS),
            rotate_every: None,
            schedule: None,
            simple_key,
            ..Setup::default()
        };
        block_on(authority.set_up(&Caller::new("test"), setup)).unwrap();
        let router = Router::new(Arc::clone(&authority), limits, metrics, access);
        let public = TcpListener::bind("127.0.0.1:0").unwrap();
        let operators = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, admin) = (public.local_addr().unwrap(), operators.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut server = Server::new(router, 2);
                server.listen(public, Surface::Public).unwrap();
                server.listen(operators, Surface::Admin).unwrap();
                server.run(async { drop(stopped.await) }).await.unwrap()
            })
        });
        Self { address, admin, clock, authority, reach, folder, stop: Some(stop), thread: Some(thread) }
    }

    /// The authority of another node.
    pub(crate) fn beside(&self) -> Authority {
        Authority::open(Parts {
            store: Box::new(SqliteStore::open(&self.folder.path().join("jotd.db")).unwrap()),
            clock: Arc::<ManualClock>::clone(&self.clock),
            randomness: Arc::new(Counter(AtomicU64::new(1 << 32))),
            master_key: Arc::new(TestMasterKey),
            applied: Box::new(drop),
            commits: Box::new(|_, _| ()),
            staleness: STALENESS,
            log_kept: LOG_KEPT,
        })
        .unwrap()
    }

    /// A bearer token with these scopes of jotd's own, as a header.
    pub(crate) fn bearer(&self, scope: &str) -> String {
        let scopes = Scopes::parse(scope).unwrap();
        format!("Bearer {}", self.authority.grant_locally("tester", &scopes, &[], None, None).unwrap().token)
    }

    /// Adds a client, and answers its secret.
    pub(crate) fn client(&self, id: &str, scope: &str, audiences: &[&str]) -> String {
        let client = new_client(id, scope, audiences);
        let (_, secret) = block_on(self.authority.create_client(&Caller::new("test"), client)).unwrap();
        secret.unwrap().expose().to_owned()
    }

    /// Tokens that are signed with the right key and are still no access tokens.
    pub(crate) fn foreign_tokens(&self, client: &str) -> Vec<(&'static str, String)> {
        let caller = Caller::new("test");
        let active = |key: &&authority::KeyRecord| !key.is_simple() && key.state.name() == "active";
        let id = self.authority.state().keys().find(active).unwrap().id.clone();
        let key = block_on(self.authority.export_private_key(&caller, &id)).unwrap();
        let key = jose::Jwk::parse(key.as_bytes()).unwrap().with_key_id(id);
        let now = self.authority.now().0;
        let at = jose::NumericDate::from_seconds;
        let claims = format!("\"{client}\"");
        let claims = jose::Claims::new().subject(client).token_id("x").claim("client_id", &claims).unwrap();
        let claims = claims.claim("scope", "\"jotd:keys\"").unwrap().issued_at(at(now)).expires_at(at(now + 60));
        let sign = |typ, claims: &jose::Claims<'_>| {
            let key = key.signing_key(jose::Algorithm::ES256).unwrap();
            jose::Signer::new(key, Some(typ)).unwrap().sign(&claims.to_json()).unwrap()
        };
        let ours = claims.clone().issuer(ISSUER).audience(ISSUER);
        vec![
            ("an ID token", sign("JWT", &ours)),
            ("an assertion", sign("client-authentication+jwt", &ours.clone().issuer(client))),
            (
                "a token of another issuer",
                sign("at+jwt", &claims.clone().issuer("https://other.example").audience(ISSUER)),
            ),
            ("a token without audience", sign("at+jwt", &claims.clone().issuer(ISSUER))),
        ]
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address).unwrap()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let answer = jotd_wire::ask(self.address, method, path, headers, body).unwrap();
        crate::openapi::check(method, path, &answer);
        answer
    }

    pub(crate) fn mint(&self, user_data: &str) -> String {
        let body = serde_json::json!({ "user_data": user_data }).to_string();
        token_of(&self.ask("POST", "/generateToken", &[JSON], body))
    }

    pub(crate) fn verify(&self, token: &str, key: &str) -> Answer {
        self.ask("GET", "/verifyToken", &[JSON], verify_body(token, key))
    }

    /// Tells the server to stop without waiting for it.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped, and answers how many connections it cut.
    pub(crate) fn stopped(mut self) -> usize {
        self.begin_stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

pub(crate) fn new_client(id: &str, scope: &str, audiences: &[&str]) -> NewClient {
    NewClient {
        id: Some(id.to_owned()),
        name: id.to_owned(),
        scopes: Scopes::parse(scope).unwrap(),
        audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
        token_lifetime: None,
        algorithm: None,
        jwks: None,
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A form with these parameters.
pub(crate) fn form(parameters: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

/// Credentials for the header of that name.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    let encoded = jose::base64url::encode(format!("{id}:{secret}").as_bytes());
    let mut encoded = encoded.replace('-', "+").replace('_', "/");
    encoded.extend(std::iter::repeat_n('=', encoded.len().next_multiple_of(4) - encoded.len()));
    format!("Basic {encoded}")
}

pub(crate) fn verify_body(token: &str, key: &str) -> String {
    serde_json::json!({ "Token": token, "Signing_key": key }).to_string()
}

pub(crate) fn verify_request(token: &str, key: &str) -> Vec<u8> {
    request("GET", "/verifyToken", &[JSON], verify_body(token, key))
}

pub(crate) fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    parse(answer)["JWT Token"].as_str().unwrap().to_owned()
}

pub(crate) fn parse(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Checks that `answer` is an error of the simple contract.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, description: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("x-error-description"), Some(description));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    if status == 204 {
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("content-type"), None);
    } else {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(parse(answer), serde_json::json!({ "status": status, "description": description }));
    }
}
