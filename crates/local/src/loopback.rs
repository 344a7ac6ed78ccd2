//! Sockets on loopback, for every server of the local cloud.

use axum::serve::{Listener, ListenerExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections send at once: with small messages both ways, waiting for more costs 40 ms each.
pub(crate) fn without_delay(listener: TcpListener) -> impl Listener<Io = TcpStream, Addr = std::net::SocketAddr> {
    listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    })
}
