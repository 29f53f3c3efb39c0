//! A world behind a socket, with a service's delays.

use super::{
    dice::Dice,
    world::{Answer, Ask, World},
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    runtime::Handle,
    sync::{Mutex as AsyncMutex, watch},
    task::{JoinHandle, JoinSet},
};

/// One request or answer on the wire, each a line.
#[derive(Serialize, Deserialize)]
pub struct Envelope<T> {
    pub number: u64,
    pub content: T,
}

pub struct Service {
    socket: PathBuf,
    accepting: JoinHandle<()>,
    /// Clients whose requests are not all carried out yet.
    busy: watch::Receiver<usize>,
}

impl Service {
    /// Serves `world` at `socket` until it is dropped. Requests and answers are under way for up to `way`.
    pub fn start(
        runtime: &Handle,
        world: Arc<World>,
        socket: &Path,
        way: Duration,
        dice: Dice,
    ) -> std::io::Result<Service> {
        let _inside = runtime.enter();
        let listener = UnixListener::bind(socket)?;
        let (count, busy) = watch::channel(0);
        let (count, dice) = (Arc::new(count), Arc::new(Mutex::new(dice)));
        let accepting = runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|n| *n += 1);
                let (world, dice, count) = (world.clone(), dice.clone(), count.clone());
                tokio::spawn(async move {
                    serve(stream, world, way, dice).await;
                    count.send_modify(|n| *n -= 1);
                });
            }
        });
        Ok(Service { socket: socket.into(), accepting, busy })
    }

    /// Returns when everything that a client asked for before its end has happened.
    pub async fn quiet(&mut self) -> std::io::Result<()> {
        // Clients are accepted in the order in which they came: once one that comes last and asks for nothing was served,
        // all have been accepted.
        let mut last = UnixStream::connect(&self.socket).await?;
        last.shutdown().await?;
        last.read_to_end(&mut Vec::new()).await?;
        self.busy.wait_for(|n| *n == 0).await.map_err(std::io::Error::other)?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: UnixStream, world: Arc<World>, way: Duration, dice: Arc<Mutex<Dice>>) {
    let (reading, writing) = stream.into_split();
    let writing = Arc::new(AsyncMutex::new(writing));
    let mut lines = BufReader::new(reading).lines();
    let mut running = JoinSet::new();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that was cut off by a kill is no request.
        let Ok(Envelope { number, content }) = serde_json::from_str::<Envelope<Ask>>(&line) else { continue };
        let (world, writing) = (world.clone(), writing.clone());
        let ways = {
            let mut dice = dice.lock().expect("no panic holds this lock");
            [dice.fraction(), dice.fraction()].map(|part| way.mul_f64(part))
        };
        running.spawn(async move {
            tokio::time::sleep(ways[0]).await;
            let answer = world.answer(content);
            tokio::time::sleep(ways[1]).await;
            reply(&writing, number, answer).await;
        });
    }
    while running.join_next().await.is_some() {}
}

/// Nobody may be there to hear it any more.
async fn reply(writing: &AsyncMutex<OwnedWriteHalf>, number: u64, content: Answer) {
    let mut line = serde_json::to_vec(&Envelope { number, content }).expect("an answer is JSON");
    line.push(b'\n');
    let _ = writing.lock().await.write_all(&line).await;
}
