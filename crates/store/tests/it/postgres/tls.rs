//! TLS to the server: what is verified, and what is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use authority::error::StoreError;
use jotd_pgserver::Server;
use jotd_store::PostgresStore;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{address, client, open};
use crate::write;

/// The name in the server's certificate.
const NAME: &str = "db.example.test";

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    /// Certificate and key for a server.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Puts a file into the server's folder, for its eyes only.
fn give(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let owner = folder.metadata().unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// The error of an address that does not lead in.
fn refused(url: &str) -> StoreError {
    PostgresStore::open(&address(url)).unwrap_err()
}

#[test]
fn only_a_server_whose_certificate_and_name_are_right_is_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("right"), Authority::new("wrong"));
    let [trusted, untrusted, empty] =
        ["trusted.pem", "untrusted.pem", "empty.pem"].map(|name| directory.path().join(name));
    fs::write(&trusted, &authority.certificate).unwrap();
    fs::write(&untrusted, &other.certificate).unwrap();
    fs::write(&empty, "").unwrap();
    let [trusted, untrusted, empty] = [&trusted, &untrusted, &empty].map(|path| path.to_str().unwrap());

    let mut server = Server::start();
    let plain = server.new_store();
    let (before, rest) = plain.split_once("127.0.0.1:").unwrap();
    let (port, rest) = rest.split_once('/').unwrap();
    let by = |name: &str, mode: &str| format!("{before}{name}:{port}/{rest}&hostaddr=127.0.0.1&sslmode={mode}");
    let by_name = |name| by(name, "verify-full");
    // The server knows nothing of TLS yet.
    let error = refused(&format!("{}&sslrootcert={trusted}", by_name(NAME)));
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("does not support TLS")), "{error}");

    let folder = server.data_folder().unwrap();
    let (certificate, key) = authority.certify(NAME);
    give(&folder, "server.crt", &certificate);
    give(&folder, "server.key", &key);
    let rules = fs::read_to_string(folder.join("pg_hba.conf")).unwrap();
    let rules: Vec<_> = rules.lines().filter(|line| line.starts_with("local") || line.starts_with("host ")).collect();
    give(&folder, "pg_hba.conf", &(rules.join("\n").replace("host ", "hostssl ") + "\n"));
    let mut settings = fs::read_to_string(folder.join("postgresql.conf")).unwrap();
    settings.push_str("\nssl = on\n");
    give(&folder, "postgresql.conf", &settings);
    server.stop(jotd_pgserver::Shutdown::Fast);
    server.start_again();

    let verified = format!("{}&sslrootcert={trusted}", by_name(NAME));
    let mut store = open(&verified);
    write(&mut store, [client("a")]).unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name LIKE 'jotd/%' AND (ssl IS NOT TRUE OR version NOT IN ('TLSv1.2', 'TLSv1.3'))";
    assert_eq!(server.query(encrypted), "0");
    drop(store);

    for (name, url, says) in [
        ("another name", format!("{}&sslrootcert={trusted}", by_name("other.example.test")), "not valid for name"),
        ("another authority", format!("{}&sslrootcert={untrusted}", by_name(NAME)), "UnknownIssuer"),
        ("a weaker word", format!("{}&sslrootcert={untrusted}", by(NAME, "require")), "UnknownIssuer"),
        ("those of the system", by_name(NAME), "UnknownIssuer"),
        ("none", format!("{}&sslrootcert={empty}", by_name(NAME)), "there is no certificate in it"),
        ("no file", format!("{}&sslrootcert=/nowhere", by_name(NAME)), "/nowhere: "),
    ] {
        let error = refused(&url);
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains(says)), "{name}: {error}");
    }
    for (name, url) in [("a loopback address", plain.clone()), ("that is wanted", by(NAME, "disable"))] {
        let error = refused(&url);
        assert!(matches!(&error, StoreError::Denied(why) if why.contains("no encryption")), "{name}: {error}");
    }
}
