//! Addresses that are taken and refused.

use super::*;

fn parse(url: &str) -> Result<Address, AddressError> {
    Address::parse(url, None)
}

#[test]
fn every_host_is_encrypted_unless_it_is_here_or_that_is_wanted() {
    let (plain, verified) = (Security::Plain, Security::Verified);
    for (url, expected) in [
        ("postgres://a/d", &[verified][..]),
        ("postgresql://u:p@a:1,b:2/d?schema=x", &[verified, verified]),
        ("postgres://127.0.0.1,[::1],localhost/d", &[plain, plain, plain]),
        ("postgres://a,127.0.0.1/d", &[verified, plain]),
        ("postgres://a,127.0.0.1/d?sslmode=disable", &[plain, plain]),
        ("postgres://a,127.0.0.1/d?sslmode=verify-full", &[verified, verified]),
        ("postgres://a/d?sslmode=require", &[verified]),
        ("postgres://a/d?sslmode=verify-ca", &[verified]),
        ("postgres://%2Fvar%2Frun/d", &[plain]),
        ("postgres:///d?host=/var/run&sslmode=verify-full", &[plain]),
        ("postgres://u@a/d?hostaddr=127.0.0.1", &[plain]),
        ("postgres://u@/d?hostaddr=192.0.2.1", &[verified]),
    ] {
        let found: Vec<_> = parse(url).unwrap().places.iter().map(|place| place.security).collect();
        assert_eq!(found, expected, "{url}");
    }
}

#[test]
fn what_is_no_address_is_refused_without_repeating_it() {
    for (url, expected) in [
        ("sqlite:secret", "the URL of a PostgreSQL store begins with postgres:// or postgresql://"),
        ("host=a password=secret", "the URL of a PostgreSQL store begins with postgres:// or postgresql://"),
        ("postgres://", "the URL of a PostgreSQL store names at least one host"),
        ("postgres:///secret", "the URL of a PostgreSQL store names at least one host"),
        ("postgres://u:secret@a:x/d", "not a URL of a PostgreSQL store: invalid value for option `port`"),
        ("postgres://u:secret@a/d?nonsense=secret", "not a URL of a PostgreSQL store: unknown option `nonsense`"),
        ("postgres://u:secret@a/d?schema", "not a URL of a PostgreSQL store: a parameter without a value"),
        (
            "postgres://a/d?sslrootcert=%2",
            "not a URL of a PostgreSQL store: a parameter that is not percent-encoded UTF-8",
        ),
        (
            "postgres://a,b/d?hostaddr=127.0.0.1",
            "not a URL of a PostgreSQL store: not as many ports or addresses as hosts",
        ),
        ("postgres://a/d?sslmode=secret", "sslmode is `disable` or `verify-full`"),
        ("postgres://a/d?schema=", "a schema's name is 1 to 50 ASCII letters, digits, `_` and `-`"),
        ("postgres://a/d?schema=%22", "a schema's name is 1 to 50 ASCII letters, digits, `_` and `-`"),
    ] {
        assert_eq!(parse(url).unwrap_err().to_string(), expected, "{url}");
    }
    let opportunistic = parse("postgres://a/d?sslmode=prefer").unwrap_err();
    assert_eq!(opportunistic, AddressError::Opportunistic("prefer".to_owned()));
    let beside = Some(Zeroizing::new("other".to_owned()));
    assert_eq!(Address::parse("postgres://u:p@a/d", beside.clone()).unwrap_err(), AddressError::TwoPasswords);
    assert!(Address::parse("postgres://u@a/d", beside).is_ok());
}

#[test]
fn what_is_shown_holds_no_password() {
    let url = "postgres://someone:hidden@a:1,[::1]:2,%2Frun/d?schema=x&options=-c%20a%3Dhidden&connect_timeout=7";
    let address = parse(url).unwrap();
    assert_eq!(address.to_string(), "postgres://a:1,[::1]:2,/run:5432/d?schema=x");
    assert_eq!(format!("{address:?}"), "Address(postgres://a:1,[::1]:2,/run:5432/d?schema=x)");
    assert_eq!(address.connect_timeout, Duration::from_secs(7));
    let beside = Address::parse("postgres://someone@a/d", Some(Zeroizing::new("hidden".to_owned()))).unwrap();
    assert!(!format!("{beside:?} {beside}").contains("hidden"));
    let config = beside.config(&beside.places[0], Duration::from_secs(1));
    assert_eq!(config.get_password(), Some(&b"hidden"[..]));
}
