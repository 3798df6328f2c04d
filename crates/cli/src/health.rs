//! `jotd health`: asks a running server whether it is well, for container health checks without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Config;

/// How long the whole check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `url`, or else `/healthz` at the first address that the configuration would serve on.
pub(crate) fn check(url: Option<Uri>, config: impl FnOnce() -> Result<Config>) -> Result<()> {
    let url = match url {
        Some(url) => url,
        None => default_url(&config()?)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let status = tokio::time::timeout(PATIENCE, ask(&url))
            .await
            .with_context(|| format!("{url} did not answer within {} s", PATIENCE.as_secs()))?
            .with_context(|| format!("{url} does not answer"))?;
        if status != 200 {
            bail!("{url} answered {status}");
        }
        Ok(())
    })
}

fn default_url(config: &Config) -> Result<Uri> {
    let address = config.admin_listen.first().or(config.listen.first()).context("there is no address to ask")?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}/healthz", SocketAddr::new(ip, address.port())).parse()?)
}

async fn ask(url: &Uri) -> Result<u16> {
    if url.scheme_str() != Some("http") {
        bail!("only http:// can be asked");
    }
    let host = url.host().context("the address has no host")?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), url.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    connection.abort();
    Ok(response.status().as_u16())
}
