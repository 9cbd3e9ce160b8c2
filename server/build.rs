//! Gathers the built interface for embedding, so that the relay also builds where `npm run build` never ran.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// What is served instead of an interface that was not built.
const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Circles relay</title>
<h1>The relay is running</h1>
<p>Its interface was not built into this binary: run <code>npm run build</code> in <code>ui/</code>, then build the relay
again. The desktop app and <code>circles-cli</code> can join with an invite link all the same.</p>
<p>The API is described at <a href=\"/docs/\">/docs</a>.</p></html>
";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/store/migrations");
    let built = Path::new("../ui/dist");
    // Cargo watches a directory only if it exists; an absent one would rebuild the relay every time.
    if !built.exists() && Path::new("../ui").exists() {
        fs::create_dir_all(built)?;
    }
    println!("cargo:rerun-if-changed=../ui/dist");
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("ui");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    if built.join("index.html").exists() {
        copy(built, &target)
    } else {
        fs::write(target.join("index.html"), PLACEHOLDER)
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
