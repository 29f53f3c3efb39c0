//! Embeds every folder of `templates/runtimes`, so that adding a runtime is adding a folder.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../templates/runtimes").canonicalize()?;
    let mut code = String::from("pub const SHIPPED: &[(&str, &[(&str, &str)])] = &[\n");
    for folder in sorted(&root)?.into_iter().filter(|path| path.is_dir()) {
        let runtime = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        writeln!(code, "    ({runtime:?}, &[")?;
        for file in sorted(&folder)?.into_iter().filter(|path| path.is_file()) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            writeln!(code, "        ({name:?}, include_str!({:?})),", file.display().to_string())?;
        }
        code.push_str("    ]),\n");
    }
    code.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("shipped.rs"), code)?;
    writeln!(io::stdout(), "cargo::rerun-if-changed={}", root.display())?;
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<std::path::PathBuf>, Box<dyn Error>> {
    let mut paths = fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}
