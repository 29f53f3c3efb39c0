//! Folders, ports and proxies over real connections.

use crate::support::Server;
use cloudtik_access::{Moved, Said, download, forward, listen, socks, upload};
use cloudtik_core::host::{Command, Host};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    hash::{DefaultHasher, Hasher},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A folder with everything that could go wrong.
fn odd_tree(root: &Path) {
    let write = |name: &[u8], content: &[u8], mode: u32| {
        let path = root.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    write(b"plain", b"text\n", 0o644);
    write(b"empty", b"", 0o600);
    write(b"tool", b"#!/bin/sh\n", 0o755);
    write(b"-rf", b"minus", 0o640);
    write(b" two  words ", b"w", 0o644);
    write(b"new\nline", b"n", 0o644);
    write(b"quote'\"`$x\\", b"q", 0o644);
    write(b"not \xff utf-8", b"u", 0o644);
    write(b".hidden/.deep/..dots", b"h", 0o644);
    write([b"a/".as_slice(), &[b'l'; 200], b"/", &[b'n'; 150]].concat().as_slice(), b"long", 0o644);
    // 64 MiB, no two of which are alike.
    let noise: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let big: Vec<u8> = (0..64_u8).flat_map(|i| [&[i], &noise[1..]].concat()).collect();
    write(b"big/sixty-four", &big, 0o644);
    for i in 0..300 {
        write(format!("many/{}/{i}", i % 7).as_bytes(), i.to_string().as_bytes(), 0o644);
    }
    fs::create_dir_all(root.join("void/inner")).unwrap();
    fs::set_permissions(root.join("void"), PermissionsExt::from_mode(0o750)).unwrap();
    symlink("plain", root.join("link")).unwrap();
    symlink("/no/such/place", root.join("dangling")).unwrap();
    symlink("many", root.join("to-folder")).unwrap();
    write(b"closed/inside", b"c", 0o400);
    fs::set_permissions(root.join("closed"), PermissionsExt::from_mode(0o555)).unwrap();
}

/// What is below a folder: kind, mode and content or target.
fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    fn inside(root: &Path, below: &Path, seen: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let path = below.join(entry.unwrap().file_name());
            let full = root.join(&path);
            let metadata = fs::symlink_metadata(&full).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let what = if metadata.is_symlink() {
                format!("link to {}", fs::read_link(&full).unwrap().display())
            } else if metadata.is_dir() {
                format!("folder {mode:o}")
            } else {
                let content = fs::read(&full).unwrap();
                let mut sum = DefaultHasher::new();
                sum.write(&content);
                let sum = sum.finish();
                let at = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
                format!("file {mode:o} of {} bytes, {sum:x}, {at}", content.len())
            };
            seen.insert(path.clone(), what);
            if metadata.is_dir() {
                inside(root, &path, seen);
            }
        }
    }
    let mut seen = BTreeMap::new();
    inside(root, Path::new(""), &mut seen);
    seen
}

#[track_caller]
fn same(a: &BTreeMap<PathBuf, String>, b: &BTreeMap<PathBuf, String>) {
    let only = |x: &BTreeMap<PathBuf, String>, y: &BTreeMap<PathBuf, String>| {
        x.iter()
            .filter(|(path, what)| y.get(*path) != Some(what))
            .map(|(p, w)| format!("{p:?}: {w}"))
            .collect::<Vec<_>>()
    };
    assert_eq!((only(a, b), only(b, a)), (Vec::<String>::new(), Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_back_as_it_was_sent() {
    let server = Server::start();
    let host = server.host().await;
    let (here, back) = (server.path("here"), server.path("back"));
    let there = server.path("there/it's deep");
    fs::create_dir(&here).unwrap();
    odd_tree(&here);
    let sent = look(&here);
    // What is there already stays, or is replaced.
    fs::create_dir_all(there.join("many")).unwrap();
    fs::write(there.join("many/mine"), "mine").unwrap();
    fs::write(there.join("plain"), "old").unwrap();
    let (mut last, mut total) = (Moved::default(), Moved::default());
    let mut progress = |now: &Moved, all: &Moved| {
        assert!(now.bytes >= last.bytes && now.bytes <= all.bytes);
        (last, total) = (now.clone(), all.clone());
    };
    let since = Instant::now();
    let moved = upload(&*host, &here, there.to_str().unwrap(), &mut progress).await.unwrap();
    println!("sent {} files, {} bytes: {:?}", moved.files, moved.bytes, since.elapsed());
    assert_eq!((&moved, &moved), (&last, &total));
    assert!(fs::read(there.join("many/mine")).unwrap() == b"mine");
    fs::remove_file(there.join("many/mine")).unwrap();
    same(&sent, &look(&there));
    let since = Instant::now();
    let fetched = download(&*host, there.to_str().unwrap(), &back, &mut |_| {}).await.unwrap();
    println!("fetched {} files, {} bytes: {:?}", fetched.files, fetched.bytes, since.elapsed());
    assert_eq!(fetched, moved);
    same(&sent, &look(&back));
    // Again over what is there: the same.
    upload(&*host, &here, there.to_str().unwrap(), &mut |_, _| {}).await.unwrap();
    download(&*host, there.to_str().unwrap(), &back, &mut |_| {}).await.unwrap();
    same(&sent, &look(&there));
    same(&sent, &look(&back));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_to_its_place_or_into_a_folder() {
    let server = Server::start();
    let host = server.host().await;
    let file = server.path("one file");
    fs::write(&file, "content").unwrap();
    let at = |name: &str| server.path(name).display().to_string();
    fs::create_dir(server.path("there")).unwrap();
    for target in ["there", "new/", "new/deep/name"] {
        upload(&*host, &file, &at(target), &mut |_, _| {}).await.unwrap();
    }
    for path in ["there/one file", "new/one file", "new/deep/name"] {
        assert_eq!(fs::read_to_string(server.path(path)).unwrap(), "content", "{path}");
    }
    fs::create_dir(server.path("here")).unwrap();
    for (target, path) in [("here", "here/name"), ("fresh/", "fresh/name"), ("fresh/other", "fresh/other")] {
        let target = server.folder.path().join(target);
        download(&*host, &at("new/deep/name"), &target, &mut |_| {}).await.unwrap();
        assert_eq!(fs::read_to_string(server.path(path)).unwrap(), "content", "{path}");
    }
    let failure = download(&*host, &at("nothing"), &server.path("x"), &mut |_| {}).await.unwrap_err();
    assert!(failure.message.contains("no such file"), "{failure}");
    let failure = upload(&*host, &server.path("nothing"), &at("x"), &mut |_, _| {}).await.unwrap_err();
    assert!(failure.message.contains("No such file"), "{failure}");
    // A full folder in the place of a file is not lost.
    fs::create_dir_all(server.path("tree")).unwrap();
    fs::write(server.path("tree/new"), "file").unwrap();
    let failure = upload(&*host, &server.path("tree"), &at(""), &mut |_, _| {}).await.unwrap_err();
    assert!(failure.message.contains("directory"), "{failure}");
    assert!(server.path("new/deep/name").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_cannot_be_written_ends_at_once() {
    let server = Server::start();
    let host = server.host().await;
    fs::create_dir(server.path("source")).unwrap();
    fs::write(server.path("source/in the way"), "x").unwrap();
    fs::write(server.path("source/endless"), vec![0; 8 << 20]).unwrap();
    fs::create_dir_all(server.path("target/in the way/full")).unwrap();
    let (from, to) = (server.path("source").display().to_string(), server.path("target"));
    assert!(download(&*host, &from, &to, &mut |_| {}).await.is_err());
    assert!(server.path("target/in the way/full").is_dir());
}

/// Answers every connection with what it is sent, turned around.
async fn mirror() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                all.reverse();
                stream.write_all(&all).await.unwrap();
            });
        }
    });
    port
}

