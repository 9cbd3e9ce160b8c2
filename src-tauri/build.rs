//! Generates a permission for each command of the Circles plugin, checks the capability file against them, and compiles
//! the app's icons and metadata in.

mod names {
    include!("src/commands/names.rs");
}

fn main() {
    println!("cargo:rerun-if-changed=src-tauri/src/commands/names.rs");
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    let attributes = tauri_build::Attributes::new()
        // The working directory of this script is the root of the workspace.
        .capabilities_path_pattern("./src-tauri/capabilities/**/*")
        .plugin("circles", tauri_build::InlinedPlugin::new().commands(names::COMMANDS));
    if let Err(error) = tauri_build::try_build(attributes) {
        // Cargo shows what a failed build script wrote to its standard error.
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}
