//! `jotd serve`: wires the parts together and runs until it is told to stop.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use authority::{Authority, Caller, Setup, SimpleKey, SimpleKeyHome};
use jotd_http::{Metrics, Router, Server, Surface};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, KeySource};
use crate::data::{Applied, Told};
use crate::serving::Announcement;
use crate::store_home::{self, Patience};
use crate::system::{self, SystemRandomness};
use crate::{data, logging, secret_file, serving, signing_key};

/// Connections that the system keeps waiting until they are accepted.
const BACKLOG: i32 = 4096;

/// Serves until SIGTERM or SIGINT.
pub(crate) fn serve(mut config: Config) -> Result<()> {
    logging::start(config.log_level, config.log_format);
    // Sockets first: a start that fails because the address is taken leaves no key behind.
    let listeners = bind_all(&config)?;
    config.limits.connections = config.limits.connections.min(system::room_for_connections(config.workers));
    let issuer = issuer(&config, &listeners)?;
    let simple_key = simple_key_of(&config)?;
    let metrics = Arc::new(Metrics::default());
    let is_shared = config.store.is_shared() || serving::is_served(&config.data_dir)?;
    warn_of_staleness(&config);
    // As long as the server runs.
    let (_announcement, applied) = announce(&config)?;
    let told = Told { applied, commits: metrics.commit_observer() };
    let authority = data::open(&config, None, Patience::Wait, told)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let issuer = settled(&config, &authority, issuer, is_shared);
        set_up(&authority, &config, issuer, simple_key).await?;
        let drain_time = config.limits.drain_time;
        let router = Router::new(Arc::new(authority), config.limits, metrics, config.access);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut told = async || tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };

        let mut server = Server::new(router, config.workers);
        for (listener, surface) in listeners {
            let address = server.listen(listener, surface)?;
            let admin = surface == Surface::Admin;
            tracing::info!(%address, admin, "listening on http://{address}");
        }
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut running = tokio::spawn(server.run(async { drop(stopped.await) }));

        let signal = tokio::select! {
            signal = told() => signal,
            // It ends by itself only when it cannot begin.
            ended = &mut running => return ended?.map(drop).context("cannot start the workers; there may be too many for what the system allows (--workers)"),
        };
        if drain_time.is_zero() {
            tracing::info!(signal, "stopping: no more connections, requests in flight may finish");
        } else {
            let drain_time = humantime::format_duration(drain_time);
            tracing::info!(signal, %drain_time, "stopping: requests are still taken for a while, with /readyz at 503");
        }
        drop(stop);
        tokio::select! {
            cut = &mut running => match cut?? {
                0 => tracing::info!("stopped"),
                cut => tracing::warn!(cut, "stopped, connections that did not finish in time were cut"),
            },
            signal = told() => tracing::warn!(signal, "told twice, stopped at once"),
        }
        Ok(())
    })
}

/// A node that publishes what it knows for longer than a new key waits for being known may publish a set without the key
/// that signs elsewhere.
fn warn_of_staleness(config: &Config) {
    let known_by = u64::try_from(config.terms.max_age.saturating_add(config.terms.leeway)).unwrap_or(u64::MAX);
    let is_longer = config.staleness.refuse_after.is_none_or(|limit| limit.as_secs() > known_by);
    if config.store.is_shared() && is_longer {
        tracing::warn!(
            "refuse_after is longer than jwks_max_age and clock_leeway together: a node that cannot reach the store may go on publishing a key set that lacks the newest key"
        );
    }
}

/// The simple contract's key, where it is not at home in the store.
fn simple_key_of(config: &Config) -> Result<Option<SimpleKey>> {
    if config.store.is_shared() && matches!(config.key_source, KeySource::DataDir) {
        return Ok(None);
    }
    signing_key::load(config, &SystemRandomness).map(Some)
}

