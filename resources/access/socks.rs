//! A SOCKS5 proxy (RFC 1928) whose connections are made by a node: CONNECT without authentication, names resolved there.

use crate::forward::{Said, join, serve};
use cloudtik_core::{failure::FailureKind, host::Host};
use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NONE_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
/// A client that does not say what it wants is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client is answered.
#[derive(Clone, Copy)]
enum Answer {
    Granted = 0,
    Failed = 1,
    Forbidden = 2,
    HostUnreachable = 4,
    Refused = 5,
    NoSuchCommand = 7,
    NoSuchAddress = 8,
}

/// Serves clients of `listener` until it is dropped.
pub async fn socks(host: Arc<dyn Host>, listener: TcpListener, said: Said) {
    let carry = move |near: TcpStream| {
        let (host, said) = (host.clone(), said.clone());
        async move {
            // A client that breaks off or talks nonsense concerns nobody else.
            let _ = client(near, &*host, &said).await;
        }
    };
    serve(listener, carry).await;
}

async fn client(mut near: TcpStream, host: &dyn Host, said: &Said) -> io::Result<()> {
    let asked = tokio::time::timeout(PATIENCE, ask(&mut near)).await.map_err(|_| ErrorKind::TimedOut)?;
    let (to, port) = match asked? {
        Ok(asked) => asked,
        Err(answer) => return reply(&mut near, answer).await,
    };
    match host.connect(&to, port).await {
        Ok(far) => {
            reply(&mut near, Answer::Granted).await?;
            join(near, far).await;
            Ok(())
        }
        Err(failure) => {
            said(&failure);
            let answer = match failure.kind {
                FailureKind::Denied => Answer::Forbidden,
                FailureKind::NotFound => Answer::HostUnreachable,
                FailureKind::Unreachable => Answer::Refused,
                _ => Answer::Failed,
            };
            reply(&mut near, answer).await
        }
    }
}

/// Where a client wants to go, or what to answer to what it wants instead.
async fn ask(near: &mut TcpStream) -> io::Result<Result<(String, u16), Answer>> {
    if near.read_u8().await? != VERSION {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut methods = vec![0; near.read_u8().await?.into()];
    near.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        near.write_all(&[VERSION, NONE_ACCEPTABLE]).await?;
        return Err(ErrorKind::PermissionDenied.into());
    }
    near.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let mut head = [0; 4];
    near.read_exact(&mut head).await?;
    let [version, command, _, kind] = head;
    if version != VERSION {
        return Err(ErrorKind::InvalidData.into());
    }
    let to = match kind {
        1 => {
            let mut bytes = [0; 4];
            near.read_exact(&mut bytes).await?;
            Ipv4Addr::from(bytes).to_string()
        }
        3 => {
            let mut name = vec![0; near.read_u8().await?.into()];
            near.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_| ErrorKind::InvalidData)?
        }
        4 => {
            let mut bytes = [0; 16];
            near.read_exact(&mut bytes).await?;
            Ipv6Addr::from(bytes).to_string()
        }
        _ => return Ok(Err(Answer::NoSuchAddress)),
    };
    let port = near.read_u16().await?;
    Ok(if command == CONNECT { Ok((to, port)) } else { Err(Answer::NoSuchCommand) })
}

/// The address that would say from where the connection was made is left empty: the node does not tell.
async fn reply(near: &mut TcpStream, answer: Answer) -> io::Result<()> {
    near.write_all(&[VERSION, answer as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}
