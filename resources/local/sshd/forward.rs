//! Connections that a client asks the node to make (`ssh -L`, `ssh -J`).

use super::backlog::backlog;
use crate::relay;
use russh::{
    Channel, ChannelMsg, ChannelOpenFailure,
    server::{ChannelOpenHandle, Msg},
};
use std::time::Duration;
use tokio::{
    io::{AsyncWriteExt, copy},
    net::TcpStream,
    time::timeout,
};

const DIAL_LIMIT: Duration = Duration::from_secs(15);

/// Dials, answers the client's request, and joins channel and connection.
pub(super) async fn run(channel: Channel<Msg>, reply: ChannelOpenHandle, host: String, port: u16) {
    match timeout(DIAL_LIMIT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(stream)) => {
            reply.accept().await;
            relay::tune(&stream);
            join(channel, stream).await;
        }
        Ok(Err(_)) | Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
    }
}

async fn join(channel: Channel<Msg>, stream: TcpStream) {
    let (mut from_client, to_client) = channel.split();
    let (mut from_server, mut to_server) = stream.into_split();
    let (mut backlog, mut outlet) = backlog();
    let up = async {
        let _ = outlet.drain(&mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let down = async {
        let _ = copy(&mut from_server, &mut to_client.make_writer()).await;
        let _ = to_client.eof().await;
    };
    let client = async {
        loop {
            backlog.room().await;
            match from_client.wait().await {
                Some(ChannelMsg::Data { data }) => backlog.push(data.into()),
                Some(ChannelMsg::Eof) => backlog.end(),
                Some(ChannelMsg::Close) | None => return,
                Some(_) => {}
            }
        }
    };
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        () = client => {}
    }
    let _ = to_client.close().await;
}