async fn talk(mut stream: TcpStream) {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    back.reverse();
    assert!(back == bytes, "{} bytes came back", back.len());
}

fn failures() -> (Said, Arc<Mutex<Vec<String>>>) {
    let all = Arc::<Mutex<Vec<String>>>::default();
    let kept = all.clone();
    (Arc::new(move |failure| kept.lock().unwrap().push(failure.to_string())), all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_port_carries_many_connections() {
    let server = Server::start();
    let host: Arc<dyn Host> = server.host().await;
    let listener = listen("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, failures) = failures();
    let forwarding = tokio::spawn(forward(host.clone(), listener, "localhost".into(), mirror().await, said));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        all.spawn(async move { talk(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await });
    }
    all.join_all().await;
    assert_eq!(failures.lock().unwrap().len(), 0);
    assert!(listen("127.0.0.1", port).await.is_err(), "the port is taken");
    forwarding.abort();
    assert!(forwarding.await.unwrap_err().is_cancelled());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "nothing listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_connects_by_address_and_by_name_and_refuses_the_rest() {
    let server = Server::start();
    let host: Arc<dyn Host> = server.host().await;
    let listener = listen("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, failures) = failures();
    tokio::spawn(socks(host, listener, said));
    let far = mirror().await;
    let ask = async |request: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&[5, 2, 0, 2]).await.unwrap();
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.unwrap();
        assert_eq!(chosen, [5, 0]);
        stream.write_all(request).await.unwrap();
        let mut reply = [0; 10];
        stream.read_exact(&mut reply).await.unwrap();
        (reply[1], stream)
    };
    let [high, low] = far.to_be_bytes();
    let (answer, stream) = ask(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).await;
    assert_eq!(answer, 0);
    talk(stream).await;
    let (answer, stream) = ask(&[b"\x05\x01\0\x03\x09localhost".as_slice(), &[high, low]].concat()).await;
    assert_eq!(answer, 0);
    talk(stream).await;
    let closed = crate::support::free_port("127.0.0.1").to_be_bytes();
    assert_eq!(ask(&[5, 1, 0, 1, 127, 0, 0, 1, closed[0], closed[1]]).await.0, 5, "refused");
    assert_eq!(failures.lock().unwrap().len(), 1);
    assert_eq!(ask(&[5, 2, 0, 1, 127, 0, 0, 1, high, low]).await.0, 7, "BIND is not served");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&[5, 1, 2]).await.unwrap();
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.unwrap();
    assert_eq!(chosen, [5, 0xff], "passwords are not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let server = Server::start();
    let host: Arc<dyn Host> = server.host().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Far more than is kept for a reader.
    let flood = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(&[1; 1 << 16]).await.is_ok() {}
    });
    let mut held = host.connect("localhost", port).await.unwrap();
    flood.await.unwrap();
    assert_eq!(host.run(&Command::new(["echo", "on"])).await.unwrap().text(), "on\n");
    // What was kept is still there, and then the stream is over.
    let mut kept = Vec::new();
    held.read_to_end(&mut kept).await.unwrap();
    assert!(kept.len() >= 32 << 20, "{}", kept.len());
}
