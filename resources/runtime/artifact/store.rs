//! The folder of unpacked artifacts.
//!
//! `<name>-<version>-<8 digits>` appears by one rename, after its content was checked and flushed; its `.complete` mark holds
//! the digest of what was asked for. Whoever fetches holds the lock file; what an interrupted fetch left is thrown away by
//! the next one. Nothing in a complete folder is ever changed.

use super::{
    Say, debian, download, environment, io, java, pypi,
    sources::{self, Published},
    unpack,
};
use crate::manifest::{Artifact, Debian, Source};
use cloudtik_core::{Failure, FailureKind, digest};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// The file that marks a folder as whole.
pub(crate) const COMPLETE: &str = ".complete";

pub struct Store {
    root: PathBuf,
    mirror: Option<String>,
    /// Where nodes look for Python packages. On this machine pip knows by itself.
    index: String,
}

/// Where an artifact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The folder to use it from.
    pub home: PathBuf,
    /// Colon-separated folders of shared libraries that came along; empty when there are none.
    pub libraries: String,
    /// `machine`, `cache`.
    pub from: &'static str,
}

impl Store {
    /// `cache` is made when needed. `mirror`: a folder or an http(s) URL that files are tried from first, by their name.
    pub fn new(cache: &Path, mirror: Option<String>) -> Self {
        Store { root: cache.join("artifacts"), mirror, index: sources::INDEX.into() }
    }

    pub fn index(self, index: String) -> Self {
        Store { index, ..self }
    }

    /// What is there without fetching anything.
    pub async fn find(&self, artifact: &Artifact) -> Result<Option<Held>, Failure> {
        if let Some(instead) = &artifact.instead
            && let Some(home) = java::find(instead).await
        {
            return Ok(Some(Held { home, libraries: String::new(), from: "machine" }));
        }
        let folder = self.root.join(key(artifact));
        if !is_complete(&folder, artifact) {
            return Ok(None);
        }
        held(artifact, &folder).map(Some)
    }

    /// What is there, fetched first if need be.
    pub async fn get(&self, artifact: &Artifact, say: Say<'_>) -> Result<Held, Failure> {
        if let Some(held) = self.find(artifact).await? {
            return Ok(held);
        }
        held(artifact, &self.tree(artifact, say).await?)
    }

    /// The unpacked folder, fetched first if need be, whatever else this machine could use instead.
    pub async fn tree(&self, artifact: &Artifact, say: Say<'_>) -> Result<PathBuf, Failure> {
        let folder = self.root.join(key(artifact));
        if is_complete(&folder, artifact) {
            return Ok(folder);
        }
        let what = format!("fetch {} {}", artifact.name, artifact.version);
        fs::create_dir_all(&self.root).map_err(io(&what, &self.root))?;
        let _lock = self.lock(artifact, &what, say).await?;
        if is_complete(&folder, artifact) {
            return Ok(folder);
        }
        let work = self.root.join(format!(".{}.new", key(artifact)));
        clear(&work).map_err(io(&what, &work))?;
        let tree = work.join("tree");
        fs::create_dir_all(&tree).map_err(io(&what, &tree))?;
        self.fill(artifact, &work, &tree, say).await?;
        publish(artifact, &tree, &folder).map_err(io(&what, &folder))?;
        clear(&work).map_err(io(&what, &work))?;
        Ok(folder)
    }

    /// Where a node may load the artifact's file from, the mirror first.
    pub fn urls(&self, artifact: &Artifact) -> Vec<String> {
        sources::urls(artifact, self.mirror.as_deref(), &self.index)
    }

    async fn fill(&self, artifact: &Artifact, work: &Path, tree: &Path, say: Say<'_>) -> Result<(), Failure> {
        if let Source::Debian(Debian { packages }) = &artifact.source {
            return debian::fetch(packages, work, tree, say).await;
        }
        let Published { file, sha256, size } = Published::of(artifact);
        let target = work.join(file);
        let label = format!("fetching {} {}", artifact.name, artifact.version);
        let progress = download::Progress { label: &label, size, say };
        let archive = match self.mirrored(file, &target, &progress).await {
            Some(path) => path,
            None => {
                match &artifact.source {
                    Source::Url(url) => download::url(&url.url, &target, &progress).await?,
                    Source::Pypi(package) => pypi::fetch(package, work, &target, &progress).await?,
                    Source::Debian(_) => unreachable!("packages were fetched above"),
                }
                target
            }
        };
        say(&format!("checking and unpacking {file}"));
        unpack::checked(&archive, sha256, &artifact.unpack, tree).await
    }

