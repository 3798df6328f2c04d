//! A PostgreSQL server of its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::port::{free_port, random_word};
use crate::programs::{Account, bare, program};
use crate::watch::Watch;

/// Longer than a server here needs for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often another port is tried.
const PORTS: u32 = 20;
const USER: &str = "jotd";
/// The path of a socket must fit into 107 bytes, of which `/.s.PGSQL.65535` takes 15.
const LONGEST_FOLDER: usize = 80;

/// How a server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Waits until all clients have left.
    Smart,
    /// Throws the clients out and rolls their transactions back.
    Fast,
    /// As a crash would be: what comes next recovers from the log.
    Immediate,
}

/// A PostgreSQL server of its own: private directory, free port on 127.0.0.1, private Unix socket; ends with this
/// process in whatever way that ends, also by SIGKILL.
pub struct Server {
    place: Place,
}

enum Place {
    /// Somebody else's, by its URL.
    Named(String),
    Private(Private),
}

struct Private {
    folder: PathBuf,
    account: Account,
    password: String,
    port: u16,
    running: Option<Child>,
    _watch: Watch,
}

impl Server {
    /// The one that the tests of this process share: the one that `JOTD_TEST_POSTGRES` names by the URL of a superuser,
    /// or a private one.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("JOTD_TEST_POSTGRES") {
            Ok(url) => Self { place: Place::Named(url) },
            Err(_) => Self::start(),
        })
    }

    /// A private one, always. Fails with how to get PostgreSQL where its programs are not there.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A private one with these settings, as lines of `postgresql.conf`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut private = Private::make(settings);
        for _ in 0..PORTS {
            private.port = free_port();
            if private.starts() {
                return Self { place: Place::Private(private) };
            }
        }
        panic!("PostgreSQL does not start: {}", private.log())
    }

    /// A copy of this server, which is down, that goes on as if it had taken over from it: on a timeline of its own.
    #[must_use]
    pub fn taken_over(&self) -> Self {
        let Place::Private(own) = &self.place else { panic!("somebody else's server is not ours to copy") };
        let server = Self::start_copy(own.copy("recovery.signal", "restore_command = 'false'"));
        server.until("SELECT pg_is_in_recovery()", "f");
        server
    }

    /// A standby of this server, which is stopped and started again for that. Commits wait for it from now on.
    #[must_use]
    pub fn standby(&mut self) -> Self {
        self.stop(Shutdown::Fast);
        let own = self.private();
        let way = format!("host=127.0.0.1 port={} user={USER} password={}", own.port, own.password);
        let copy = own.copy("standby.signal", &format!("primary_conninfo = '{way} application_name=standby'"));
        self.start_again();
        let standby = Self::start_copy(copy);
        let _ = self.query("ALTER SYSTEM SET synchronous_standby_names = 'standby'; SELECT pg_reload_conf()");
        self.until("SELECT sync_state FROM pg_stat_replication", "sync");
        standby
    }

    /// Has a standby take over from its server, whether that knows or not.
    pub fn promote(&self) {
        assert_eq!(self.query("SELECT pg_promote()"), "t");
    }

    fn start_copy(mut copy: Private) -> Self {
        for _ in 0..PORTS {
            copy.port = free_port();
            if copy.starts() {
                return Self { place: Place::Private(copy) };
            }
        }
        panic!("PostgreSQL does not start: {}", copy.log())
    }

    fn until(&self, sql: &str, answer: &str) {
        let until = Instant::now() + PATIENCE;
        while self.query(sql) != answer {
            assert!(Instant::now() < until, "never {answer}: {sql}");
            sleep(Duration::from_millis(10));
        }
    }

    /// URL of a superuser on the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.place {
            Place::Named(url) => url.clone(),
            Place::Private(own) => format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", own.password, own.port),
        }
    }

    /// The same with `schema=` and a name that nobody has: room for a new store.
    #[must_use]
    pub fn new_store(&self) -> String {
        let url = self.url();
        let divider = if url.contains('?') { '&' } else { '?' };
        format!("{url}{divider}schema=test_{}", random_word())
    }

    /// The port on 127.0.0.1, or that of the URL.
    #[must_use]
    pub fn port(&self) -> u16 {
        match &self.place {
            Place::Named(url) => {
                let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next());
                authority.and_then(|text| text.rsplit(':').next()?.parse().ok()).unwrap_or(5432)
            }
            Place::Private(own) => own.port,
        }
    }

    /// The folder with the socket, `None` for somebody else's server.
    #[must_use]
    pub fn socket_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Named(_) => None,
            Place::Private(own) => Some(&own.folder),
        }
    }

    /// The folder with the server's data, as which certificates and `pg_hba.conf` are found, `None` for somebody else's.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.socket_folder().map(|folder| folder.join("data"))
    }

    /// Runs SQL with psql, and answers its output, unaligned and tuples only. Each statement is a transaction.
    #[must_use]
    pub fn query(&self, sql: &str) -> String {
        let mut command = program("psql");
        command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]);
        command.arg(format!("--dbname={}", self.url())).current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().map_err(|error| error.to_string()).expect("psql runs");
        child.stdin.take().expect("is piped").write_all(sql.as_bytes()).expect("psql reads");
        let mut texts = [String::new(), String::new()];
        let [output, error] = &mut texts;
        std::io::Read::read_to_string(&mut child.stdout.take().expect("is piped"), output).expect("UTF-8");
        std::io::Read::read_to_string(&mut child.stderr.take().expect("is piped"), error).expect("UTF-8");
        let status = child.wait().expect("psql ends");
        assert!(status.success(), "{sql}: {error}");
        output.trim_end().to_owned()
    }

    /// Tells the server to stop, and waits until it is down.
    pub fn stop(&mut self, how: Shutdown) {
        self.private().stop(how);
    }

    /// Starts it once more, on the same port and with the same data, and waits until it is ready.
    pub fn start_again(&mut self) {
        let own = self.private();
        let until = Instant::now() + PATIENCE;
        while !own.starts() {
            assert!(Instant::now() < until, "PostgreSQL does not start again: {}", own.log());
        }
    }

    /// The process that all others of the server are children of.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match &self.place {
            Place::Private(Private { running: Some(child), .. }) => child.id(),
            _ => panic!("there is no process of ours"),
        }
    }

    fn private(&mut self) -> &mut Private {
        match &mut self.place {
            Place::Private(own) => own,
            Place::Named(_) => panic!("somebody else's server is not ours to stop"),
        }
    }
}

