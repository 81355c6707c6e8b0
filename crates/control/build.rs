//! Has the crate built again when the console was. It builds nothing itself: `cargo xtask up` runs npm.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A debug build reads the console's files when they are asked for, so it need not follow them.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo:rerun-if-changed=../../console/dist");
    }
}
