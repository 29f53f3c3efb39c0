//! Pinned packages from PyPI in virtual environments of their own, made once for this user.

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

/// The folder with the Python code and the lists of packages.
pub(super) fn sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../lab"))
}

fn cache() -> PathBuf {
    let set = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("CLOUDTIK_TEST_CACHE").unwrap_or_else(|| {
        let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        base.expect("HOME, or CLOUDTIK_TEST_CACHE, names a folder").join("cloudtik-tests")
    })
}

/// The interpreter of an environment that has the packages of `requirements-NAME.txt`.
///
/// The folder appears whole, so that whoever finds it may use it; those who need it at the same time wait for one of them.
pub(super) fn python(name: &str) -> PathBuf {
    let list = sources().join(format!("requirements-{name}.txt"));
    let text = fs::read(&list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    let place = cache().join(format!("{name}-{:016x}", hash.finish()));
    let python = place.join("bin/python");
    if python.exists() {
        return python;
    }
    let lock = alone(&cache().join(format!("{name}.lock")));
    if !python.exists() {
        build(&list, &place);
    }
    drop(lock);
    python
}

/// Waits until nobody else has this file.
fn alone(path: &Path) -> File {
    fs::create_dir_all(path.parent().expect("it is in the cache")).expect("the cache can be made");
    let file = File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.lock().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file
}

fn build(list: &Path, place: &Path) {
    let beside = place.with_extension("part");
    if beside.exists() {
        fs::remove_dir_all(&beside).expect("what an interrupted test left can be removed");
    }
    let part = beside.to_str().expect("paths of caches are text");
    let list = list.to_str().expect("paths of sources are text");
    // Without pip inside, an environment needs no more than Python itself; and it may be moved.
    run(&["-m", "venv", "--without-pip", part]);
    let inside = format!("{part}/bin/python");
    run(&["-m", "pip", "--python", &inside, "install", "--quiet", "--disable-pip-version-check", "-r", list]);
    fs::rename(&beside, place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
}

fn run(args: &[&str]) {
    let output = Command::new("python3").args(args).output().expect("python3 is on this machine");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python3 {}: {said}\n(needs python3 with pip, and PyPI)", args.join(" "));
}

/// A folder that has `file`, the source distribution of a version of a Python package, as the index has it.
pub fn published(package: &str, version: &str, file: &str) -> PathBuf {
    let folder = cache().join("mirror");
    let _lock = alone(&cache().join("mirror.lock"));
    if !folder.join(file).exists() {
        let beside = cache().join("mirror.part");
        let wanted = format!("{package}=={version}");
        let part = beside.to_str().expect("paths of caches are text");
        run(&["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", part, &wanted]);
        fs::create_dir_all(&folder).expect("the cache can be written to");
        fs::rename(beside.join(file), folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
    folder
}

/// The package with Google's descriptions of its APIs, as the index has it.
pub(super) fn google() -> PathBuf {
    const PACKAGE: &str = "google-api-python-client==2.202.0";
    const FILE: &str = "google_api_python_client-2.202.0-py3-none-any.whl";
    let place = cache().join(FILE);
    let _lock = alone(&cache().join("google.lock"));
    if !place.exists() {
        let beside = cache().join("google.part");
        let part = beside.to_str().expect("paths of caches are text");
        run(&["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", part, PACKAGE]);
        fs::rename(beside.join(FILE), &place).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    }
    place
}

/// The program of Azurite's blob service, from npm; or what is missing on this machine.
pub(super) fn azurite() -> Result<PathBuf, String> {
    const PACKAGE: &str = "azurite@3.35.0";
    let place = cache().join(PACKAGE);
    let program = place.join("node_modules/azurite/dist/src/blob/main.js");
    let _lock = alone(&cache().join("azurite.lock"));
    if program.exists() {
        return Ok(program);
    }
    let beside = place.with_extension("part");
    let part = beside.to_str().expect("paths of caches are text");
    let args = ["install", "--prefix", part, "--no-audit", "--no-fund", "--ignore-scripts", "--silent", PACKAGE];
    let output = Command::new("npm").args(args).output().map_err(|e| format!("npm, which installs Azurite: {e}"))?;
    assert!(output.status.success(), "npm install {PACKAGE}: {}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&beside, &place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
    Ok(program)
}
