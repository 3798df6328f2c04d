//! The binary as its users meet it: real processes, real files, real signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers outside of test functions may fail the test too"
)]

mod administration;
mod balancer_file;
mod bench;
mod commands;
mod compose_cluster;
mod configuration;
mod container;
mod crash;
mod history;
mod history_tests;
mod memory;
mod overload;
mod postgres;
mod process;
mod readme;
mod secrecy;
mod start;
mod stop;
mod tokens;
