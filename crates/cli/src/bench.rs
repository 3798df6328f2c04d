//! `jotd bench`: sends the same request over and over to a running server, and reports how many were answered, and how
//! fast.
//!
//! It is bounded in every way: by the number of connections, by the length of the run, and by the timeout of the last
//! requests after it. It sends nothing but what its arguments say, to the one address that they name.

mod arguments;
mod client;
mod head;
mod load;
mod pace;
mod progress;
mod report;
mod request;
mod tally;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

pub(crate) use arguments::Bench;
use load::{Event, Live, Load, Order};
use pace::Schedule;
use progress::Progress;
use report::Report;
use tally::{Tally, Window};

use crate::arguments::Format;
use crate::{output, system};

/// How often the line on the terminal is drawn.
const TICK: Duration = Duration::from_millis(250);

/// Answers whether any request succeeded.
pub(crate) fn bench(arguments: &Bench) -> Result<bool> {
    let format = output::format(arguments.format);
    make_room(arguments.connections as usize, arguments.threads as usize)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(arguments, format))?;
    match format {
        Format::Json => output::json(&report)?,
        Format::Text => output::bytes(report.to_string().as_bytes())?,
    }
    Ok(report.has_success())
}

async fn run(arguments: &Bench, format: Format) -> Result<Report> {
    let address = arguments.url.find(arguments.timeout).await?;
    let request = Arc::new(request::prepare(arguments, address).await?);
    // A thread without a connection would have nothing to do.
    let threads = arguments.threads.min(arguments.connections);
    let window = Window { from: arguments.warmup, until: arguments.warmup + arguments.duration };
    let mut progress = (format == Format::Text).then(|| Progress::new(window.until)).flatten();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (orders, _) = watch::channel(Order::Prepare);
    let (sender, mut events) = mpsc::unbounded_channel();
    let lives: Vec<Arc<Live>> = (0..threads).map(|_| Arc::default()).collect();
    for (thread, live) in (0..threads).zip(&lives) {
        let (threads, thread, all) = (u64::from(threads), u64::from(thread), u64::from(arguments.connections));
        let load = Load {
            address,
            request: Arc::clone(&request),
            // All connections, in parts whose sizes differ by one at most.
            connections: usize::try_from((all + threads - 1 - thread) / threads)?,
            timeout: arguments.timeout,
            schedule: arguments.rate.map(|rate| Schedule { rate, thread, threads }),
            window,
            live: Arc::clone(live),
        };
        let (orders, events) = (orders.subscribe(), sender.clone());
        std::thread::Builder::new().name(format!("load-{thread}")).spawn(move || load.run(orders, &events))?;
    }
    drop(sender);

    let mut total = Tally::new()?;
    let (mut preparing, mut running) = (threads, threads);
    let (mut started, mut interrupted): (Option<Instant>, Option<Instant>) = (None, None);
    let mut tick = tokio::time::interval(TICK);
    while running > 0 {
        tokio::select! {
            event = events.recv() => match event.context("a thread of the load generator failed")? {
                Event::Ready => {
                    preparing -= 1;
                    if preparing == 0 && interrupted.is_none() {
                        let now = Instant::now();
                        started = Some(now);
                        orders.send_replace(Order::Start(now));
                    }
                }
                Event::Ended(tally) => {
                    total.add(&tally.context("a thread of the load generator failed")?)?;
                    running -= 1;
                }
            },
            _ = interrupt.recv(), if interrupted.is_none() => {
                interrupted = Some(Instant::now());
                orders.send_replace(Order::Stop);
            }
            _ = tick.tick() => if let (Some(progress), Some(started)) = (&mut progress, started) {
                let sum = |count: fn(&Live) -> u64| lives.iter().map(|live| count(live)).sum();
                let ended = sum(|live| live.ended.load(Ordering::Relaxed));
                let failed = sum(|live| live.failed.load(Ordering::Relaxed));
                progress.draw(started.elapsed(), ended, failed);
            }
        }
    }
    drop(progress);
    let ran = match (started, interrupted) {
        (Some(started), Some(interrupted)) => window.until.min(interrupted - started),
        (Some(_), None) => window.until,
        (None, _) => Duration::ZERO,
    };
    Ok(Report::new(arguments, threads, &total, ran.saturating_sub(window.from), interrupted.is_some()))
}

/// Refuses more connections than the limit on file descriptors allows.
fn make_room(connections: usize, threads: usize) -> Result<()> {
    let room = system::room_for_connections(threads);
    if connections <= room {
        return Ok(());
    }
    bail!(
        "{connections} connections need more file descriptors than are allowed, which are enough for {room}; raise the limit (ulimit -n), or ask for fewer with --connections"
    )
}
