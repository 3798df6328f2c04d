//! What jotd is measured beside: nginx with a constant answer, and the simple contract in Flask behind gunicorn. Each
//! has one worker, on the server's core.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::child::Running;
use super::cores::{on, prefixed};
use super::jotd::free_address;
use crate::steps::{answers, program, root, succeeds};

/// Why there is no such peer, or the peer.
pub(crate) type Peer = Result<(Running, SocketAddr), String>;

/// nginx that answers each path with 200 and a body of so many bytes.
pub(crate) fn nginx(folder: &Path, core: Option<usize>, answers_of: &[(&str, usize)]) -> io::Result<Peer> {
    if !answers("nginx", &["-v"]) {
        return Ok(Err("nginx is not installed (Debian: nginx-light)".to_owned()));
    }
    std::fs::create_dir_all(folder)?;
    let address = free_address()?;
    let mut locations = String::new();
    for (path, length) in answers_of {
        locations += &format!("        location = {path} {{ return 200 \"{}\"; }}\n", "x".repeat(*length));
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("    {what}_temp_path {}/{what};\n", folder.display()))
        .collect();
    let configuration = format!(
        "daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {folder}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 19000; }}\n\
         http {{\n{temporary}    access_log off;\n    default_type application/json;\n    keepalive_timeout 600s;\n    \
         keepalive_requests 1000000000;\n    server {{\n        listen {address} backlog=4096;\n\
         \x20       location = /healthz {{ return 200 ok; }}\n{locations}    }}\n}}\n",
        folder = folder.display(),
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let mut command = prefixed(&on(core), "nginx");
    command.arg("-p").arg(folder).arg("-e").arg("stderr").arg("-c").arg(&file);
    let mut running = Running::start("nginx", &mut command, folder.join("log"))?;
    running.until_it_answers(address, "/healthz")?;
    Ok(Ok((running, address)))
}

/// The service of `bench/peers/flask_service.py`. Of gunicorn's workers this one is
/// the fastest here: the simplest keeps no connections, and more threads only wait for each other.
pub(crate) fn flask(folder: &Path, core: Option<usize>, key: &str) -> io::Result<Peer> {
    if !answers("python3", &["--version"]) {
        return Ok(Err("there is no python3 (Debian: python3-venv)".to_owned()));
    }
    let environment = root().join("target/bench/venv");
    let python = environment.join("bin/python");
    let installed = succeeds("a Python environment", program("python3", &["-m", "venv"]).arg(&environment))
        && succeeds(
            "Flask and gunicorn",
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--requirement", "bench/peers/requirements.txt"])
                .current_dir(root()),
        );
    if !installed {
        return Ok(Err("Flask and gunicorn cannot be installed".to_owned()));
    }
    let address = free_address()?;
    let mut command = prefixed(&on(core), &python);
    command.args(["-m", "gunicorn", "--bind", &address.to_string(), "--workers", "1", "--worker-class", "gthread"]);
    command.args(["--threads", "1", "--keep-alive", "75", "--log-level", "warning", "--chdir", "bench/peers"]);
    command.arg("flask_service:app").current_dir(root()).env("SIGNING_KEY", key).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut running = Running::start("gunicorn", &mut command, folder.join("gunicorn.log"))?;
    running.until_it_answers(address, "/healthz")?;
    Ok(Ok((running, address)))
}
