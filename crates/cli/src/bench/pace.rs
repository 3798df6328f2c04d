//! When requests are due at a fixed rate, and a timer that is exact enough to send them then.

use std::io;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// The requests of one thread in an open loop: every `threads`-th of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Requests a second, of all threads.
    pub(super) rate: u64,
    /// Which of the threads this is, from 0.
    pub(super) thread: u64,
    pub(super) threads: u64,
}

impl Schedule {
    /// When the thread's request of this number is due, counted from the start of the run.
    pub(super) fn due(&self, number: u64) -> Duration {
        let number = number * self.threads + self.thread;
        let nanoseconds = number % self.rate * SECOND / self.rate;
        Duration::new(number / self.rate, u32::try_from(nanoseconds).unwrap_or_default())
    }
}

pub(super) use timer::Timer;

/// The runtime's own timer has a resolution of a millisecond, which would be added to every latency; the kernel's does
/// not.
#[cfg(target_os = "linux")]
mod timer {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    use super::{Duration, io};

    /// A timer is read as a pipe is: it has something to read when it has gone off.
    pub(in super::super) struct Timer(Receiver);

    impl Timer {
        pub(in super::super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            Ok(Self(Receiver::from_owned_fd_unchecked(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
        }

        pub(in super::super) async fn wait(&self, time: Duration) -> io::Result<()> {
            if time.is_zero() {
                // All zeros would switch it off.
                tokio::task::yield_now().await;
                return Ok(());
            }
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec {
                tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: time.subsec_nanos().into(),
            };
            let value = Itimerspec { it_interval: never, it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &value)?;
            loop {
                self.0.readable().await?;
                // Eight bytes are read; with room for more, the runtime sees that there is nothing left.
                match self.0.try_read(&mut [0; 16]) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use super::{Duration, io};

    pub(in super::super) struct Timer;

    impl Timer {
        pub(in super::super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(in super::super) async fn wait(&self, time: Duration) -> io::Result<()> {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_the_schedule_without_gaps() {
        for (rate, threads) in [(1, 1), (3, 2), (1000, 3), (10_000_000, 16)] {
            let mut all: Vec<_> = (0..threads)
                .flat_map(|thread| (0..100).map(move |number| Schedule { rate, thread, threads }.due(number)))
                .collect();
            all.sort();
            let one = Schedule { rate, thread: 0, threads: 1 };
            let expect: Vec<_> = (0..100 * threads).map(|number| one.due(number)).collect();
            assert_eq!(all, expect, "{rate} {threads}");
        }
        assert_eq!(Schedule { rate: 3, thread: 0, threads: 1 }.due(4), Duration::new(1, 333_333_333));
    }

    #[tokio::test]
    async fn the_timer_goes_off_again_and_again_and_not_early() {
        let timer = Timer::new().unwrap();
        for time in [0, 1, 300, 0, 2000].map(Duration::from_micros) {
            let before = std::time::Instant::now();
            timer.wait(time).await.unwrap();
            assert!(before.elapsed() >= time);
        }
    }
}
