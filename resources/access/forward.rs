//! Ports of this machine that lead to ports of a node, or of what it reaches.

use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::Host,
};
use std::sync::Arc;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Hears why a connection could not be carried.
pub type Said = Arc<dyn Fn(&Failure) + Send + Sync>;

/// A port of this machine; 0 is any that is free.
pub async fn listen(address: &str, port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((address, port)).await.map_err(|e| {
        Failure::new(FailureKind::Environment, format!("listen on {address}:{port}"), e.to_string())
            .hint("another program may listen there: choose another port")
    })
}

/// Carries every connection to `listener` to a port that the node reaches, until it is dropped.
pub async fn forward(host: Arc<dyn Host>, listener: TcpListener, to: String, port: u16, said: Said) {
    let carry = move |near: TcpStream| {
        let (host, to, said) = (host.clone(), to.clone(), said.clone());
        async move {
            match host.connect(&to, port).await {
                Ok(far) => join(near, far).await,
                Err(failure) => said(&failure),
            }
        }
    };
    serve(listener, carry).await;
}

/// Joins two streams until both are at their ends. How either breaks concerns those who talk over it.
pub(crate) async fn join(mut near: TcpStream, mut far: Box<dyn cloudtik_core::host::Duplex>) {
    // Small answers are not kept back to be sent together with more.
    let _ = near.set_nodelay(true);
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// Serves each connection in a task of its own; all of them end with this.
pub(crate) async fn serve<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    carry: impl Fn(TcpStream) -> F,
) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => drop(carried.spawn(carry(near))),
                // Out of descriptors, for example: some are freed as others end.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            },
            Some(_) = carried.join_next() => {}
        }
    }
}