impl Private {
    /// A folder with an empty database.
    fn make(settings: &[(&str, &str)]) -> Self {
        let parent = Some(std::env::temp_dir()).filter(|folder| folder.as_os_str().len() < LONGEST_FOLDER);
        let parent = parent.unwrap_or_else(|| "/tmp".into());
        let folder = tempfile::Builder::new().prefix("jotd-pg-").tempdir_in(parent).expect("a folder").keep();
        let account = Account::choose();
        account.give(&folder);
        let watch = Watch::over(&folder, account);
        let own = Self { folder, account, password: random_word(), port: 0, running: None, _watch: watch };

        let password = own.folder.join("password");
        fs::write(&password, &own.password).expect("a file with the password");
        own.account.give(&password);
        let mut initdb = program("initdb");
        initdb.args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]);
        initdb.arg(format!("--username={USER}")).arg("--pwfile").arg(&password).arg("--pgdata").arg(own.data());
        let output = own.account.runs(&mut initdb).current_dir(&own.folder).stdin(Stdio::null()).output();
        let output = output.expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));

        let mut lines =
            format!("\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n", own.folder.display());
        lines += "max_connections = 300\n";
        for (name, value) in settings {
            lines += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        let file = fs::OpenOptions::new().append(true).open(own.data().join("postgresql.conf"));
        file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("initdb has made it");
        own
    }

    /// The same files in another folder, to be recovered as this signal and this line of `postgresql.conf` say.
    fn copy(&self, signal: &str, line: &str) -> Self {
        assert!(self.running.is_none(), "its files are its own as long as it runs");
        let parent = self.folder.parent().expect("it is in a folder");
        let folder = tempfile::Builder::new().prefix("jotd-pg-").tempdir_in(parent).expect("a folder").keep();
        self.account.give(&folder);
        let watch = Watch::over(&folder, self.account);
        let (account, password) = (self.account, self.password.clone());
        let copy = Self { folder, account, password, port: 0, running: None, _watch: watch };
        let mut cp = bare("cp");
        let status = copy.account.runs(cp.arg("-R").arg("-p").arg(self.data()).arg(copy.data())).status();
        assert!(status.expect("cp runs").success());
        let lines = format!("\nunix_socket_directories = '{}'\n{line}\n", copy.folder.display());
        let file = fs::OpenOptions::new().append(true).open(copy.data().join("postgresql.conf"));
        file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("it was copied");
        let signal = copy.data().join(signal);
        fs::write(&signal, "").expect("a file");
        copy.account.give(&signal);
        copy
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Whether the server starts; it does not when its port is taken.
    fn starts(&mut self) -> bool {
        assert!(self.running.is_none(), "it runs already");
        let log = fs::File::create(self.folder.join("log")).expect("a file for the log");
        let mut command = program("postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string()).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = self.account.runs(command.process_group(0)).spawn().expect("postgres runs");
        let until = Instant::now() + PATIENCE;
        loop {
            // Its first line is the process, its last the state.
            let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let is_its = state.lines().next() == Some(&child.id().to_string());
            if is_its && state.lines().last().is_some_and(|state| ["ready", "standby"].contains(&state.trim())) {
                self.running = Some(child);
                return true;
            }
            if child.try_wait().expect("it is our child").is_some() {
                let log = self.log();
                assert!(log.contains("could not bind") || log.contains("in use"), "PostgreSQL does not start: {log}");
                return false;
            }
            if Instant::now() > until {
                let _ = kill_process(Pid::from_child(&child), Signal::QUIT);
                panic!("PostgreSQL does not get ready: {}", self.log());
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn stop(&mut self, how: Shutdown) {
        let Some(mut child) = self.running.take() else { return };
        let signal = match how {
            Shutdown::Smart => Signal::TERM,
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        let _ = kill_process(Pid::from_child(&child), signal);
        let _ = child.wait();
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.stop(Shutdown::Immediate);
    }
}