    /// A mirror that lacks the file, or answers with an error, is passed over: the checksum decides what is used.
    async fn mirrored(&self, file: &str, target: &Path, progress: &download::Progress<'_>) -> Option<PathBuf> {
        let mirror = self.mirror.as_deref()?.trim_end_matches('/');
        if mirror.starts_with("http://") || mirror.starts_with("https://") {
            return download::url(&format!("{mirror}/{file}"), target, progress).await.ok().map(|()| target.into());
        }
        let path = Path::new(mirror.strip_prefix("file://").unwrap_or(mirror)).join(file);
        path.is_file().then_some(path)
    }

    async fn lock(&self, artifact: &Artifact, what: &str, say: Say<'_>) -> Result<File, Failure> {
        let path = self.root.join(format!(".{}.lock", key(artifact)));
        let file = File::create(&path).map_err(io(what, &path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        say(&format!("waiting for another process that fetches {}", artifact.name));
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(TryLockError::Error(error)) => return Err(io(what, &path)(error)),
            }
        }
    }
}

/// The folder's name: it differs whenever anything that was asked for differs.
pub(crate) fn key(artifact: &Artifact) -> String {
    format!("{}-{}-{}", artifact.name, artifact.version, &mark(artifact)[..8])
}

/// What the mark of a complete folder holds.
pub(crate) fn mark(artifact: &Artifact) -> String {
    digest::of(artifact).0
}

fn is_complete(folder: &Path, artifact: &Artifact) -> bool {
    fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|found| found == mark(artifact))
}

fn publish(artifact: &Artifact, tree: &Path, folder: &Path) -> std::io::Result<()> {
    fs::write(tree.join(COMPLETE), mark(artifact))?;
    rustix::fs::syncfs(File::open(tree)?)?;
    clear(folder)?;
    fs::rename(tree, folder)?;
    File::open(folder.parent().unwrap_or(folder))?.sync_all()
}

