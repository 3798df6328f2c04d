//! The front door over real sockets, with a manual clock.

mod contract;
mod hostile;
mod openapi;
mod properties;
mod slow;
mod support;
mod transport;
mod vectors;
