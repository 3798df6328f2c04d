//! For whom a proxy asks: the last address in `X-Forwarded-For` that is not a proxy's own. The header is believed only
//! where the connection itself comes from a proxy that the operator names.

use std::net::IpAddr;

use crate::request::Headers;

pub(crate) fn client_address(trusted: &[IpAddr], headers: Headers<'_>, peer: IpAddr) -> IpAddr {
    let mut address = peer.to_canonical();
    if trusted.is_empty() {
        return address;
    }
    let named: Vec<&str> = headers.texts("x-forwarded-for").flat_map(|value| value.split(',')).map(str::trim).collect();
    for text in named.into_iter().rev() {
        if !trusted.contains(&address) {
            break;
        }
        let Ok(next) = text.parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        for (peer, header, expect) in [
            ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
            ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            let fields = [httparse::Header { name: "X-Forwarded-For", value: header.as_bytes() }];
            let headers = Headers::Http1(&fields);
            let address = client_address(&trusted, headers, peer.parse().unwrap());
            assert_eq!(address, expect.parse::<IpAddr>().unwrap(), "{peer} {header}");
            assert_eq!(
                client_address(&[], headers, peer.parse().unwrap()),
                peer.parse::<IpAddr>().unwrap().to_canonical()
            );
        }
    }
}