/// Lets commands on the data directory know how far this server is. Where several machines share the store, there is no
/// such directory.
fn announce(config: &Config) -> Result<(Option<Announcement>, Applied)> {
    if config.store.is_shared() {
        return Ok((None, Box::new(drop)));
    }
    let announcement = Announcement::new(&config.data_dir);
    let announcement = announcement.with_context(|| format!("cannot use {}", config.data_dir.display()))?;
    let applied = Box::new(announcement.teller()?);
    Ok((Some(announcement), applied))
}

/// Brings the store up to the configuration.
async fn set_up(authority: &Authority, config: &Config, issuer: String, simple_key: Option<SimpleKey>) -> Result<()> {
    let setup = Setup {
        issuer: Some(issuer),
        terms: Some(config.terms),
        rotate_every: config.rotate_every,
        schedule: config.rotate_every_is_given.then_some(config.rotate_every),
        simple_key,
        simple_key_home: if config.store.is_shared() { SimpleKeyHome::Store } else { SimpleKeyHome::Outside },
    };
    let caller = Caller::new("jotd");
    if config.store.is_shared() {
        authority.set_up(&caller, setup).await.with_context(|| format!("cannot use {}", store_home::place(config)))?;
        return Ok(authority.tidy().await?);
    }
    // A replacement may be under way, or was interrupted, when the store knew of it and the file did not. None begins
    // before the key is taken over.
    let _lock = secret_file::lock(&config.data_dir)?;
    signing_key::finish(&config.data_dir, |key| authority.state().signs_with(key))?;
    let is_in_force = setup.simple_key.as_ref().is_some_and(|key| authority.state().signs_with(key));
    let simple_key = if is_in_force { setup.simple_key } else { simple_key_of(config)? };
    authority.set_up(&caller, Setup { simple_key, ..setup }).await?;
    Ok(authority.tidy().await?)
}

/// Who issues the tokens: never taken from a request.
fn issuer(config: &Config, listeners: &[(TcpListener, Surface)]) -> Result<String> {
    if let Some((issuer, _)) = &config.issuer {
        return Ok(issuer.clone());
    }
    let Some((first, _)) = listeners.first() else { return Ok(config.default_issuer()) };
    let address = first.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            "tokens will be issued by http://{address}, which others cannot reach or trust; give the address that clients use with --issuer"
        );
    }
    Ok(format!("http://{address}"))
}

/// What the issuer by default comes to where there was one before: that of a server that is running stays, and a change
/// is not made silently.
fn settled(config: &Config, authority: &Authority, issuer: String, is_shared: bool) -> String {
    let state = authority.state();
    match state.issuer() {
        Some(former) if former != issuer => {
            if is_shared && config.issuer.is_none() {
                tracing::warn!(issuer = former, "tokens are issued by {former}, as by the others on this store");
                return former.to_owned();
            }
            tracing::warn!(
                "the issuer changes from {former} to {issuer}: tokens from before are not accepted any more; --issuer keeps it the same"
            );
        }
        _ => {}
    }
    issuer
}

fn bind_all(config: &Config) -> Result<Vec<(TcpListener, Surface)>> {
    let public = config.listen.iter().map(|address| (*address, Surface::Public));
    let admin = config.admin_listen.iter().map(|address| (*address, Surface::Admin));
    let all: Vec<_> = public.chain(admin).collect();
    let addresses: Vec<_> = all.iter().map(|(address, _)| *address).collect();
    let bind = |(address, surface)| {
        let listener = bind(address, &addresses).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow!(
                "cannot listen on {address}: the address is already in use; stop whoever uses it, or choose another with --listen"
            ),
            ErrorKind::PermissionDenied => anyhow!(
                "cannot listen on {address}: not permitted; choose a port of 1024 or more with --listen"
            ),
            ErrorKind::AddrNotAvailable => anyhow!(
                "cannot listen on {address}: this machine has no such address; choose another with --listen"
            ),
            _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
        })?;
        Ok((listener, surface))
    };
    all.into_iter().map(bind).collect()
}

fn bind(address: SocketAddr, all: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // [::] serves IPv4 too, unless that has a listener of its own.
        let ipv4_has_its_own = all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
        socket.set_only_v6(ipv4_has_its_own)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
