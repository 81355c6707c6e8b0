//! Has the crate built again when the console was. It builds nothing itself: `cargo xtask up` runs npm.

use std::fs;

const DIST: &str = "../../console/dist";

fn main() {
    // The folder is there before the crate is compiled, even if empty. A debug build reads the console's
    // files when they are asked for, but only below the folder's real path, which rust-embed finds out when
    // it compiles: compiled without the folder, a program would never show a console that is built later.
    // And a path that is missing would have cargo build this crate each time. Where the folder cannot be
    // made, for example in a read-only source tree, the next build looks again.
    let _ = fs::create_dir_all(DIST);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={DIST}");
}
