//! Stops a server and removes its folder when the process that started it is gone, in whatever way that went.
//!
//! A small shell reads from a pipe of which this process alone has the other end. The kernel closes that with the
//! process, and reading ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::programs::{Account, bare};

/// `$1` is the folder. The server may be stopped already, and then there is no file with its id.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
read -r nothing
server=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$server" && {
    rounds=0
    while [ -e "$1/data/postmaster.pid" ] && [ $rounds -lt 1200 ]; do sleep 0.05; rounds=$((rounds + 1)); done
}
rm -rf "$1"
"#;

/// The shell that waits for the end.
pub(crate) struct Watch(Child);

impl Watch {
    pub(crate) fn over(folder: &Path, account: Account) -> Self {
        let mut command = bare("/bin/sh");
        command.args(["-c", SCRIPT, "sh"]).arg(folder).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A signal for the whole group of the tests is not for this one.
        let child = account.runs(command.process_group(0)).spawn();
        Self(child.expect("a shell to watch over the server"))
    }
}

impl Drop for Watch {
    /// Waits until the folder is gone.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
