//! A folder as a stream, for a node that cannot fetch by itself: a tar file that is made while it is read, never held.

use super::{io, store::COMPLETE};
use cloudtik_core::Failure;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{PipeWriter, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::unix::pipe,
    task::JoinHandle,
};

/// Says how far it is.
type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// An unpacked artifact on its way.
pub(crate) struct Packed {
    folder: PathBuf,
    pipe: pipe::Receiver,
    writer: JoinHandle<std::io::Result<String>>,
    /// `sending spark 4.3.0`.
    label: String,
    /// Bytes of its files.
    size: u64,
    sent: u64,
    say: Say,
}

impl Packed {
    pub async fn open(folder: &Path, label: String, say: Say) -> Result<Self, Failure> {
        let failed = || io(&label, folder);
        let measured = folder.to_owned();
        let size = tokio::task::spawn_blocking(move || size(&measured)).await.map_err(std::io::Error::other);
        let size = size.flatten().map_err(failed())?;
        let (reader, writer) = std::io::pipe().map_err(failed())?;
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(failed())?;
        let packed = folder.to_owned();
        let writer = tokio::task::spawn_blocking(move || pack(&packed, writer));
        Ok(Packed { folder: folder.to_owned(), pipe, writer, label, size, sent: 0, say })
    }

    /// The SHA-256 of all that was read. Errors: the folder could not be read to its end.
    pub async fn sha256(self) -> Result<String, Failure> {
        drop(self.pipe);
        let written = self.writer.await.map_err(std::io::Error::other);
        written.flatten().map_err(io(&self.label, &self.folder))
    }
}

impl AsyncRead for Packed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.pipe).poll_read(context, buffer);
        let told = self.sent / 1_000_000;
        self.sent += (buffer.filled().len() - before) as u64;
        if self.sent / 1_000_000 != told {
            let megabytes = |bytes: u64| (bytes + 500_000) / 1_000_000;
            (self.say)(&format!("{}: {} of {} MB", self.label, megabytes(self.sent), megabytes(self.size)));
        }
        polled
    }
}

fn size(folder: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(total)
}

/// Everything but the mark, which the node makes itself once all has arrived.
fn pack(folder: &Path, pipe: PipeWriter) -> std::io::Result<String> {
    let hashing = Hashing { pipe, hasher: Sha256::new() };
    let mut archive = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 18, hashing));
    archive.follow_symlinks(false);
    let mut names = fs::read_dir(folder)?.map(|e| Ok(e?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    for name in names.iter().filter(|name| *name != COMPLETE) {
        let path = folder.join(name);
        if fs::symlink_metadata(&path)?.is_dir() {
            archive.append_dir_all(name, &path)?;
        } else {
            archive.append_path_with_name(&path, name)?;
        }
    }
    let hashing = archive.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(hashing.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Hashing {
    pipe: PipeWriter,
    hasher: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.pipe.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.pipe.flush()
    }
}
