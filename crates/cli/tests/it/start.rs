//! First starts, keys, addresses: what works at once, and what is refused with a line that helps.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jotd_pgserver::free_port;
use serde_json::Value;

use crate::process::{Serving, default_key_file, fails, new_home, run};

fn published() -> (String, String) {
    let vectors: Value = serde_json::from_str(include_str!("../../../http/tests/vectors/simple.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&vectors["signing_key"]), text(&vectors["tokens"][0]["token"]))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_first_start_makes_a_key_and_later_ones_use_it() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    let file = default_key_file(home.path());
    assert!(server.log.iter().any(|line| line.contains("made a new signing key") && line.contains("signing.key")));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    let content = fs::read_to_string(&file).unwrap();
    let key = content.strip_suffix('\n').unwrap();
    assert_eq!(key.len(), 128);
    assert!(key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    let token = server.mint("x");
    assert!(server.holds(&token, key));
    server.stop();
    let names = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["jotd.db", "master.key", "signing.key"], "nothing else is left behind");
    for name in names {
        assert_eq!(mode(&file.with_file_name(&name)), 0o600, "{name}");
    }

    let server = Serving::start(home.path(), &[], &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
    assert!(server.holds(&server.mint("y"), key));
    assert!(!server.stop().iter().any(|line| line.contains("made a new signing key")));

    let other = new_home();
    Serving::start(other.path(), &[], &[]).stop();
    assert_ne!(fs::read_to_string(default_key_file(other.path())).unwrap(), content);
}

#[test]
fn the_data_directory_is_found_where_the_system_says() {
    let home = new_home();
    let path = |name: &str| home.path().join(name).display().to_string();
    for (variables, expect) in [
        (vec![("STATE_DIRECTORY", path("state")), ("XDG_DATA_HOME", path("xdg"))], path("state/signing.key")),
        (vec![("STATE_DIRECTORY", format!("{}:{}", path("one"), path("two")))], path("one/signing.key")),
        (vec![("XDG_DATA_HOME", path("xdg"))], path("xdg/jotd/signing.key")),
        (vec![("XDG_DATA_HOME", "relative".to_owned())], path(".local/share/jotd/signing.key")),
        (vec![("STATE_DIRECTORY", path("state")), ("JOTD_DATA_DIR", path("given"))], path("given/signing.key")),
    ] {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Serving::start(home.path(), &[], &variables).stop();
        assert!(Path::new(&expect).exists(), "{expect}");
    }
    let line = fails(home.path(), &["serve"], &[("HOME", "")]);
    assert!(line.contains("--data-dir"), "{line}");
}

#[test]
fn the_published_key_is_refused_unless_it_is_allowed() {
    let home = new_home();
    let (key, token) = published();
    fs::write(home.path().join("key"), format!("{key}\n")).unwrap();
    for (arguments, variables) in [
        (&["serve", "--signing-key-file", "key"][..], &[][..]),
        (&["serve"], &[("JOTD_SIGNING_KEY", key.as_str())]),
        (&["serve", "--allow-published-key=false"], &[("JOTD_SIGNING_KEY", key.as_str())]),
    ] {
        let line = fails(home.path(), &[arguments, &["--listen", "127.0.0.1:0"]].concat(), variables);
        assert!(line.contains("--allow-published-key") && !line.contains(&key[..8]), "{line}");
    }
    for (arguments, variables) in [
        (&["--allow-published-key", "--signing-key-file", "key"][..], vec![]),
        (&["--allow-published-key"], vec![("JOTD_SIGNING_KEY", key.as_str())]),
        (&[], vec![("JOTD_SIGNING_KEY", key.as_str()), ("JOTD_ALLOW_PUBLISHED_KEY", "true")]),
    ] {
        let server = Serving::start(home.path(), arguments, &variables);
        assert!(server.holds(&token, &key));
        assert!(server.holds(&server.mint("x"), &key));
        assert!(server.stop().iter().any(|line| line.contains("anyone can forge")));
    }
    assert!(!default_key_file(home.path()).exists());
}

#[test]
fn key_files_lose_one_line_break_and_nothing_else() {
    let home = new_home();
    let key = "0123456789 abcdef é ".repeat(4);
    for (content, expect) in [
        (key.clone(), key.clone()),
        (format!("{key}\n"), key.clone()),
        (format!("{key}\r\n"), key.clone()),
        (format!("{key}\n\n"), format!("{key}\n")),
        (format!(" {key}\n"), format!(" {key}")),
        ("k".repeat(64) + "\n", "k".repeat(64)),
    ] {
        fs::write(home.path().join("key"), content).unwrap();
        let server = Serving::start(home.path(), &["--signing-key-file", "key"], &[]);
        assert!(server.holds(&server.mint("x"), &expect));
    }
}

#[test]
fn keys_that_cannot_serve_are_refused() {
    let home = new_home();
    let write = |name: &str, content: &[u8]| fs::write(home.path().join(name), content).unwrap();
    write("short", format!("{}\n", "k".repeat(63)).as_bytes());
    write("empty", b"");
    write("latin1", &[0xe9; 64]);
    write("huge", &[b'k'; 70_000]);
    for (file, expect) in [
        ("short", "63 bytes"),
        ("empty", "0 bytes"),
        ("latin1", "not UTF-8"),
        ("huge", "longer than"),
        (".", "directory"),
    ] {
        let line = fails(home.path(), &["serve", "--listen", "127.0.0.1:0", "--signing-key-file", file], &[]);
        assert!(line.contains(expect) && line.contains(file) && !line.contains("kkk"), "{line}");
    }
    let line = fails(home.path(), &["serve", "--listen", "127.0.0.1:0", "--signing-key-file", "missing"], &[]);
    assert!(line.contains("--signing-key-file: there is no such file"), "{line}");
    for key in ["", "short", &"k".repeat(63)] {
        let line = fails(home.path(), &["serve", "--listen", "127.0.0.1:0"], &[("JOTD_SIGNING_KEY", key)]);
        assert!(line.contains("JOTD_SIGNING_KEY") && line.contains("64"), "{line}");
    }
    let key = "k".repeat(64);
    for (arguments, variables) in [
        (&["serve", "--signing-key-file", "short"][..], vec![("JOTD_SIGNING_KEY", key.as_str())]),
        (&["serve"], vec![("JOTD_SIGNING_KEY", key.as_str()), ("JOTD_SIGNING_KEY_FILE", "short")]),
    ] {
        let line = fails(home.path(), arguments, &variables);
        assert!(line.contains("given twice") && line.contains("JOTD_SIGNING_KEY"), "{line}");
    }
    assert!(!home.path().join(".local").exists(), "a start that fails leaves nothing behind");
}

#[test]
fn the_longest_token_can_be_verified_with_the_longest_key() {
    let home = new_home();
    fs::write(home.path().join("key"), "\u{1}".repeat(4096)).unwrap();
    let server = Serving::start(home.path(), &["--signing-key-file", "key"], &[]);
    let token = server.mint(&"x".repeat(64 * 1024 - 16));
    assert!(server.holds(&token, &"\u{1}".repeat(4096)));
    fs::write(home.path().join("key"), "k".repeat(4097)).unwrap();
    let line = fails(home.path(), &["serve", "--listen", "127.0.0.1:0", "--signing-key-file", "key"], &[]);
    assert!(line.contains("longer than 4096"), "{line}");
}

#[test]
fn a_key_file_that_others_can_read_is_used_with_a_warning() {
    let home = new_home();
    let file = home.path().join("key");
    fs::write(&file, "k".repeat(64)).unwrap();
    for (bits, warns) in [(0o444, true), (0o640, true), (0o604, true), (0o622, true), (0o600, false), (0o400, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(bits)).unwrap();
        let log = Serving::start(home.path(), &["--signing-key-file", "key"], &[]).stop();
        let warned = log.iter().any(|line| line.contains("WARN") && line.contains(&format!("{bits:04o}")));
        assert_eq!(warned, warns, "{bits:o}: {log:#?}");
    }
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let home = new_home();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = fails(home.path(), &["serve", "--listen", &address], &[]);
    assert!(line.contains(&address) && line.contains("already in use") && line.contains("--listen"), "{line}");
    assert!(!default_key_file(home.path()).exists());

    let server = Serving::start(home.path(), &[], &[]);
    let line = fails(home.path(), &["serve", "--listen", &server.address().to_string()], &[]);
    assert!(line.contains("already in use"), "{line}");
    let line = fails(home.path(), &["serve", "--listen", "192.0.2.1:8000"], &[]);
    assert!(line.contains("no such address"), "{line}");
}

#[test]
fn several_addresses_and_both_families() {
    let home = new_home();
    let mut server = Serving::start(
        home.path(),
        &["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--admin-listen", "127.0.0.1:0"],
        &[],
    );
    let (ipv6, admin) = (server.next_address(), server.next_address());
    assert!(ipv6.is_ipv6());
    let key = fs::read_to_string(default_key_file(home.path())).unwrap();
    assert!(server.holds(&server.mint("x"), key.trim_end()));
    for (address, path, status) in [(ipv6, "/healthz", 200), (admin, "/healthz", 200), (admin, "/verifyToken", 404)] {
        assert_eq!(jotd_wire::ask(address, "GET", path, &[], "").unwrap().status, status);
    }
    let admin_url = format!("http://{admin}/healthz");
    let ipv6_url = format!("http://{ipv6}/healthz");
    for url in [&admin_url, &ipv6_url] {
        assert!(run(home.path(), &["health", "--url", url], &[]).status.success());
    }

    // One port for everybody, whether by one socket or by two.
    drop(server);
    let port = free_port();
    for listen in [vec![format!("[::]:{port}")], vec![format!("0.0.0.0:{port}"), format!("[::]:{port}")]] {
        let server = Serving::start(home.path(), &[], &[("JOTD_LISTEN", &listen.join(","))]);
        for url in [format!("http://127.0.0.1:{port}/healthz"), format!("http://[::1]:{port}/healthz")] {
            let output = run(home.path(), &["health", "--url", &url], &[]);
            assert!(output.status.success(), "{url}: {output:?}");
        }
        server.stop();
    }
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let home = new_home();
    fs::write(home.path().join("file"), "").unwrap();
    let line = fails(home.path(), &["serve", "--listen", "127.0.0.1:0", "--data-dir", "file"], &[]);
    assert!(line.contains("cannot look for file/signing.key") || line.contains("--signing-key-file"), "{line}");
    let line = fails(home.path(), &["serve", "--listen", "127.0.0.1:0", "--data-dir", "/proc/jotd"], &[]);
    assert!(line.contains("/proc/jotd") && line.contains("--signing-key-file"), "{line}");
}
