//! The load of one thread: its connections, and the loop in which they send.
//!
//! In a closed loop each connection sends when it has its answer. In an open loop requests are due by a schedule that
//! no answer can hold up: whichever connection is free takes the next, and where none is, the request waits and its
//! latency has begun all the same. Otherwise a server that stalls would be asked less, and its stall would count once
//! (coordinated omission).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::client::Client;
use super::pace::{Schedule, Timer};
use super::tally::{Failure, Tally, Times, Window};

/// Connections that a thread opens at once, so that a server's backlog takes them.
const OPENING: usize = 64;
/// How long a connection of a closed loop waits after a failure, so that failing fast does not become a storm.
const PAUSE: Duration = Duration::from_millis(10);
/// How long answers are waited for after an interruption.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// By how much the end of the run leaves the last timeouts time to be counted as such.
const MARGIN: Duration = Duration::from_secs(1);

/// What one thread is to do.
pub(super) struct Load {
    pub(super) address: SocketAddr,
    /// It may hold a secret.
    pub(super) request: Arc<Zeroizing<Vec<u8>>>,
    pub(super) connections: usize,
    pub(super) timeout: Duration,
    /// None is a closed loop.
    pub(super) schedule: Option<Schedule>,
    pub(super) window: Window,
    pub(super) live: Arc<Live>,
}

/// What can be seen while it runs.
#[derive(Default)]
pub(super) struct Live {
    pub(super) ended: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// What all threads are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Open the connections, and wait.
    Prepare,
    Start(Instant),
    Stop,
}

/// What a thread tells.
pub(super) enum Event {
    Ready,
    Ended(Result<Tally>),
}

impl Load {
    /// Runs on the thread that calls it, until the end of the window and of what was sent by then.
    pub(super) fn run(self, orders: watch::Receiver<Order>, events: &mpsc::UnboundedSender<Event>) {
        let result = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into);
        let result = result.and_then(|runtime| runtime.block_on(self.follow(orders, events)));
        let _ = events.send(Event::Ended(result));
    }

    async fn follow(self, mut orders: watch::Receiver<Order>, events: &mpsc::UnboundedSender<Event>) -> Result<Tally> {
        let clients = tokio::select! {
            clients = self.connect() => clients,
            _ = orders.wait_for(|order| *order == Order::Stop) => return Tally::new(),
        };
        let _ = events.send(Event::Ready);
        let order = *orders.wait_for(|order| *order != Order::Prepare).await?;
        let Order::Start(start) = order else { return Tally::new() };
        let mut tally = Tally::new()?;
        tally.connections_opened = clients.iter().map(Client::connections).sum();
        let run = Arc::new(Run {
            start,
            request: self.request,
            from: self.window.from,
            until: AtomicU64::new(nanoseconds(self.window.until)),
            tally: Mutex::new(tally),
            live: self.live,
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
            issued: AtomicU64::new(u64::MAX),
            is_over: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        if let Some(schedule) = self.schedule {
            tasks.spawn(issue(Arc::clone(&run), schedule, self.connections));
        }
        for client in clients {
            let run = Arc::clone(&run);
            match self.schedule {
                None => tasks.spawn(run.closed_loop(client)),
                Some(schedule) => tasks.spawn(run.open_loop(client, schedule)),
            };
        }
        let mut last = self.window.until + self.timeout + MARGIN;
        let mut is_stopped = false;
        loop {
            tokio::select! {
                ended = tasks.join_next() => match ended {
                    Some(result) => result??,
                    None => break,
                },
                () = tokio::time::sleep_until((start + last).into()) => break,
                _ = orders.wait_for(|order| *order == Order::Stop), if !is_stopped => {
                    is_stopped = true;
                    last = last.min(run.stop() + LAST_WAIT);
                }
            }
        }
        tasks.shutdown().await;
        let mut tally = run.tally();
        tally.close();
        Ok(std::mem::replace(&mut tally, Tally::new()?))
    }

    /// Opens all connections. Why one could not be opened shows when it is used.
    async fn connect(&self) -> Vec<Client> {
        let new = || Client::new(self.address, self.timeout);
        let places = Arc::new(Semaphore::new(OPENING));
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let (mut client, places) = (new(), Arc::clone(&places));
            tasks.spawn(async move {
                let _place = places.acquire().await;
                let _ = client.open().await;
                client
            });
        }
        let mut clients = Vec::with_capacity(self.connections);
        let opened = async {
            while let Some(Ok(client)) = tasks.join_next().await {
                clients.push(client);
            }
        };
        let _ = tokio::time::timeout(self.timeout, opened).await;
        clients.resize_with(self.connections, new);
        clients
    }
}