fn clear(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn held(artifact: &Artifact, folder: &Path) -> Result<Held, Failure> {
    let home = match &artifact.home {
        None => folder.to_owned(),
        Some(pattern) => unpack::matching(folder, pattern).ok_or_else(|| {
            let what = format!("use {} {}", artifact.name, artifact.version);
            environment(&what, format!("{} holds no `{pattern}`", folder.display()))
        })?,
    };
    let libraries = match artifact.source {
        Source::Debian(_) => debian::libraries(folder),
        _ => String::new(),
    };
    Ok(Held { home, libraries, from: "cache" })
}

/// The failure of a file whose content is not the published one.
pub(super) fn wrong_checksum(path: &Path, expected: &str, found: &str) -> Failure {
    let what = format!("check {}", path.display());
    Failure::new(FailureKind::Invalid, what, format!("its SHA-256 is {found}, expected {expected}"))
        .hint("the file was not used; look at the mirror or the package index it came from")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Part, Pypi};
    use std::io::Write;

    /// A mirror with one small package, and the artifact that asks for it.
    fn world() -> (tempfile::TempDir, Artifact) {
        let root = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, content) in [("p-1/jars/a.jar", "jar"), ("p-1/data/big", "no"), ("p-1/bin/run", "#!/bin/sh\n")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let mirror = root.path().join("mirror");
        fs::create_dir(&mirror).unwrap();
        File::create(mirror.join("p-1.tar.gz")).unwrap().write_all(&bytes).unwrap();
        let part = |from: &str, to: &str| Part { from: from.into(), to: to.into() };
        let artifact = Artifact {
            name: "p".into(),
            version: "1".into(),
            source: Source::Pypi(Pypi {
                package: "p".into(),
                version: "1".into(),
                file: "p-1.tar.gz".into(),
                size: bytes.len() as u64,
                sha256: unpack::sha256(&mirror.join("p-1.tar.gz")).unwrap(),
            }),
            instead: None,
            unpack: vec![part("p-1/jars", "jars"), part("p-1/bin", "tools/bin")],
            home: None,
        };
        (root, artifact)
    }

    fn store(root: &tempfile::TempDir) -> Store {
        Store::new(&root.path().join("cache"), Some(root.path().join("mirror").display().to_string()))
    }

    #[tokio::test]
    async fn only_the_parts_that_are_asked_for_are_unpacked_and_a_second_run_fetches_nothing() {
        let (root, artifact) = world();
        let held = store(&root).get(&artifact, &|_| ()).await.unwrap();
        assert_eq!(fs::read_to_string(held.home.join("jars/a.jar")).unwrap(), "jar");
        assert!(held.home.join("tools/bin/run").is_file() && !held.home.join("data").exists());
        fs::remove_dir_all(root.path().join("mirror")).unwrap();
        assert_eq!(store(&root).get(&artifact, &|_| ()).await.unwrap(), held);
    }

    #[tokio::test]
    async fn a_file_with_another_checksum_is_never_used() {
        let (root, mut artifact) = world();
        let Source::Pypi(pypi) = &mut artifact.source else { unreachable!() };
        pypi.sha256 = "0".repeat(64);
        let failure = store(&root).get(&artifact, &|_| ()).await.unwrap_err();
        assert!(failure.message.contains("SHA-256"), "{failure}");
        assert_eq!(store(&root).find(&artifact).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_an_interrupted_fetch_left_is_not_trusted() {
        let (root, artifact) = world();
        let artifacts = root.path().join("cache/artifacts");
        // Killed while unpacking; killed between rename and mark, as a disk that reorders writes would show it.
        let (work, folder) =
            (artifacts.join(format!(".{}.new/tree/jars", key(&artifact))), artifacts.join(key(&artifact)));
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join("half.jar"), "ha").unwrap();
        fs::create_dir_all(folder.join("jars")).unwrap();
        fs::write(folder.join("jars/half.jar"), "ha").unwrap();
        assert_eq!(store(&root).find(&artifact).await.unwrap(), None);
        let held = store(&root).get(&artifact, &|_| ()).await.unwrap();
        assert!(held.home.join("jars/a.jar").is_file() && !held.home.join("jars/half.jar").exists());
        assert!(!artifacts.join(format!(".{}.new", key(&artifact))).exists());
    }

    #[tokio::test]
    async fn whoever_comes_second_waits_for_the_first_and_says_so() {
        let (root, artifact) = world();
        let (store, artifact) = (std::sync::Arc::new(store(&root)), std::sync::Arc::new(artifact));
        fs::create_dir_all(&store.root).unwrap();
        let first = store.lock(&artifact, "fetch", &|_| ()).await.unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        let second = tokio::spawn({
            let (store, artifact) = (store.clone(), artifact.clone());
            async move { store.get(&artifact, &move |what| drop(told.send(what.to_owned()))).await }
        });
        let waiting = tokio::task::spawn_blocking(move || heard.recv().unwrap()).await.unwrap();
        assert_eq!(waiting, "waiting for another process that fetches p");
        drop(first);
        assert_eq!(second.await.unwrap().unwrap().from, "cache");
    }

    #[tokio::test]
    async fn a_mirror_may_be_a_web_server_and_one_that_lacks_the_file_is_passed_over() {
        use tokio::{
            io::{AsyncReadExt, AsyncWriteExt},
            net::TcpListener,
        };
        let (root, mut artifact) = world();
        let bytes = fs::read(root.path().join("mirror/p-1.tar.gz")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}/files", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let count = stream.read(&mut request).await.unwrap();
                let found = String::from_utf8_lossy(&request[..count]).starts_with("GET /files/p-1.tar.gz ");
                let (status, body) = if found { ("200 OK", bytes.as_slice()) } else { ("404 Not Found", &[][..]) };
                let head = format!("HTTP/1.0 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
            }
        });
        let store = Store::new(&root.path().join("web"), Some(format!("{place}/")));
        assert_eq!(store.get(&artifact, &|_| ()).await.unwrap().from, "cache");

        let Source::Pypi(pypi) = &artifact.source else { unreachable!() };
        let url = crate::manifest::Url { url: format!("{place}/p-1.tar.gz"), sha256: pypi.sha256.clone(), size: 0 };
        artifact.source = Source::Url(url);
        let store = Store::new(&root.path().join("other"), Some(place.replace("/files", "/nothing")));
        assert_eq!(store.get(&artifact, &|_| ()).await.unwrap().from, "cache");
    }
}
