//! Processes, what came of them, and what they cost, as `/proc` tells. Where there is none, nothing costs anything.

use std::time::Duration;

/// A process and all that came of it.
#[must_use]
pub fn family(root: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, field(&stat(id)?, 4)?.try_into().ok()?)))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    family
}

/// Processor time so far of the threads that a process has. Exact, where ticks would be too coarse for what idles.
#[must_use]
pub fn time_of_threads(id: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let told = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Processor time so far of what a process has started and waited for.
#[must_use]
pub fn time_of_ended_children(id: u32) -> Duration {
    let ticks = stat(id).and_then(|stat| Some(field(&stat, 16)? + field(&stat, 17)?)).unwrap_or(0);
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Processor time so far of a process and all that came of it, also of its children that have ended.
#[must_use]
pub fn time_of_family(root: u32) -> Duration {
    family(root).into_iter().map(time_of_threads).sum::<Duration>() + time_of_ended_children(root)
}

fn stat(id: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{id}/stat")).ok()
}

/// A numbered field of `/proc/PID/stat`, after the name, in which anything may stand.
fn field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let stat = "4242 (a) b (c) S 17 4242 1 0 -1 4194304 99 0 0 0 250 31 5 6 20 0 1 0 777";
        assert_eq!((field(stat, 4), field(stat, 16), field(stat, 17)), (Some(17), Some(5), Some(6)));
        assert_eq!(field("broken", 4), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_is_of_the_family_and_its_time_counts_after_its_end() {
        let own = std::process::id();
        let mut busy = std::process::Command::new("sh");
        busy.args(["-c", "n=0; while [ $n -lt 100000 ]; do n=$((n + 1)); done; read -r _"]);
        let mut child = busy.stdin(std::process::Stdio::piped()).spawn().expect("sh runs");
        assert!(family(own).contains(&child.id()));
        let before = time_of_ended_children(own);
        drop(child.stdin.take());
        child.wait().expect("it is our child");
        assert!(!family(own).contains(&child.id()));
        assert!(time_of_ended_children(own) > before && time_of_threads(own) > Duration::ZERO);
    }
}