/// What the connections of a thread share.
struct Run {
    start: Instant,
    request: Arc<Zeroizing<Vec<u8>>>,
    from: Duration,
    /// In nanoseconds from the start; an interruption brings it forward.
    until: AtomicU64,
    tally: Mutex<Tally>,
    live: Arc<Live>,
    /// A permit for each request that is due.
    due: Semaphore,
    taken: AtomicU64,
    /// How many requests there are, once that is known.
    issued: AtomicU64,
    is_over: Notify,
}

impl Run {
    async fn closed_loop(self: Arc<Self>, mut client: Client) -> Result<()> {
        loop {
            let now = self.start.elapsed();
            let window = self.window();
            if now >= window.until {
                break;
            }
            if window.has(now) {
                self.tally().begun += 1;
            }
            if self.ask(&mut client, now).await.is_some_and(|failure| !matches!(failure, Failure::Status(_))) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn open_loop(self: Arc<Self>, mut client: Client, schedule: Schedule) -> Result<()> {
        loop {
            self.due.acquire().await?.forget();
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            if number >= self.issued.load(Ordering::Relaxed) {
                break;
            }
            self.ask(&mut client, schedule.due(number)).await;
        }
        Ok(())
    }

    /// Sends a request and counts what comes of it.
    async fn ask(&self, client: &mut Client, due: Duration) -> Option<Failure> {
        let sent = self.start.elapsed().max(due);
        let connections = client.connections();
        let outcome = client.ask(&self.request, None).await;
        let times = Times { due, sent, done: self.start.elapsed() };
        let failure = {
            let mut tally = self.tally();
            tally.connections_opened += client.connections() - connections;
            tally.record(self.window(), times, self.request.len(), outcome)
        };
        self.live.ended.fetch_add(1, Ordering::Relaxed);
        if failure.is_some() {
            self.live.failed.fetch_add(1, Ordering::Relaxed);
        }
        failure
    }

    fn window(&self) -> Window {
        Window { from: self.from, until: Duration::from_nanos(self.until.load(Ordering::Relaxed)) }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the window now.
    fn stop(&self) -> Duration {
        let now = self.start.elapsed();
        self.until.fetch_min(nanoseconds(now), Ordering::Relaxed);
        self.is_over.notify_one();
        now
    }
}

/// Lets the connections send what is due, when it is due, to the end of the window.
async fn issue(run: Arc<Run>, schedule: Schedule, connections: usize) -> Result<()> {
    let timer = Timer::new()?;
    let mut issued = 0;
    loop {
        let window = run.window();
        let now = run.start.elapsed();
        let (mut permits, mut begun) = (0, 0);
        let mut due = schedule.due(issued);
        while due <= now && due < window.until {
            permits += 1;
            begun += u64::from(window.has(due));
            issued += 1;
            due = schedule.due(issued);
        }
        if begun > 0 {
            run.tally().begun += begun;
        }
        if due >= window.until {
            // One permit more for each connection, which then finds that there is nothing left.
            run.issued.store(issued, Ordering::Relaxed);
            run.due.add_permits(permits + connections);
            return Ok(());
        }
        run.due.add_permits(permits);
        tokio::select! {
            result = timer.wait(due.saturating_sub(run.start.elapsed())) => result?,
            () = run.is_over.notified() => {}
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
